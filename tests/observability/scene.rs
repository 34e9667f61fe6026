//! What is watched: the shipped Envoy before two count stores and a Keystone, an Envoy that is set up wrong, and clients.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use testkit::count_store::{self, CountStore};
use testkit::edge::capabilities;
use testkit::envoy::Envoy;
use testkit::envoy_yaml::{self, Places};
use testkit::http::{self, Connection};
use testkit::postgres::Cluster;
use testkit::store::{Behaviour, ScriptedStore};
use testkit::{Progress, ports, workspace};

const PATH: &str = "/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/count";
const TOKEN: &str = r#"{"token":{"project":{"id":"17fbda95add24720a4038ba4b1c705ed"},"expires_at":"2100-01-01T00:00:00Z"}}"#;
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub struct Scene {
    /// The shipped Envoy, with Keystone and a memory.
    pub envoy: Envoy,
    listener: SocketAddr,
    /// One whose `store.cluster` is nowhere, and whose VM fails at a request with many headers.
    pub wrong: Envoy,
    wrong_listener: SocketAddr,
    /// Where the first count store says what it has measured.
    pub store_metrics: SocketAddr,
    /// Its servers.
    servers: Cluster,
    /// The other count store, and Keystone: they do as they are told.
    other: ScriptedStore,
    keystone: ScriptedStore,
    is_broken: AtomicBool,
}

/// Sets a flag when it is dropped, after a panic too.
pub struct Sets<'a>(pub &'a AtomicBool);

impl Drop for Sets<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Scene {
    /// All of it, and the first count store, which the test ends.
    pub fn start() -> (Scene, CountStore) {
        let servers = Cluster::start(2).unwrap();
        let rows = workspace::root().join("demo/sharings.csv");
        count_store::load(&servers.url(), &rows, Progress::Quiet).unwrap();
        servers.wait_until_level().unwrap();
        let store_metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free_port().unwrap()));
        let arguments = ["--metrics", &store_metrics.to_string()];
        let store = CountStore::start_with(&servers.url(), ANY, &arguments).unwrap();

        let (other, keystone) = (ScriptedStore::start().unwrap(), ScriptedStore::start().unwrap());
        other.set(Behaviour::json(200, r#"{"count":2}"#));
        keystone.set(Behaviour::json(200, TOKEN));
        other.forget_requests();
        keystone.forget_requests();
        let (envoy, listener) = right([store.address(), other.address()], keystone.address());
        let (wrong, wrong_listener) = wrong(other.address());
        let scene = Scene {
            envoy,
            listener,
            wrong,
            wrong_listener,
            store_metrics,
            servers,
            other,
            keystone,
            is_broken: AtomicBool::new(false),
        };
        (scene, store)
    }

    /// What a client asks until `is_over`. The Envoy that is set up wrong is asked only once it [breaks](Scene::break_it).
    pub fn ask(&self, client: usize, is_over: &AtomicBool) {
        let mut edge = Connection::open(self.listener).unwrap();
        let mut ask = |method: &str, query: &str, token: &[u8]| {
            let headers: [(&str, &[u8]); 1] = [("x-auth-token", token)];
            edge.request(method, format!("{PATH}?{query}"), &headers).unwrap();
        };
        for number in 0_u64.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            if client == 0 {
                ask("GET", &format!("name=slow-{number}"), b"good");
            } else {
                ask("GET", &format!("name=once-{client}-{number}"), b"good");
                ask("GET", &format!("name=again-{client}"), b"good");
                ask("GET", &format!("name=once-{client}-{number}"), b"unlucky");
                ask("GET", "unknown=1", b"good");
                ask("PUT", "", b"good");
                ask("GET", "", b"");
                if self.is_broken.load(Ordering::Relaxed) {
                    http::request(self.wrong_listener, "GET", PATH, &[]).unwrap();
                }
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// Half of what is new fails or is slow, Keystone hangs up on one token, one PostgreSQL server falls behind and another
    /// dies, and a VM fails.
    pub fn break_it(&self) {
        self.other.set(Behaviour::by_request(|request| match request.target_text() {
            path if path.contains("slow") => {
                Behaviour::json(200, r#"{"count":2}"#).after(Duration::from_millis(900))
            }
            path if path == "/healthz" => Behaviour::status(200),
            _ => Behaviour::status(502),
        }));
        self.keystone.set(Behaviour::by_request(|request| {
            match request.header("x-subject-token") {
                Some("unlucky") => Behaviour::ResetBeforeHeaders,
                _ => Behaviour::json(200, TOKEN),
            }
        }));
        let [behind, dead] = self.servers.replicas() else { panic!("two replicas") };
        behind.pause_replay().unwrap();
        let mut primary = self.servers.primary().client().unwrap();
        primary.batch_execute("CREATE TABLE more ()").unwrap();
        dead.kill();
        let many: Vec<String> = (0..70).map(|number| format!("x-{number}")).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|name| (&**name, &b"1"[..])).collect();
        assert_eq!(http::request(self.wrong_listener, "GET", PATH, &many).unwrap().status, 503);
        self.is_broken.store(true, Ordering::Relaxed);
    }
}

/// The shipped Envoy, which asks Keystone at each request.
fn right(stores: [SocketAddr; 2], keystone: SocketAddr) -> (Envoy, SocketAddr) {
    let module = workspace::filter_module().unwrap();
    let places =
        Places { listener: ANY, admin: ANY, stores: &stores, backend: stores[0], module: &module };
    let yaml = envoy_yaml::with_places(places).unwrap();
    let yaml = envoy_yaml::with_keystone(&yaml, keystone, Duration::ZERO).unwrap();
    let memory = "cache: {ttl: 0.1s, stale_if_error: 3600s}";
    let yaml = envoy_yaml::with_section(&yaml, memory).unwrap();
    // For a busy machine.
    let yaml = yaml.replace("count-store, timeout: 1s", "count-store, timeout: 20s");
    // Envoy's 5 s, at the speed of this Prometheus.
    envoy_yaml::start(&format!("stats_flush_interval: 0.083s\n{yaml}")).unwrap()
}

/// The shipped Envoy with two mistakes.
fn wrong(store: SocketAddr) -> (Envoy, SocketAddr) {
    let page = std::fs::read_to_string(workspace::root().join("docs/security.md")).unwrap();
    let calls = page.split_whitespace().filter(|word| word.starts_with("proxy_"));
    // With many headers the path is read by itself, by the call that is left out: then the VM fails.
    let may = calls
        .filter(|call| *call != "proxy_get_header_map_value")
        .chain(include_str!("../../src/glue/exports.txt").lines());
    let policy = "failure_policy: FAIL_RELOAD";
    let restricted =
        format!("capability_restriction_config: {}\n                {policy}", capabilities(may));
    let changes =
        [(policy, &*restricted), ("store: {cluster: count_store,", "store: {cluster: nowhere,")];
    envoy_yaml::start_before(&[store], store, &changes).unwrap()
}
