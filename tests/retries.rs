//! Callouts sent again, through a real Envoy: what it ejects and what not, how little a dead or busy store is
//! asked, and what becomes of callouts whose cluster goes. Under load: `cargo xtask lab faults`.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::edge::{self, Edge, clusters, listener};
use testkit::envoy::Envoy;
use testkit::envoy::config::{Bootstrap, Cluster, Listener, direct_response, publish_cluster};
use testkit::envoy_yaml::start_before;
use testkit::http::{Connection, request};
use testkit::http2;
use testkit::store::{Behaviour, ScriptedStore};
use testkit::workspace::filter_module;
use testkit::{PATIENCE, wait_for};

const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";

/// `envoy.yaml` in front of two stores.
struct Pair {
    envoy: Envoy,
    listener: SocketAddr,
    stores: [ScriptedStore; 2],
}

impl Pair {
    fn start(timeout: &str) -> Pair {
        let stores = [ScriptedStore::start().unwrap(), ScriptedStore::start().unwrap()];
        let addresses = stores.each_ref().map(ScriptedStore::address);
        let (envoy, listener) = start(&addresses, timeout);
        stores.iter().for_each(|store| store.set(Behaviour::json(200, r#"{"count":2}"#)));
        Pair { envoy, listener, stores }
    }

    fn ask(&self) -> u16 {
        request(self.listener, "GET", PATH, &[]).unwrap().status
    }

    /// Asks until the first store was asked this many times.
    fn ask_the_first(&self, times: usize) -> Vec<u16> {
        let mut answers = Vec::new();
        let mut asked = 0;
        while asked < times {
            answers.push(self.ask());
            asked += self.stores[0].take_requests().len();
        }
        answers
    }

    /// How many hosts Envoy has ejected so far, and how many are out now.
    fn ejections(&self) -> (u64, u64) {
        let stat = |name: &str| {
            self.envoy.stat(&format!("cluster.count_store.outlier_detection.{name}")).unwrap()
        };
        (stat("ejections_enforced_total"), stat("ejections_active"))
    }
}

fn start(stores: &[SocketAddr], timeout: &str) -> (Envoy, SocketAddr) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    // The health check would take a store out for reasons of its own.
    let changes = [
        (
            "authority: count-store, timeout: 20s",
            &*format!("authority: count-store, timeout: {timeout}"),
        ),
        ("unhealthy_threshold: 2", "unhealthy_threshold: 100"),
    ];
    let (envoy, listener) = start_before(stores, any, &changes).unwrap();
    wait_for("the stores to be healthy", PATIENCE, || {
        let healthy = envoy.stat("cluster.count_store.membership_healthy").unwrap();
        (healthy == stores.len() as u64).then_some(())
    })
    .unwrap();
    (envoy, listener)
}

/// A connection that was made ends Envoy's count of failures, and before each timeout one was made.
#[test]
fn slow_searches_one_after_the_other_eject_nobody_and_two_at_once_do() {
    let pair = Pair::start("1s");
    pair.stores[0].set(Behaviour::Hang);
    let answers = pair.ask_the_first(5);
    assert!(answers.iter().filter(|status| **status == 504).count() >= 5, "{answers:?}");
    assert_eq!(answers.len(), 5 + pair.stores[1].take_requests().len(), "none is repeated");
    thread::sleep(Duration::from_millis(100));
    assert_eq!(pair.ejections(), (0, 0));
    thread::scope(|scope| (0..6).for_each(|_| drop(scope.spawn(|| pair.ask()))));
    wait_for("the ejection", PATIENCE, || (pair.ejections().0 == 1).then_some(())).unwrap();
    assert_eq!(pair.ask(), 200, "the other store answers");
    pair.envoy.stop().unwrap();
}

#[test]
fn a_stores_own_errors_eject_nobody() {
    let pair = Pair::start("20s");
    for status in [500, 503] {
        pair.stores[0].set(Behaviour::status(status));
        let answers = pair.ask_the_first(30);
        // A 503 of its own is asked for once more, and the other store answers.
        let failed = answers.iter().filter(|answer| **answer == status).count();
        assert_eq!(failed > 0, status == 500, "{answers:?}");
    }
    assert_eq!(pair.ejections(), (0, 0));
    pair.envoy.stop().unwrap();
}

#[test]
fn a_dead_store_costs_no_count_and_one_that_is_back_is_soon_asked() {
    let Pair { envoy, listener, stores: [dead, other] } = Pair::start("20s");
    let address = dead.address();
    drop(dead);
    let asked = || assert_eq!(request(listener, "GET", PATH, &[]).unwrap().status, 200);
    let ejected = || envoy.stat("cluster.count_store.outlier_detection.ejections_active").unwrap();
    wait_for("the ejection", PATIENCE, || {
        asked();
        (ejected() == 1).then_some(())
    })
    .unwrap();
    let out = Instant::now();
    let back = ScriptedStore::start_at(address).unwrap();
    back.set(Behaviour::json(200, r#"{"count":2}"#));
    // In two seconds; with Envoy's defaults, in thirty.
    wait_for("the store to be asked again", Duration::from_secs(20), || {
        asked();
        thread::sleep(Duration::from_millis(10));
        (!back.take_requests().is_empty()).then_some(())
    })
    .unwrap();
    println!("asked again {:?} after its ejection was seen", out.elapsed());
    drop(other);
    envoy.stop().unwrap();
}

#[test]
fn the_only_store_is_never_ejected_and_costs_three_callouts_when_it_is_dead() {
    let store = ScriptedStore::start().unwrap();
    let (envoy, listener) = start(&[store.address()], "20s");
    drop(store);
    let asked = Instant::now();
    for _ in 0..10 {
        assert_eq!(request(listener, "GET", PATH, &[]).unwrap().status, 503);
    }
    let each = asked.elapsed() / 10;
    println!("{each:?} for each");
    assert!(each > Duration::from_millis(5), "it pauses before the third: {each:?}");
    let stat = |name: &str| envoy.stat(&format!("cluster.count_store.{name}")).unwrap();
    assert_eq!(stat("outlier_detection.ejections_enforced_total"), 0);
    assert_eq!(stat("upstream_rq_pending_failure_eject"), 30);
    envoy.stop().unwrap();
}

#[test]
fn an_open_breaker_is_not_hammered() {
    const CLIENTS: u64 = 20;
    let (store, upstream) = (ScriptedStore::start().unwrap(), ScriptedStore::start().unwrap());
    store.set(Behaviour::json(200, r#"{"count":2}"#).after(Duration::from_millis(300)));
    let breaker = json!({"thresholds": [{"max_connections": 1, "max_pending_requests": 1}]});
    let [cluster, _, upstream] = clusters(store.address(), upstream.address());
    let clusters = [cluster.with("circuit_breakers", breaker), upstream];
    let listener = listener("count", r#"{"store": {"cluster": "store", "timeout": "20s"}}"#);
    let config = Bootstrap::new([listener.unwrap()], clusters);
    let edge = Edge::around(Envoy::start(config).unwrap(), ["count"]).unwrap();
    let address = edge.listeners["count"];
    let ask = || request(address, "GET", PATH, &[]).unwrap().status;
    let answers: Vec<u16> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let refused = answers.iter().filter(|status| **status == 503).count() as u64;
    assert_eq!(answers.iter().filter(|status| **status == 200).count() as u64 + refused, CLIENTS);
    let overflow = edge.envoy.stat("cluster.store.upstream_rq_pending_overflow").unwrap();
    println!("{refused} refused");
    assert!(refused > 0 && overflow == refused, "{overflow}, {refused}");
    edge.check_vms().unwrap();
    edge.envoy.stop().unwrap();
}

/// Envoy says of such a callout only that it broke off. The next one tells why.
#[test]
fn callouts_whose_cluster_is_removed_are_answered_with_the_cause() {
    const CLIENTS: usize = 20;
    let store = ScriptedStore::start().unwrap();
    store.set(Behaviour::Hang);
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::new("store", store.address());
    publish_cluster(folder.path(), Some(&cluster)).unwrap();
    let plugin = r#"{"store": {"cluster": "store", "timeout": "60s"}}"#;
    let filter = edge::filter(&filter_module().unwrap(), "count", plugin);
    let listener = Listener::new("count").filter(filter).route(direct_response("", 200, ""));
    let config = Bootstrap::new([listener], []).clusters_from(folder.path());
    let edge = Edge::around(Envoy::start(config).unwrap(), ["count"]).unwrap();
    let address = edge.listeners["count"];
    let mut clients: Vec<Connection> = (0..CLIENTS)
        .map(|_| {
            let mut client = Connection::open(address).unwrap();
            client.send(format!("GET {PATH} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).unwrap();
            client
        })
        .collect();
    store.wait_for_requests(CLIENTS).unwrap();
    publish_cluster(folder.path(), None).unwrap();
    for client in &mut clients {
        let answer = client.receive(false).unwrap();
        assert_eq!(answer.status, 500, "{}", answer.text());
    }
    edge.envoy.wait_for_log("Envoy has no cluster \"store\"").unwrap();
    edge.check_vms().unwrap();
    edge.envoy.stop().unwrap();
}

/// A stream that ends in the same turn of Envoy's event loop in which the store's answer comes is destroyed
/// but not yet deleted: who answers it then ends the process. The answer to a third callout comes to the
/// root context, which no SDK tells that its request has gone.
#[test]
fn a_stream_that_is_reset_as_its_last_callout_is_answered_does_no_harm() {
    const STREAMS: usize = 20;
    let store = ScriptedStore::start().unwrap();
    let (envoy, listener) = start(&[store.address()], "20s");
    let asked = Mutex::new(BTreeMap::<Vec<u8>, usize>::new());
    store.set(Behaviour::by_request(move |request| {
        let mut asked = asked.lock().unwrap();
        let times = asked.entry(request.target.clone()).or_default();
        *times += 1;
        match times {
            1 | 2 => Behaviour::ResetBeforeHeaders,
            _ => Behaviour::json(200, r#"{"count":2}"#).after(Duration::from_millis(200)),
        }
    }));
    for round in 0..5 {
        let mut client = http2::Connection::open(listener).unwrap();
        let streams: Vec<_> = (0..STREAMS)
            .map(|stream| {
                let path = format!("{PATH}?name={round}-{stream}");
                client.send(http2::request("GET", path.as_bytes(), &[]).unwrap(), b"").unwrap()
            })
            .collect();
        store.wait_for_requests(3 * STREAMS).unwrap();
        envoy.pause().unwrap();
        streams.into_iter().for_each(http2::Stream::reset);
        thread::sleep(Duration::from_millis(300));
        envoy.resume().unwrap();
        thread::sleep(Duration::from_millis(50));
        assert!(envoy.is_running(), "round {round}");
    }
    store.set(Behaviour::json(200, r#"{"count":2}"#));
    assert_eq!(request(listener, "GET", PATH, &[]).unwrap().status, 200);
    envoy.stop().unwrap();
}
