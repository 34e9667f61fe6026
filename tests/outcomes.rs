//! Every row of the store-outcome table (contract §3) through a real Envoy, with a store that
//! resets, truncates, drips, hangs, floods and lies. After each, the next request is counted.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::time::{Duration, Instant};

use testkit::edge::Edge;
use testkit::http::{self, Response};
use testkit::store::{Behaviour, ScriptedStore};

const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";
const TIMEOUT: Duration = Duration::from_millis(400);
const CONFIGURATION: &str = r#"{"store": {"cluster": "store", "timeout": "0.4s"}}"#;

struct Bench {
    edge: Edge,
    store: ScriptedStore,
    _upstream: ScriptedStore,
}

impl Bench {
    fn start() -> Bench {
        let (store, upstream) = (ScriptedStore::start().unwrap(), ScriptedStore::start().unwrap());
        let edge = Edge::start([("count", CONFIGURATION)], &store, &upstream).unwrap();
        Bench { edge, store, _upstream: upstream }
    }

    fn ask(&self) -> Response {
        http::request(self.edge.listeners["count"], "GET", PATH, &[]).unwrap()
    }

    /// What the client gets when the store does this, and that the next request is counted.
    #[track_caller]
    fn answers(&self, behaviour: Behaviour, status: u16, body: &str) {
        let what = format!("{behaviour:?}");
        let what: String = what.chars().take(120).collect();
        self.store.set(behaviour);
        let asked = Instant::now();
        let response = self.ask();
        let took = asked.elapsed();
        assert_eq!((response.status, response.text().as_str()), (status, body), "{what}");
        assert_eq!(response.header_values("content-type"), [b"application/json"], "{what}");
        assert!(took < TIMEOUT * 3, "{what}: {took:?}");
        // Envoy's timers may run out a little early: docs/decisions/.
        assert_eq!(took >= TIMEOUT * 15 / 16, status == 504, "{what}: {took:?}");
        assert_eq!(self.store.take_requests().len(), 1, "{what}: asked once");

        self.store.set(Behaviour::json(200, r#"{"count":3}"#));
        let next = self.ask();
        assert_eq!(next.text(), r#"{"count":3}"#, "after {what}");
        self.store.take_requests();
    }
}

const BROKEN: &str =
    r#"{"computeFault":{"code":502,"message":"The count store's answer broke off."}}"#;
const UNUSABLE: &str = r#"{"computeFault":{"code":502,"message":"The count store gave an answer that cannot be used."}}"#;
const UNAVAILABLE: &str = r#"{"serviceUnavailable":{"code":503,"message":"The count store is unavailable. Try again later."}}"#;
const LATE: &str =
    r#"{"computeFault":{"code":504,"message":"The count store did not answer in time."}}"#;

#[test]
fn what_a_store_does_wrong_is_answered_as_documented() {
    use Behaviour::*;
    let bench = Bench::start();
    let every = Duration::from_millis(20);
    let good = || Box::new(Behaviour::json(200, r#"{"count":2}"#));
    let counted = r#"{"count":2}"#;

    // Refused or reset before the head.
    bench.answers(ResetBeforeHead, 503, UNAVAILABLE);
    bench.answers(CloseAfterAccept, 503, UNAVAILABLE);
    bench.answers(Interim(102, Box::new(ResetBeforeHead)), 503, UNAVAILABLE);
    // Reset or truncated after the head.
    bench.answers(ResetAfterHead, 502, BROKEN);
    bench.answers(Truncate, 502, BROKEN);
    // No answer within the timeout, however much of it.
    bench.answers(Hang, 504, LATE);
    bench.answers(DripHead { every }, 504, LATE);
    bench.answers(DripBody { every }, 504, LATE);
    bench.answers(Interim(103, Box::new(Hang)), 504, LATE);
    bench.answers(Delay(TIMEOUT * 2, good()), 504, LATE);
    // Slow, but in time.
    bench.answers(Delay(TIMEOUT / 2, good()), 200, counted);
    bench.answers(Interim(100, good()), 200, counted);
    bench.answers(Interim(103, good()), 200, counted);
    // Too much, too deep.
    bench.answers(Flood { bytes: 65 * 1024 }, 502, UNUSABLE);
    bench.answers(Flood { bytes: 4 << 20 }, 502, UNUSABLE);
    bench.answers(Behaviour::json(200, "[".repeat(1_000_000)), 502, UNUSABLE);
    bench.answers(Behaviour::json(200, "{\"a\":".repeat(12_000)), 502, UNUSABLE);
    // Not HTTP, or not a whole head of it: docs/decisions/.
    bench.answers(Garbage(b"HTTP/1.1 200 OK\r\ncont".into()), 502, UNUSABLE);
    bench.answers(Garbage(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".into()), 502, UNUSABLE);
    bench.edge.check_vms().unwrap();
    bench.edge.envoy.stop().unwrap();
}

#[test]
fn an_endless_answer_ends() {
    let bench = Bench::start();
    bench.store.set(Behaviour::Flood { bytes: usize::MAX });
    let asked = Instant::now();
    let response = bench.ask();
    assert!(asked.elapsed() < TIMEOUT * 5);
    // Envoy gives up at its buffer's limit or at the timeout, whichever comes first.
    let expected = if asked.elapsed() < TIMEOUT { (502, BROKEN) } else { (504, LATE) };
    assert_eq!((response.status, response.text().as_str()), expected);
    bench.store.set(Behaviour::json(200, r#"{"count":3}"#));
    assert_eq!(bench.ask().text(), r#"{"count":3}"#);
}

#[test]
fn a_second_response_on_the_connection_is_never_the_next_answer() {
    let bench = Bench::start();
    let response =
        |count| format!("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{{\"count\":{count}}}");
    let smuggled = Behaviour::Garbage((response(2) + &response(9)).into());
    bench.store.script([smuggled, Behaviour::json(200, r#"{"count":3}"#)]);
    assert_eq!(bench.ask().text(), r#"{"count":2}"#);
    for _ in 0..5 {
        assert_eq!(bench.ask().text(), r#"{"count":3}"#);
    }
}

#[test]
fn conflicting_framing_of_a_response_is_not_a_count() {
    let bench = Bench::start();
    for head in [
        "content-length: 11\r\ncontent-length: 2\r\n",
        "content-length: 11\r\ntransfer-encoding: chunked\r\n",
        "content-length: eleven\r\n",
    ] {
        let raw = format!("HTTP/1.1 200 OK\r\n{head}\r\n{{\"count\":2}}");
        bench.store.set(Behaviour::Garbage(raw.into()));
        let response = bench.ask();
        assert!([502, 503, 504].contains(&response.status), "{head}: {response:?}");
    }
    bench.store.set(Behaviour::json(200, r#"{"count":3}"#));
    assert_eq!(bench.ask().text(), r#"{"count":3}"#);
}

#[test]
fn a_store_that_is_gone_is_unavailable_until_it_is_back() {
    let Bench { edge, store, _upstream } = Bench::start();
    let ask = || http::request(edge.listeners["count"], "GET", PATH, &[]).unwrap();
    let address = store.address();
    drop(store);
    for _ in 0..3 {
        let response = ask();
        assert_eq!((response.status, response.text().as_str()), (503, UNAVAILABLE));
    }
    let store = ScriptedStore::start_at(address).unwrap();
    store.set(Behaviour::json(200, r#"{"count":4}"#));
    assert_eq!(ask().text(), r#"{"count":4}"#);
}
