//! Many streams on one connection: each gets its own answer, and one that is reset harms no other. The contract's
//! cases over HTTP/2 are in `cases_envoy.rs`, `envoy.yaml` over HTTP/2 in `protocols.rs`.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::sync::{Arc, Mutex};
use std::time::Duration;

use testkit::edge::Fixture;
use testkit::http2::{Connection, Stream, request};
use testkit::store::{Behaviour, Request};
use testkit::{PATIENCE, wait_for};

const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";

/// As many as `envoy.yaml` allows on a connection.
const STREAMS: usize = 100;

fn start() -> Fixture {
    let configuration = r#"{"store": {"cluster": "store", "timeout": "20s"}}"#;
    Fixture::start(&[("count", configuration)]).unwrap()
}

/// How many the filter `name` asks for: each stream has a number of its own, so no answer passes for another's.
fn wanted(request: &Request) -> usize {
    let target = request.target_text();
    target.split_once("name=").unwrap().1.parse().unwrap()
}

fn counted(count: usize) -> Behaviour {
    Behaviour::json(200, format!(r#"{{"count":{count}}}"#))
}

fn ask_for(client: &mut Connection, count: usize) -> Stream {
    let target = format!("{PATH}?name={count}");
    client.send(request("GET", target.as_bytes(), &[]).unwrap(), b"").unwrap()
}

#[track_caller]
fn is_counted(client: &Connection, stream: Stream, count: usize) {
    let answer = client.receive(stream).unwrap().unwrap();
    assert_eq!((answer.status, answer.text()), (200, format!(r#"{{"count":{count}}}"#)));
}

#[test]
fn a_hundred_streams_at_once_get_their_own_counts() {
    let fixture = start();
    // Every other one is late, so they are not answered in the order in which they came.
    fixture.store.set(Behaviour::by_request(|request| {
        let count = wanted(request);
        counted(count).after(Duration::from_millis(if count.is_multiple_of(2) { 200 } else { 0 }))
    }));
    let mut client = Connection::open(fixture.edge.listeners["count"]).unwrap();
    for round in 1..=3 {
        let counts = round * 1_000..round * 1_000 + STREAMS;
        let streams: Vec<Stream> = counts.clone().map(|n| ask_for(&mut client, n)).collect();
        for (stream, count) in streams.into_iter().zip(counts) {
            is_counted(&client, stream, count);
        }
    }
    fixture.stop().unwrap();
}

/// The callout of a stream that is reset goes on, and its answer is dropped.
#[test]
fn streams_that_are_reset_while_the_store_is_asked_harm_no_other() {
    let fixture = start();
    let stat = |name: &str| fixture.edge.envoy.stat(name).unwrap();
    let none_left = |gauge: &str| {
        wait_for(gauge, PATIENCE, || (stat(gauge) == 0).then_some(())).unwrap();
    };
    let mut client = Connection::open(fixture.edge.listeners["count"]).unwrap();
    let mut resets = 0;
    for _ in 0..5 {
        // The store answers once this is dropped.
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        fixture.store.set(Behaviour::by_request({
            let gate = Arc::clone(&gate);
            move |request| {
                drop(gate.lock());
                counted(wanted(request))
            }
        }));
        let streams: Vec<Stream> = (0..STREAMS).map(|n| ask_for(&mut client, n)).collect();
        fixture.store.wait_for_requests(STREAMS).unwrap();
        // A third: half of 500 streams would be an attack to Envoy, which closes such a connection.
        let streams = streams.into_iter().enumerate();
        let (reset, kept): (Vec<_>, Vec<_>) = streams.partition(|(n, _)| n.is_multiple_of(3));
        resets += reset.len() as u64;
        reset.into_iter().for_each(|(_, stream)| stream.reset());
        let seen = || stat("http.count.downstream_rq_rx_reset") == resets;
        wait_for("Envoy to see the resets", PATIENCE, || seen().then_some(())).unwrap();
        assert_eq!(stat("cluster.store.upstream_rq_active"), STREAMS as u64);
        drop(closed);
        for (count, stream) in kept {
            is_counted(&client, stream, count);
        }
        none_left("http.count.downstream_rq_active");
        none_left("cluster.store.upstream_rq_active");
    }
    assert_eq!(stat("http.count.downstream_cx_total"), 1, "one connection bore it all");
    fixture.stop().unwrap();
}
