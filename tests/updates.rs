//! A real Envoy whose plugin configuration is replaced again and again, while callouts are in flight, requests
//! pause to be asked again and clients hang up: the SDK would trap on a context or a token that it does not know.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use testkit::edge::{self, Edge};
use testkit::envoy::Envoy;
use testkit::http::{Connection, request};
use testkit::store::{Behaviour, ScriptedStore};
use testkit::{PATIENCE, wait_for};

const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";
const UPDATES: u64 = 10;
const TAKEN: &str = "listener_manager.lds.update_success";
const DRAINING: &str = "listener_manager.total_filter_chains_draining";

/// Hands Envoy the listener with a timeout of its own.
fn publish(folder: &Path, number: u64) {
    let configuration =
        format!(r#"{{"store": {{"cluster": "store", "timeout": "5.{}s"}}}}"#, 100 + number);
    edge::publish(folder, &[("count", &configuration)]).unwrap();
}

#[test]
fn a_configuration_is_replaced_with_callouts_in_flight_and_clients_that_hang_up() {
    let (store, upstream) = (ScriptedStore::start().unwrap(), ScriptedStore::start().unwrap());
    store.forget_requests();
    // Every other request is reset, so at each moment some pause, and wait for their third callout.
    let asked = AtomicUsize::new(0);
    store.set(Behaviour::by_request(move |_| match asked.fetch_add(1, Ordering::Relaxed) % 2 {
        0 => Behaviour::ResetBeforeHeaders,
        _ => Behaviour::json(200, r#"{"count":2}"#).after(Duration::from_millis(300)),
    }));
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), 0);
    let bootstrap = edge::listening_to(folder.path(), store.address(), upstream.address());
    let options = Envoy::options().concurrency(2).arg("--drain-time-s").arg("2");
    let envoy = options.arg("--drain-strategy").arg("immediate").start(&bootstrap).unwrap();
    let edge = Edge::around(envoy, ["count"]).unwrap();
    let address = edge.listeners["count"];
    let stat = |name: &str| edge.envoy.stat(name).unwrap();
    let (over, taken) = (AtomicBool::new(false), stat(TAKEN));
    let running = || !over.load(Ordering::Relaxed);

    let (mut seen, hung_up, in_flight) = thread::scope(|scope| {
        let patient = || {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            while running() {
                let answer = request(address, "GET", PATH, &[]);
                let answer = answer.map(|answer| format!("{} {}", answer.status, answer.text()));
                *seen.entry(answer.unwrap_or_else(|error| format!("{error:#}"))).or_default() += 1;
            }
            seen
        };
        let hasty = || {
            let bytes = format!("GET {PATH} HTTP/1.1\r\nhost: a\r\n\r\n");
            let mut asked = 0;
            while running() {
                let mut client = Connection::open(address).unwrap();
                client.send(bytes.as_bytes()).unwrap();
                thread::sleep(Duration::from_millis(5));
                asked += 1;
            }
            asked
        };
        let patients: Vec<_> = (0..8).map(|_| scope.spawn(patient)).collect();
        let hasties: Vec<_> = (0..2).map(|_| scope.spawn(hasty)).collect();
        let mut in_flight = Vec::new();
        let mut update = |number| {
            thread::sleep(Duration::from_millis(300));
            let many = || Some(stat("cluster.store.upstream_rq_active")).filter(|&it| it > 8);
            in_flight.push(wait_for("callouts in flight", PATIENCE, many)?);
            publish(folder.path(), number);
            let served = || (stat(TAKEN) == taken + number).then_some(());
            wait_for("Envoy to take the update", PATIENCE, served)
        };
        let replaced = (1..=UPDATES).try_for_each(&mut update).and_then(|()| {
            let gone = || (stat(DRAINING) == 0).then_some(());
            wait_for("the last replaced listener to go", PATIENCE, gone)
        });
        over.store(true, Ordering::Relaxed); // or the scope would not end
        replaced.unwrap();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (answer, times) in patients.into_iter().flat_map(|patient| patient.join().unwrap()) {
            *seen.entry(answer).or_default() += times;
        }
        let hung_up: u32 = hasties.into_iter().map(|hasty| hasty.join().unwrap()).sum();
        (seen, hung_up, in_flight)
    });
    println!("{hung_up} clients hung up; in flight at each update {in_flight:?}; answers {seen:?}");
    assert!(hung_up > 100);
    let counted = seen.remove(r#"200 {"count":2}"#).unwrap();
    let unlucky: usize = seen.values().sum();
    assert!(counted > unlucky && seen.keys().all(|answer| answer.starts_with("503 ")));
    let left = || (stat("cluster.store.upstream_rq_active") == 0).then_some(());
    wait_for("the last callout to end", PATIENCE, left).unwrap();
    edge.check_vms_after(UPDATES).unwrap();
    edge.envoy.stop().unwrap();
}
