//! Counts that are remembered (docs/contract.md#remembered-counts), on a real Envoy: by its clock, in its workers and
//! after its updates. What a question is, and what may be remembered, is in `remembered_counts.rs` and `cases.toml`.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::count_store::{CountStore, load};
use testkit::edge::{self, Edge, Fixture, listener};
use testkit::envoy::Envoy;
use testkit::envoy::config::Cluster;
use testkit::http;
use testkit::store::{Behaviour, ScriptedStore};
use testkit::{PATIENCE, Progress, wait_for, workspace};

const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";

/// A count is fresh for as long as the test runs.
fn fresh() -> Value {
    json!({"ttl": "3600s", "stale_if_error": "3600s"})
}

/// A count is stale as soon as [`until_stale`] returns, and may be given all the same.
fn soon_stale() -> Value {
    json!({"ttl": "0.1s", "stale_if_error": "3600s"})
}

fn until_stale() {
    thread::sleep(Duration::from_millis(200));
}

fn plugin(cluster: &str, cache: &Value) -> Value {
    json!({"store": {"cluster": cluster, "timeout": "20s", "retries": 0}, "cache": cache})
}

fn count(count: u8) -> Behaviour {
    Behaviour::json(200, json!({"count": count}).to_string())
}

struct Bench {
    fixture: Fixture,
    /// How many requests were answered.
    answered: usize,
    /// How long the last one took.
    took: Duration,
}

impl Bench {
    /// A listener for each `(name, plugin configuration)`, and another cluster.
    fn start<'a>(
        listeners: impl IntoIterator<Item = (&'a str, Value)>,
        more: Option<Cluster>,
    ) -> Bench {
        let listeners = listeners.into_iter().map(|(name, plugin)| {
            listener(name, &plugin.to_string()).unwrap().log_requests("%RESPONSE_CODE_DETAILS%")
        });
        let options = Envoy::options().arg("--file-flush-interval-msec").arg("20");
        let fixture = Fixture::start_with(options, listeners, more).unwrap();
        Bench { fixture, answered: 0, took: Duration::ZERO }
    }

    /// What a request with this token gets, as `200 store_count 2`; behind `asked` if the scripted store is asked. And
    /// the `age`, which is there if the count was remembered, and only then.
    fn age(&mut self, listener: &str, token: &str) -> (String, Option<u64>) {
        let headers: [(&str, &[u8]); 1] = [("x-auth-token", token.as_bytes())];
        let began = Instant::now();
        let answer = self.fixture.request(listener, "GET", PATH, &headers).unwrap();
        self.took = began.elapsed();
        let details = self.fixture.edge.logged(self.answered).unwrap();
        self.answered += 1;
        let asked = match self.fixture.store.take_requests().len() {
            0 => "",
            1 => "asked ",
            more => panic!("asked {more} times"),
        };
        let mut shown = format!("{asked}{} {details}", answer.status);
        if answer.status == 200 {
            let body: Value = serde_json::from_str(&answer.text()).unwrap();
            shown.push_str(&format!(" {}", body["count"]));
        }
        let age = answer.header("age").map(|age| age.parse().unwrap());
        assert_eq!(age.is_some(), details.starts_with("cache_"), "{answer:?}");
        assert_eq!(answer.header("cache-control"), None);
        (shown, age)
    }

    fn ask(&mut self, listener: &str, token: &str) -> String {
        self.age(listener, token).0
    }
}

#[test]
fn a_hit_does_not_ask_the_store_and_its_age_grows_by_the_clock() {
    let mut bench = Bench::start([("edge", plugin("store", &fresh()))], None);
    let began = Instant::now();
    assert_eq!(bench.ask("edge", "t"), "asked 200 store_count 2");
    let ended = Instant::now();
    bench.fixture.store.set(count(3));
    assert_eq!(bench.ask("edge", "t"), "200 cache_hit 2");
    assert_eq!(bench.ask("edge", "u"), "asked 200 store_count 3", "another token");
    thread::sleep(Duration::from_millis(1_100));
    let least = ended.elapsed().as_secs();
    let (answer, age) = bench.age("edge", "t");
    let most = began.elapsed().as_secs();
    assert_eq!(answer, "200 cache_hit 2");
    assert!(age.is_some_and(|age| (least..=most).contains(&age)), "{least} {age:?} {most}");
    bench.fixture.stop().unwrap();
}

#[test]
fn each_worker_remembers_for_itself() {
    let listener = listener("edge", &plugin("store", &fresh()).to_string());
    let options = Envoy::options().concurrency(2);
    let fixture = Fixture::start_with(options, listener, []).unwrap();
    for _ in 0..40 {
        assert_eq!(fixture.get("edge", PATH).unwrap(), (200, r#"{"count":2}"#.to_owned()));
    }
    let stats = fixture.edge.envoy.stats().unwrap();
    let served = |worker: &str| {
        let name = format!(".worker_{worker}.downstream_cx_total");
        let mut of_all = stats.iter().filter(|(stat, _)| stat.ends_with(&name));
        usize::from(of_all.any(|(_, connections)| *connections > 0))
    };
    let workers = served("0") + served("1");
    assert_eq!(fixture.store.take_requests().len(), workers);
    assert!((1..=2).contains(&workers), "{workers}");
    fixture.stop().unwrap();
}

#[test]
fn a_new_configuration_begins_with_an_empty_memory() {
    let (store, upstream) = (ScriptedStore::start().unwrap(), ScriptedStore::start().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let publish = |ttl: &str| {
        let plugin = plugin("store", &json!({"ttl": ttl})).to_string();
        edge::publish(folder.path(), &[("edge", &plugin)]).unwrap();
    };
    publish("3600s");
    let bootstrap = edge::listening_to(folder.path(), store.address(), upstream.address());
    let edge = Edge::around(Envoy::start(&bootstrap).unwrap(), ["edge"]).unwrap();
    let ask = || http::request(edge.listeners["edge"], "GET", PATH, &[]).unwrap();
    store.set(count(2));
    assert_eq!(ask().header("age"), None);
    store.set(count(3));
    assert!(ask().header("age").is_some());
    assert_eq!(store.take_requests().len(), 1);
    publish("3599s");
    let answer = wait_for("the new configuration", PATIENCE, || {
        let answer = ask();
        (answer.text() == r#"{"count":3}"#).then_some(answer)
    });
    assert_eq!(answer.unwrap().header("age"), None);
    assert!(ask().header("age").is_some(), "it remembers, too");
    assert_eq!(store.take_requests().len(), 1);
    edge.check_vms_after(1).unwrap();
    edge.envoy.stop().unwrap();
}

#[test]
fn while_the_count_store_is_gone_a_stale_count_is_given_where_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("sharings.db");
    load(&database, &workspace::root().join("demo/sharings.csv"), Progress::Quiet).unwrap();
    let store = CountStore::start(&database, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = store.address();
    let listeners = [
        ("stale", plugin("real", &soon_stale())),
        ("never", plugin("real", &json!({"ttl": "0.1s"}))),
        ("fresh", plugin("real", &fresh())),
    ];
    let mut bench = Bench::start(listeners, Some(Cluster::new("real", address)));
    let counted = bench.ask("stale", "t");
    let count = counted.strip_prefix("200 store_count ").unwrap();
    for listener in ["never", "fresh"] {
        assert_eq!(bench.ask(listener, "t"), counted);
    }
    drop(store);
    until_stale();
    let unavailable = "503 store_unavailable:connect_failure";
    for _ in 0..2 {
        assert_eq!(bench.ask("stale", "t"), format!("200 cache_stale {count}"));
        assert_eq!(bench.ask("stale", "u"), unavailable, "another token");
        assert_eq!(bench.ask("never", "t"), unavailable);
        assert_eq!(bench.ask("fresh", "t"), format!("200 cache_hit {count}"));
    }
    let _store = CountStore::start(&database, address).unwrap();
    assert_eq!(bench.ask("stale", "t"), counted);
    assert_eq!(bench.ask("never", "t"), counted);
    bench.fixture.stop().unwrap();
}

#[test]
fn what_the_store_takes_back_is_not_given_when_it_fails() {
    let mut bench = Bench::start([("edge", plugin("store", &soon_stale()))], None);
    let no_store = Behaviour::Answer {
        status: 200,
        headers: vec![("cache-control".to_owned(), "no-store".to_owned())],
        body: br#"{"count":3}"#.to_vec(),
    };
    for (token, takes_back, answer) in [
        ("a", no_store, "asked 200 store_count 3"),
        ("b", Behaviour::status(404), "asked 404 store_fault"),
    ] {
        bench.fixture.store.set(count(2));
        assert_eq!(bench.ask("edge", token), "asked 200 store_count 2");
        until_stale();
        bench.fixture.store.set(Behaviour::status(503));
        assert_eq!(bench.ask("edge", token), "asked 200 cache_stale 2");
        bench.fixture.store.set(takes_back);
        assert_eq!(bench.ask("edge", token), answer);
        bench.fixture.store.set(Behaviour::status(503));
        assert_eq!(bench.ask("edge", token), "asked 503 store_unavailable:503");
    }
    bench.fixture.stop().unwrap();
}

#[test]
fn after_a_timeout_a_stale_count_is_given_at_once() {
    const TIMEOUT: Duration = Duration::from_secs(2);
    let mut plugin = plugin("store", &soon_stale());
    plugin["store"]["timeout"] = "2s".into();
    let mut bench = Bench::start([("edge", plugin)], None);
    assert_eq!(bench.ask("edge", "t"), "asked 200 store_count 2");
    until_stale();
    bench.fixture.store.set(Behaviour::Hang);
    assert_eq!(bench.ask("edge", "t"), "asked 200 cache_stale 2");
    assert!(bench.took > TIMEOUT / 2, "{:?}", bench.took);
    for _ in 0..3 {
        assert_eq!(bench.ask("edge", "t"), "200 cache_stale 2");
        assert!(bench.took < TIMEOUT / 10, "{:?}", bench.took);
    }
    // For a second.
    thread::sleep(Duration::from_millis(1_100));
    bench.fixture.store.set(count(3));
    assert_eq!(bench.ask("edge", "t"), "asked 200 store_count 3");
    bench.fixture.stop().unwrap();
}

/// A Keystone that knows each token as one of the project of its name, until they are revoked.
fn keystone(revoked: &Arc<AtomicBool>) -> Behaviour {
    let revoked = Arc::clone(revoked);
    Behaviour::by_request(move |request| {
        let project = match request.header_values("x-subject-token")[..] {
            [b"trouble"] => return Behaviour::status(503),
            _ if revoked.load(Ordering::Relaxed) => return Behaviour::status(401),
            [b"garbage"] => return Behaviour::status(401),
            [b"of p2"] => "p2",
            _ => "p1",
        };
        let token = json!({"project": {"id": project}, "expires_at": "2100-01-01T00:00:00Z"});
        Behaviour::json(200, json!({"token": token}).to_string())
    })
}

#[test]
fn nobody_whom_auth_refuses_gets_a_count_that_is_remembered() {
    const REMEMBER: Duration = Duration::from_secs(1);
    let with_auth = |headers: &[&str]| {
        let mut plugin = plugin("store", &fresh());
        plugin["store"]["forward_headers"] = json!(headers);
        let asked =
            json!({"cluster": "keystone", "timeout": "20s", "retries": 0, "remember": "1s"});
        plugin["auth"] = json!({"mode": "keystone", "keystone": asked});
        plugin
    };
    let listeners = [("own", with_auth(&["x-auth-token"])), ("shared", with_auth(&[]))];
    let mut bench = Bench::start(listeners, None);
    let revoked = Arc::default();
    bench.fixture.keystone.set(keystone(&revoked));
    assert_eq!(bench.ask("own", "a"), "asked 200 store_count 2");
    assert_eq!(bench.ask("own", "b"), "asked 200 store_count 2");
    assert_eq!(bench.ask("shared", "a"), "asked 200 store_count 2");
    assert_eq!(bench.ask("shared", "b"), "200 cache_hit 2", "of the same project");
    let is_refused = |bench: &mut Bench| {
        for listener in ["own", "shared"] {
            for (token, answer) in [
                ("of p2", "403 auth_project"),
                ("garbage", "401 auth_refused"),
                ("", "401 auth_missing"),
                ("trouble", "503 auth_unavailable:503"),
            ] {
                assert_eq!(bench.ask(listener, token), answer, "{listener}");
            }
        }
    };
    is_refused(&mut bench);
    assert_eq!(bench.ask("shared", "a"), "200 cache_hit 2", "it is still there");
    revoked.store(true, Ordering::Relaxed);
    thread::sleep(REMEMBER);
    for listener in ["own", "shared"] {
        for token in ["a", "b", "of p2"] {
            assert_eq!(bench.ask(listener, token), "401 auth_refused", "{listener}");
        }
    }
    bench.fixture.stop().unwrap();
}
