//! Each name and each cause of `backup_sharing_count::details`, brought about in a real Envoy and read in its
//! access log.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::collections::BTreeSet;
use std::net::SocketAddr;

use backup_sharing_count::details;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use testkit::edge::{Fixture, listener};
use testkit::envoy::Envoy;
use testkit::envoy::config::{Cluster, typed};
use testkit::http::Connection;
use testkit::ports::dead_address;
use testkit::store::{Behaviour, ScriptedStore};
use testkit::workspace;

const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";

struct Bench {
    fixture: Fixture,
    /// How many lines of the access log were read.
    read: usize,
}

/// A cluster that cannot always be reached, which shows soon.
fn cluster(name: &str, address: SocketAddr) -> Cluster {
    Cluster::new(name, address).with("connect_timeout", "0.5s".into())
}

/// A listener in front of the store in this cluster.
fn before_store(cluster: &str) -> (String, Value) {
    (cluster.to_owned(), json!({"store": service(cluster)}))
}

/// A listener that remembers counts.
fn with_memory(name: &str, cache: Value) -> (String, Value) {
    (name.to_owned(), json!({"store": service("store"), "cache": cache}))
}

/// A listener in front of the Keystone in this cluster.
fn before_keystone(cluster: &str) -> (String, Value) {
    let mut keystone = service(cluster);
    keystone["roles"] = json!(["member"]);
    keystone["remember"] = "0s".into();
    let auth = json!({"mode": "keystone", "keystone": keystone});
    (format!("auth-{cluster}"), json!({"store": service("store"), "auth": auth}))
}

fn service(cluster: &str) -> Value {
    // Of these alone it is waited for.
    let timeout = if matches!(cluster, "store" | "keystone") { "1s" } else { "20s" };
    json!({"cluster": cluster, "timeout": timeout})
}

impl Bench {
    /// A listener for each `(name, plugin configuration)`, and more clusters.
    fn start(
        listeners: impl IntoIterator<Item = (String, Value)>,
        more: impl IntoIterator<Item = Cluster>,
    ) -> Bench {
        let says = "%FILTER_STATE(wasm.backup_sharing_count.envoy_says:PLAIN)%";
        let line = format!("%RESPONSE_CODE_DETAILS% [{says}]");
        let listeners = listeners.into_iter().map(|(name, configuration)| {
            listener(&name, &configuration.to_string()).unwrap().log_requests(&line)
        });
        let options = Envoy::options().arg("--file-flush-interval-msec").arg("20");
        Bench { fixture: Fixture::start_with(options, listeners, more).unwrap(), read: 0 }
    }

    /// The details of the answer, and what Envoy said in the store's place.
    fn ask(&mut self, listener: &str, method: &str, path: &str) -> (String, String) {
        let headers: [(&str, &[u8]); 1] = [("x-auth-token", b"t")];
        self.fixture.request(listener, method, path, &headers).unwrap();
        self.next_line()
    }

    fn next_line(&mut self) -> (String, String) {
        let line = self.fixture.edge.logged(self.read).unwrap();
        self.read += 1;
        let (details, says) = line.split_once(" [").unwrap();
        let says = says.strip_suffix("]").unwrap();
        (details.to_owned(), if says == "-" { String::new() } else { says.to_owned() })
    }
}

/// Accepts no connection, for its queue is full.
struct Backlog {
    address: SocketAddr,
    _socket: Socket,
    _queue: Vec<Socket>,
}

impl Backlog {
    fn new() -> Backlog {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap();
        let client = || {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            // In progress, or waiting for ever.
            let _ = client.connect(&address);
            client
        };
        let queue = (0..4).map(|_| client()).collect();
        Backlog { address: address.as_socket().unwrap(), _socket: socket, _queue: queue }
    }
}

#[test]
fn each_cause_is_in_the_access_log() {
    let dead = dead_address().unwrap();
    let plain = ScriptedStore::start().unwrap();
    // Not HTTP over TLS: the handshake fails at once.
    plain.set(Behaviour::status(200));
    let backlog = Backlog::new();
    let tls = json!({
        "name": "tls",
        "typed_config": typed("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", json!({})),
    });
    let no_room = json!({
        "thresholds": [{"max_connections": 1, "max_pending_requests": 0, "max_requests": 0}],
    });
    let check = json!([{
        "timeout": "1s", "interval": "1s", "unhealthy_threshold": 1, "healthy_threshold": 1,
        "tcp_health_check": {},
    }]);
    let more = [
        cluster("dead", dead.address()),
        cluster("backlog", backlog.address),
        cluster("tls", plain.address()).with("transport_socket", tls),
        cluster("breaker", plain.address()).with("circuit_breakers", no_room),
        cluster("sick", dead.address())
            .with("common_lb_config", json!({"healthy_panic_threshold": {"value": 0}}))
            .with("health_checks", check),
        Cluster::named("named", "no.such.host.invalid", 80).with("type", "STRICT_DNS".into()),
    ];
    let names = ["store", "empty", "dead", "backlog", "tls", "breaker", "sick", "named", "nowhere"];
    let keystones = names.map(|name| if name == "store" { "keystone" } else { name });
    let memories = [
        with_memory("fresh", json!({"ttl": "3600s"})),
        with_memory("stale", json!({"ttl": "0.001s", "stale_if_error": "3600s"})),
    ];
    let listeners = names.map(before_store).into_iter().chain(keystones.map(before_keystone));
    let listeners = listeners.chain(memories);
    let mut bench = Bench::start(listeners, more);
    let mut seen = BTreeSet::new();
    const FAILED: &str =
        "upstream connect error or disconnect/reset before headers. reset reason: ";

    // At the edge.
    for (method, path, details) in [
        ("GET", format!("{PATH}/"), "edge_path"),
        ("PUT", PATH.to_owned(), "edge_method"),
        ("GET", PATH.replace("p1", "p.1"), "edge_project"),
        ("GET", format!("{PATH}?x=1"), "edge_filter"),
    ] {
        assert_eq!(bench.ask("store", method, &path), (details.to_owned(), String::new()));
        seen.insert(details.to_owned());
    }
    for (name, value, details) in [
        ("accept", &b"text/html"[..], "edge_accept"),
        ("content-length", b"1", "edge_body"),
        ("x-auth-token", b"\xff", "edge_header"),
    ] {
        let mut client = Connection::open(bench.fixture.edge.listeners["store"]).unwrap();
        let request = format!("GET {PATH} HTTP/1.1\r\nhost: a\r\n{name}: ");
        client.send(&[request.as_bytes(), value, b"\r\n\r\n"].concat()).unwrap();
        client.receive(false).unwrap();
        assert_eq!(bench.next_line().0, details);
        seen.insert(details.to_owned());
    }

    // For the caller, and by what Keystone does.
    bench.fixture.get("auth-keystone", PATH).unwrap();
    assert_eq!(bench.next_line().0, "auth_missing");
    seen.insert("auth_missing".to_owned());
    let large = Behaviour::json(200, " ".repeat(70_000));
    let token = |project: &str, role: &str, year: u16| {
        let token = json!({
            "project": {"id": project},
            "roles": [{"name": role}],
            "expires_at": format!("{year}-01-01T00:00:00Z"),
        });
        Behaviour::json(200, json!({"token": token}).to_string())
    };
    for (behaviour, details, says) in [
        (token("p1", "member", 2000), "auth_refused:expired", ""),
        (token("p2", "member", 2100), "auth_project", ""),
        (token("p1", "reader", 2100), "auth_role", ""),
        (Behaviour::status(400), "auth_refused:400", ""),
        (Behaviour::status(401), "auth_refused", ""),
        (Behaviour::status(414), "auth_refused:414", ""),
        (Behaviour::status(431), "auth_refused:431", ""),
        (Behaviour::status(200), "auth_invalid:200", ""),
        (Behaviour::status(404), "auth_invalid:404", ""),
        (large.clone(), "auth_invalid:too_large", ""),
        (Behaviour::Garbage(b"SSH-2.0\r\n\r\n".into()), "auth_invalid:no_http", "protocol error"),
        (Behaviour::Truncate, "auth_invalid:broken", ""),
        (Behaviour::status(403), "auth_unavailable:403", ""),
        (Behaviour::status(429), "auth_unavailable:429", ""),
        (Behaviour::status(500), "auth_unavailable:500", ""),
        (Behaviour::ResetBeforeHeaders, "auth_unavailable:reset", "connection termination"),
        (Behaviour::Hang, "auth_timeout", ""),
        (Behaviour::status(504), "auth_timeout:504", ""),
    ] {
        bench.fixture.keystone.set(behaviour);
        let says = if says.is_empty() { String::new() } else { [FAILED, says].concat() };
        assert_eq!(bench.ask("auth-keystone", "GET", PATH), (details.to_owned(), says));
        seen.insert(details.to_owned());
    }
    assert_eq!(bench.fixture.store.take_requests().len(), 0);

    // By what the store does.
    for (behaviour, details, says) in [
        (Behaviour::json(200, r#"{"count":2}"#), "store_count", ""),
        (Behaviour::status(404), "store_fault", ""),
        (Behaviour::status(500), "store_error", ""),
        (Behaviour::status(502), "store_error", ""),
        (Behaviour::status(410), "store_invalid:410", ""),
        (Behaviour::status(302), "store_invalid:302", ""),
        (Behaviour::status(200), "store_invalid:200", ""),
        (large, "store_invalid:too_large", ""),
        (Behaviour::Garbage(b"SSH-2.0\r\n\r\n".into()), "store_invalid:no_http", "protocol error"),
        (Behaviour::Truncate, "store_broken", ""),
        (Behaviour::status(429), "store_unavailable:429", ""),
        (Behaviour::status(503), "store_unavailable:503", ""),
        (Behaviour::ResetBeforeHeaders, "store_unavailable:reset", "connection termination"),
        (Behaviour::Hang, "store_timeout", ""),
        (Behaviour::status(408), "store_timeout:408", ""),
        (Behaviour::status(504), "store_timeout:504", ""),
    ] {
        bench.fixture.store.set(behaviour);
        let says = if says.is_empty() { String::new() } else { [FAILED, says].concat() };
        assert_eq!(bench.ask("store", "GET", PATH), (details.to_owned(), says));
        seen.insert(details.to_owned());
    }

    // From memory, where what the store does would be told otherwise.
    bench.fixture.store.set(Behaviour::json(200, r#"{"count":2}"#));
    for listener in ["fresh", "stale"] {
        assert_eq!(bench.ask(listener, "GET", PATH).0, "store_count");
    }
    bench.fixture.store.set(Behaviour::ResetBeforeHeaders);
    let says = [FAILED, "connection termination"].concat();
    for (listener, details, says) in
        [("fresh", "cache_hit", String::new()), ("stale", "cache_stale", says)]
    {
        assert_eq!(bench.ask(listener, "GET", PATH), (details.to_owned(), says));
        seen.insert(details.to_owned());
    }

    // By where they are.
    for (name, details, says) in [
        ("dead", "unavailable:connect_failure", "remote connection failure"),
        ("backlog", "unavailable:connect_timeout", "connection timeout"),
        ("tls", "unavailable:tls", "TLS_error"),
        ("empty", "unavailable:no_host", ""),
        ("breaker", "unavailable:no_host", ""),
        ("sick", "unavailable:no_host", ""),
        ("named", "unavailable:no_host", ""),
        ("nowhere", "unknown_cluster", ""),
    ] {
        for (listener, whose) in [(name.to_owned(), "store"), (format!("auth-{name}"), "auth")] {
            let (found, said) = bench.ask(&listener, "GET", PATH);
            let (details, says) = match name {
                // Envoy 1.39 and later do not say why a connection failed.
                "tls" if !said.contains(says) => ("unavailable:connect_failure", FAILED),
                _ => (details, says),
            };
            let details = format!("{whose}_{details}");
            assert_eq!(found, details, "{name}: {said}");
            assert!(said.contains(says) && said.is_empty() == says.is_empty(), "{name}: {said}");
            seen.insert(details);
        }
    }

    // All that the table has, but for what Envoy seldom tells (`overflow`) and what a host without the
    // headers gets (`tests/hostile.rs`).
    let expected = details::ALL.iter().flat_map(|row| {
        let causes = row.causes.iter().map(|cause| format!("{}:{cause}", row.name));
        std::iter::once(row.name.to_owned()).chain(causes)
    });
    let unseen = [
        "edge_unjudged", "auth_invalid", "auth_invalid:STATUS", "auth_unavailable",
        "auth_unavailable:STATUS", "auth_unavailable:overflow", "store_invalid",
        "store_invalid:STATUS", "store_unavailable", "store_unavailable:overflow",
    ];
    let mut missing: Vec<String> = expected.filter(|name| !seen.contains(name)).collect();
    // Not every Envoy tells it; the row above wants it of those that do.
    missing.retain(|name| !name.ends_with("_unavailable:tls"));
    assert_eq!(missing, unseen);
    bench.fixture.stop().unwrap();
}

#[test]
fn the_page_tells_each_name_and_each_cause() {
    let page = std::fs::read_to_string(workspace::root().join("docs/watching-it.md")).unwrap();
    for row in details::ALL {
        assert!(page.contains(&format!("`{}`", row.name)), "{}", row.name);
        for cause in row.causes {
            let names = page.split('`').filter_map(|quoted| quoted.strip_prefix(row.name));
            let mut causes = names.filter_map(|rest| rest.strip_prefix(':'));
            let is_there = match *cause {
                "STATUS" => causes.any(|cause| cause.parse::<u16>().is_ok()),
                cause => causes.any(|named| named == cause),
            };
            assert!(is_there, "{}:{cause}", row.name);
        }
    }
}
