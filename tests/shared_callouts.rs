//! Requests with one token share one callout to Keystone: each gets its own answer, whoever hangs up.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::edge::Fixture;
use testkit::http;
use testkit::http2::{Connection, Stream, request};
use testkit::store::Behaviour;
use testkit::{PATIENCE, wait_for};

const AUTH: &str = r#"{"store": {"cluster": "store", "timeout": "20s"}, "auth": {"mode": "keystone", "keystone": {"cluster": "keystone", "timeout": "20s", "retries": 0}}}"#;

/// As many streams as there are on a connection of HTTP/2.
const STREAMS: usize = 100;

fn path(project: &str) -> String {
    format!("/v2/{project}/os-vendor-backup-sharing/count")
}

fn token_of_p1() -> Behaviour {
    let token = json!({"project": {"id": "p1"}, "expires_at": "2100-01-01T00:00:00Z"});
    Behaviour::json(200, json!({"token": token}).to_string())
}

/// A Keystone that says this once the gate is open.
fn says_behind(fixture: &Fixture, gate: &Arc<Mutex<()>>, says: Behaviour) {
    let gate = Arc::clone(gate);
    fixture.keystone.set(Behaviour::by_request(move |_| {
        drop(gate.lock());
        says.clone()
    }));
}

fn send(client: &mut Connection, token: &str, project: &str) -> Stream {
    let fields = [("x-auth-token", token.as_bytes())];
    client.send(request("GET", path(project).as_bytes(), &fields).unwrap(), b"").unwrap()
}

/// Waits until Envoy has this many requests that are not answered.
fn wait_until_active(fixture: &Fixture, requests: usize) {
    let active = || fixture.edge.envoy.stat("http.auth.downstream_rq_active").unwrap();
    wait_for("the requests", PATIENCE, || (active() == requests as u64).then_some(())).unwrap();
}

struct Crowd<'g> {
    fixture: Fixture,
    clients: Vec<Connection>,
    streams: VecDeque<(usize, Stream)>,
    closed: MutexGuard<'g, ()>,
}

/// A thousand requests with one token, of which each tenth is for another project. Keystone has been asked once.
fn crowd<'g>(gate: &'g Arc<Mutex<()>>, says: Behaviour) -> Crowd<'g> {
    let fixture = Fixture::start(&[("auth", AUTH)]).unwrap();
    let closed = gate.lock().unwrap();
    says_behind(&fixture, gate, says);
    let address = fixture.edge.listeners["auth"];
    let mut clients: Vec<_> = (0..10).map(|_| Connection::open(address).unwrap()).collect();
    let mut streams = VecDeque::new();
    for (number, client) in clients.iter_mut().enumerate() {
        for _ in 0..STREAMS {
            let project = if number == 9 { "p2" } else { "p1" };
            streams.push_back((number, send(client, "t", project)));
        }
    }
    wait_until_active(&fixture, streams.len());
    assert_eq!(fixture.keystone.take_requests().len(), 1);
    Crowd { fixture, clients, streams, closed }
}

impl Crowd<'_> {
    /// Opens the gate; each request is answered by `expected`, which is told whether it is for the token's project.
    fn answered(self, expected: impl Fn(bool) -> u16) -> Fixture {
        let Crowd { fixture, clients, streams, closed } = self;
        drop(closed);
        for (client, stream) in streams {
            let answer = clients[client].receive(stream).unwrap().unwrap();
            assert_eq!(answer.status, expected(client != 9), "{}", answer.text());
        }
        fixture
    }
}

#[test]
fn a_thousand_requests_share_one_callout_and_each_is_judged_by_its_own_project() {
    let gate = Arc::default();
    let fixture = crowd(&gate, token_of_p1()).answered(|own| if own { 200 } else { 403 });
    assert_eq!(fixture.keystone.take_requests().len(), 0, "nobody asked again");
    assert_eq!(fixture.store.take_requests().len(), 900);
    wait_until_active(&fixture, 0);
    fixture.stop().unwrap();
}

#[test]
fn a_refusal_is_shared_too() {
    let gate = Arc::default();
    let fixture = crowd(&gate, Behaviour::status(401)).answered(|_| 401);
    assert_eq!(fixture.keystone.take_requests().len(), 0, "nobody asked again");
    fixture.stop().unwrap();
}

#[test]
fn when_the_one_who_asked_hangs_up_another_asks_and_all_others_are_answered() {
    let gate = Arc::default();
    let mut crowd = crowd(&gate, token_of_p1());
    let (_, first) = crowd.streams.pop_front().unwrap();
    first.reset();
    crowd.fixture.keystone.wait_for_requests(1).unwrap();
    // One who waits may go too.
    crowd.streams.remove(500).unwrap().1.reset();
    let fixture = crowd.answered(|own| if own { 200 } else { 403 });
    assert_eq!(fixture.keystone.take_requests().len(), 0, "one callout more");
    wait_until_active(&fixture, 0);
    fixture.stop().unwrap();
}

#[test]
fn over_http_1_1_too() {
    let fixture = Fixture::start(&[("auth", AUTH)]).unwrap();
    let gate: Arc<Mutex<()>> = Arc::default();
    let closed = gate.lock().unwrap();
    says_behind(&fixture, &gate, token_of_p1());
    let bytes = format!("GET {} HTTP/1.1\r\nhost: a\r\nx-auth-token: t\r\n\r\n", path("p1"));
    let open = |_| {
        let mut client = http::Connection::open(fixture.edge.listeners["auth"]).unwrap();
        client.send(bytes.as_bytes()).unwrap();
        client
    };
    let first = open(0);
    fixture.keystone.wait_for_requests(1).unwrap();
    let mut clients: Vec<_> = (0..50).map(open).collect();
    wait_until_active(&fixture, 51);
    drop(first);
    fixture.keystone.wait_for_requests(1).unwrap();
    drop(closed);
    for client in &mut clients {
        assert_eq!(client.receive(false).unwrap().status, 200);
        // The connection serves on, and the token is remembered.
        assert_eq!(client.exchange(bytes.as_bytes()).unwrap().status, 200);
    }
    assert_eq!(fixture.keystone.take_requests().len(), 0);
    fixture.stop().unwrap();
}

/// Each waits as long as it may, from when it came.
#[test]
fn who_waits_for_a_keystone_that_hangs_is_told_in_time() {
    let auth = AUTH.replace(r#""timeout": "20s", "retries""#, r#""timeout": "0.5s", "retries""#);
    let fixture = Fixture::start(&[("auth", &auth)]).unwrap();
    fixture.keystone.set(Behaviour::Hang);
    let mut clients: Vec<_> =
        (0..3).map(|_| Connection::open(fixture.edge.listeners["auth"]).unwrap()).collect();
    let first = send(&mut clients[0], "t", "p1");
    fixture.keystone.wait_for_requests(1).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let (began, waits) = (Instant::now(), send(&mut clients[1], "t", "p1"));
    let other = send(&mut clients[2], "other", "p1");
    wait_until_active(&fixture, 3);
    // Whoever waits asks now, with what is left of its own time.
    first.reset();
    for (client, stream) in [(1, waits), (2, other)] {
        let answer = clients[client].receive(stream).unwrap().unwrap();
        assert_eq!(answer.status, 504, "{}", answer.text());
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(5), "{took:?}");
    }
    assert_eq!(fixture.keystone.take_requests().len(), 2);
    fixture.stop().unwrap();
}
