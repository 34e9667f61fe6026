//! What a store does wrong (the table in `tools/testkit/src/store_faults.rs`) through a real Envoy, and what no row of
//! that table can say.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use testkit::cases::envoy::Outcome;
use testkit::edge::Fixture;
use testkit::envoy::Envoy;
use testkit::store::{Behaviour, ScriptedStore};
use testkit::store_faults::{self, BROKEN, LATE, PATH, UNAVAILABLE};

fn start() -> Fixture {
    store_faults::start(Envoy::options(), None).unwrap()
}

#[track_caller]
fn is_counted(fixture: &Fixture, count: u8) {
    let answer = fixture.get("count", PATH).unwrap();
    assert_eq!(answer, (200, format!(r#"{{"count":{count}}}"#)));
}

#[test]
fn what_a_store_does_wrong_is_answered_as_documented() {
    let Outcome { cases, failures } = store_faults::run(Envoy::options()).unwrap();
    assert!(failures.is_empty(), "{} of {cases}:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn an_endless_answer_ends() {
    let fixture = start();
    fixture.store.set(Behaviour::Flood { bytes: usize::MAX });
    // Envoy gives up at its buffer's limit or at the timeout, whichever comes first.
    let (status, body) = fixture.get("late", PATH).unwrap();
    assert!([(502, BROKEN), (504, LATE)].contains(&(status, &body)), "{status} {body}");
    fixture.store.set(Behaviour::json(200, r#"{"count":3}"#));
    is_counted(&fixture, 3);
}

#[test]
fn a_second_response_on_the_connection_is_never_the_next_answer() {
    let fixture = start();
    let response =
        |count| format!("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{{\"count\":{count}}}");
    let smuggled = Behaviour::Garbage((response(2) + &response(9)).into());
    fixture.store.script([smuggled, Behaviour::json(200, r#"{"count":3}"#)]);
    is_counted(&fixture, 2);
    for _ in 0..5 {
        is_counted(&fixture, 3);
    }
}

#[test]
fn conflicting_framing_of_a_response_is_not_a_count() {
    let fixture = start();
    for headers in [
        "content-length: 11\r\ncontent-length: 2\r\n",
        "content-length: 11\r\ntransfer-encoding: chunked\r\n",
        "content-length: eleven\r\n",
    ] {
        let raw = format!("HTTP/1.1 200 OK\r\n{headers}\r\n{{\"count\":2}}");
        fixture.store.set(Behaviour::Garbage(raw.into()));
        let (status, body) = fixture.get("count", PATH).unwrap();
        assert!([502, 503, 504].contains(&status), "{headers}: {status} {body}");
    }
    fixture.store.set(Behaviour::json(200, r#"{"count":3}"#));
    is_counted(&fixture, 3);
}

#[test]
fn a_store_that_is_gone_is_unavailable_until_it_is_back() {
    let mut fixture = start();
    let address = fixture.store.address();
    // The old one is dropped here; the new one is at another address.
    fixture.store = ScriptedStore::start().unwrap();
    for _ in 0..3 {
        let answer = fixture.get("count", PATH).unwrap();
        assert_eq!(answer, (503, UNAVAILABLE.to_owned()));
    }
    fixture.store = ScriptedStore::start_at(address).unwrap();
    fixture.store.set(Behaviour::json(200, r#"{"count":4}"#));
    is_counted(&fixture, 4);
}
