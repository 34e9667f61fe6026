//! Every row of the store-outcome table (contract §3) through a real Envoy, with a store that
//! resets, truncates, drips, hangs, floods and lies. After each, the next request is counted.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use testkit::cases::envoy::Outcome;
use testkit::edge::Edge;
use testkit::envoy::Envoy;
use testkit::http::{self, Response};
use testkit::outcomes::{self, BROKEN, CONFIGURATIONS, LATE, PATH, UNAVAILABLE};
use testkit::store::{Behaviour, ScriptedStore};

struct Bench {
    edge: Edge,
    store: ScriptedStore,
    _upstream: ScriptedStore,
}

impl Bench {
    fn start() -> Bench {
        let (store, upstream) = (ScriptedStore::start().unwrap(), ScriptedStore::start().unwrap());
        let edge = Edge::start(CONFIGURATIONS, &store, &upstream).unwrap();
        Bench { edge, store, _upstream: upstream }
    }

    fn ask(&self) -> Response {
        self.ask_at("count")
    }

    fn ask_at(&self, listener: &str) -> Response {
        http::request(self.edge.listeners[listener], "GET", PATH, &[]).unwrap()
    }
}

#[test]
fn what_a_store_does_wrong_is_answered_as_documented() {
    let Outcome { cases, failures } = outcomes::run(Envoy::options()).unwrap();
    assert!(failures.is_empty(), "{} of {cases}:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn an_endless_answer_ends() {
    let bench = Bench::start();
    bench.store.set(Behaviour::Flood { bytes: usize::MAX });
    // Envoy gives up at its buffer's limit or at the timeout, whichever comes first.
    let response = bench.ask_at("late");
    let (status, body) = (response.status, response.text());
    assert!([(502, BROKEN), (504, LATE)].contains(&(status, &body)), "{status} {body}");
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
