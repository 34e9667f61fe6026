//! What the filter writes to Envoy's error log.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use testkit::edge::{Fixture, listener};
use testkit::envoy::Envoy;
use testkit::envoy::config::Cluster;
use testkit::ports::dead_address;
use testkit::store::Behaviour;
use testkit::{PATIENCE, wait_for};

const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";

#[test]
fn each_vm_says_which_module_it_runs() {
    let listener = listener("store", r#"{"store": {"cluster": "store"}}"#).unwrap();
    let fixture = Fixture::start_with(Envoy::options(), [listener], []).unwrap();
    let log = fixture.edge.envoy.log();
    let version = concat!("version ", env!("CARGO_PKG_VERSION"), ", revision ");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(version)).collect();
    // The main thread's and the worker's, at least.
    assert!(lines.len() >= 2 && lines.iter().all(|line| line.contains("[info]")), "{lines:?}");
    fixture.stop().unwrap();
}

#[test]
fn an_unknown_cluster_is_logged_once_a_minute_by_all_workers() {
    let listener = listener("nowhere", r#"{"store": {"cluster": "nowhere"}}"#).unwrap();
    let options = Envoy::options().concurrency(4);
    let fixture = Fixture::start_with(options, [listener], []).unwrap();
    let ask = || fixture.get("nowhere", PATH).unwrap().0;
    // One first: two workers that write for the first time at the same moment may both do so.
    assert_eq!(ask(), 500);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(ask(), 500)));
        }
    });
    let log = fixture.edge.envoy.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("has no cluster")).collect();
    assert!(matches!(lines[..], [line] if line.contains("[error]")), "{lines:?}");
    fixture.stop().unwrap();
}

#[test]
fn at_the_debug_level_each_decision_is_a_line_without_a_secret() {
    let dead = dead_address().unwrap();
    let listeners = ["store", "dead"]
        .map(|name| listener(name, &format!(r#"{{"store": {{"cluster": "{name}"}}}}"#)).unwrap());
    let more = [Cluster::new("dead", dead.address())];
    let fixture = Fixture::start_with(Envoy::options(), listeners, more).unwrap();
    let ask = |listener: &str, method: &str, path: &str| {
        fixture.request(listener, method, path, &[("x-auth-token", b"secret")]).unwrap();
    };
    const SETTLING: &str = "is answered 405 edge_method";
    let all_lines = || -> Vec<String> {
        let log = fixture.edge.envoy.log();
        let ours = log.lines().filter_map(|line| line.split_once(" request "));
        ours.map(|(_, line)| line.split_once(' ').unwrap().1.to_owned()).collect()
    };
    let lines =
        || -> Vec<String> { all_lines().into_iter().filter(|line| line != SETTLING).collect() };
    fixture.store.set(Behaviour::json(200, r#"{"count":2}"#));
    ask("store", "GET", PATH);
    let set_level =
        |level: &str| fixture.edge.envoy.admin_post(&format!("/logging?wasm={level}")).unwrap();
    set_level("debug");
    // The filter looks once a second while requests come.
    wait_for("the first line", PATIENCE, || {
        ask("store", "PUT", PATH);
        all_lines().contains(&SETTLING.to_owned()).then_some(())
    })
    .unwrap();
    ask("store", "GET", &format!("{PATH}?name=secret"));
    ask("store", "GET", &format!("{PATH}?secret=secret"));
    ask("dead", "GET", PATH);
    set_level("info");
    ask("store", "GET", PATH);
    // Envoy writes the last line of a log when its worker has time.
    wait_for("the log", PATIENCE, || (lines().len() >= 8).then_some(())).unwrap();
    assert!(!fixture.edge.envoy.log().contains("secret"));
    let asks = |name: &str, retry: usize| format!("asks {name:?}, retry {retry}, timeout ");
    for (line, expected) in lines().iter().zip([
        asks("store", 0),
        "is answered 200 store_count".to_owned(),
        "is answered 400 edge_filter".to_owned(),
        asks("dead", 0),
        asks("dead", 1),
        "waits 10 ms to ask again, for it met store_unavailable:connect_failure".to_owned(),
        asks("dead", 2),
        "is answered 503 store_unavailable:connect_failure".to_owned(),
    ]) {
        assert!(line.starts_with(&expected), "{line:?}, {expected:?}");
    }
    assert_eq!(lines().len(), 8);
    fixture.stop().unwrap();
}
