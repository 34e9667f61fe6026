//! Requests that ask the same share one callout, to Keystone or to the store: each gets its own answer, whoever hangs
//! up.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::edge::Fixture;
use testkit::http;
use testkit::http2::{Connection, Stream, request};
use testkit::store::{Behaviour, ScriptedStore};
use testkit::{PATIENCE, wait_for};

/// As many streams as there are on a connection of HTTP/2.
const STREAMS: usize = 100;

/// What all of a crowd ask.
#[derive(Clone, Copy)]
struct Asks {
    /// The plugin configuration, if the one who is asked has this timeout.
    configuration: fn(timeout: &str) -> Value,
    /// Who is asked.
    of: fn(&Fixture) -> &ScriptedStore,
    says: fn() -> Behaviour,
    connections: usize,
    /// Whether each tenth connection is for another project.
    for_two_projects: bool,
}

/// A thousand ask Keystone about one token.
const TOKEN: Asks = Asks {
    configuration: |timeout| {
        let keystone = json!({"cluster": "keystone", "timeout": timeout, "retries": 0});
        let auth = json!({"mode": "keystone", "keystone": keystone});
        json!({"store": {"cluster": "store", "timeout": LONG}, "auth": auth})
    },
    of: |fixture| &fixture.keystone,
    says: || {
        let token = json!({"project": {"id": "p1"}, "expires_at": "2100-01-01T00:00:00Z"});
        Behaviour::json(200, json!({"token": token}).to_string())
    },
    connections: 10,
    for_two_projects: true,
};

/// Five thousand ask the store for one count.
const COUNT: Asks = Asks {
    configuration: |timeout| {
        let store = json!({"cluster": "store", "timeout": timeout, "retries": 0});
        json!({"store": store, "cache": {"ttl": "3600s"}})
    },
    of: |fixture| &fixture.store,
    says: || Behaviour::json(200, r#"{"count":2}"#),
    connections: 50,
    for_two_projects: false,
};

/// A thousand ask Keystone about one token, and then the store for one count.
const TOKEN_AND_COUNT: Asks = Asks {
    configuration: |timeout| {
        let mut both = (TOKEN.configuration)(timeout);
        both["cache"] = json!({"ttl": "3600s"});
        both
    },
    for_two_projects: false,
    ..TOKEN
};

/// Longer than any crowd needs.
const LONG: &str = "60s";

fn path(project: &str) -> String {
    format!("/v2/{project}/os-vendor-backup-sharing/count")
}

/// Waits until Envoy has this many requests that are not answered.
fn wait_until_active(fixture: &Fixture, requests: usize) {
    let active = || fixture.edge.envoy.stat("http.edge.downstream_rq_active").unwrap();
    wait_for("the requests", PATIENCE, || (active() == requests as u64).then_some(())).unwrap();
}

fn send(client: &mut Connection, token: &str, project: &str) -> Stream {
    let fields = [("x-auth-token", token.as_bytes())];
    client.send(request("GET", path(project).as_bytes(), &fields).unwrap(), b"").unwrap()
}

struct Crowd<'g> {
    /// Dropped before the fixture, which waits for those behind the gate.
    closed: MutexGuard<'g, ()>,
    fixture: Fixture,
    clients: Vec<Connection>,
    streams: VecDeque<(usize, Stream)>,
}

impl Asks {
    fn start(self, timeout: &str) -> Fixture {
        Fixture::start(&[("edge", &(self.configuration)(timeout).to_string())]).unwrap()
    }

    /// Who is asked says this once the gate is open.
    fn says_behind(self, fixture: &Fixture, gate: &Arc<Mutex<()>>, says: Behaviour) {
        let gate = Arc::clone(gate);
        (self.of)(fixture).set(Behaviour::by_request(move |_| {
            drop(gate.lock());
            says.clone()
        }));
    }

    /// How often somebody was asked since the last look.
    fn callouts(self, fixture: &Fixture) -> usize {
        (self.of)(fixture).take_requests().len()
    }

    fn project(self, connection: usize) -> &'static str {
        if self.for_two_projects && connection % 10 == 9 { "p2" } else { "p1" }
    }

    /// All who ask wait, for the callout of the first.
    fn crowd(self, gate: &Arc<Mutex<()>>, says: Behaviour) -> Crowd<'_> {
        let fixture = self.start(LONG);
        let closed = gate.lock().unwrap();
        self.says_behind(&fixture, gate, says);
        let address = fixture.edge.listeners["edge"];
        let open = |_| Connection::open(address).unwrap();
        let mut clients: Vec<_> = (0..self.connections).map(open).collect();
        let mut streams = VecDeque::new();
        for (number, client) in clients.iter_mut().enumerate() {
            for _ in 0..STREAMS {
                streams.push_back((number, send(client, "t", self.project(number))));
                if streams.len() == 1 {
                    // The connections are written to side by side: it might not be the first to come.
                    (self.of)(&fixture).wait_for_requests(1).unwrap();
                }
            }
        }
        wait_until_active(&fixture, streams.len());
        assert_eq!(self.callouts(&fixture), 0);
        Crowd { closed, fixture, clients, streams }
    }
}

impl Crowd<'_> {
    /// Opens the gate; each request is answered by `expected`, which is told its project.
    fn answered(self, expected: impl Fn(&str) -> u16, asks: Asks) -> Fixture {
        let Crowd { closed, fixture, clients, streams } = self;
        drop(closed);
        for (client, stream) in streams {
            let answer = clients[client].receive(stream).unwrap().unwrap();
            assert_eq!(answer.status, expected(asks.project(client)), "{}", answer.text());
            assert!(answer.status != 200 || answer.text() == r#"{"count":2}"#, "{answer:?}");
        }
        wait_until_active(&fixture, 0);
        fixture
    }
}

fn own(project: &str) -> u16 {
    if project == "p1" { 200 } else { 403 }
}

#[test]
fn a_thousand_requests_share_one_callout_and_each_is_judged_by_its_own_project() {
    let gate = Arc::default();
    let fixture = TOKEN.crowd(&gate, (TOKEN.says)()).answered(own, TOKEN);
    assert_eq!(TOKEN.callouts(&fixture), 0, "nobody asked again");
    assert_eq!(fixture.store.take_requests().len(), 900);
    fixture.stop().unwrap();
}

#[test]
fn five_thousand_questions_share_one_callout() {
    let gate = Arc::default();
    let fixture = COUNT.crowd(&gate, (COUNT.says)()).answered(own, COUNT);
    assert_eq!(COUNT.callouts(&fixture), 0, "nobody asked again");
    fixture.stop().unwrap();
}

#[test]
fn who_shared_a_callout_about_a_token_shares_the_next_one_for_the_count() {
    let asks = TOKEN_AND_COUNT;
    let gate = Arc::default();
    let fixture = asks.crowd(&gate, (asks.says)()).answered(own, asks);
    assert_eq!(asks.callouts(&fixture), 0, "nobody asked Keystone again");
    assert_eq!(fixture.store.take_requests().len(), 1);
    fixture.stop().unwrap();
}

#[test]
fn a_refusal_is_shared_too() {
    let gate = Arc::default();
    let fixture = TOKEN.crowd(&gate, Behaviour::status(401)).answered(|_| 401, TOKEN);
    assert_eq!(TOKEN.callouts(&fixture), 0, "nobody asked again");
    fixture.stop().unwrap();
}

/// Nobody who came before it was there asks for another.
#[test]
fn what_must_not_be_remembered_is_shared_too() {
    let asks = Asks { connections: 10, ..COUNT };
    let no_store = Behaviour::Answer {
        status: 200,
        headers: vec![("cache-control".to_owned(), "no-store".to_owned())],
        body: br#"{"count":2}"#.to_vec(),
    };
    for (says, status) in [(no_store, 200), (Behaviour::status(503), 503)] {
        let gate = Arc::default();
        let fixture = asks.crowd(&gate, says).answered(|_| status, asks);
        assert_eq!(asks.callouts(&fixture), 0, "nobody asked again");
        let token: [(&str, &[u8]); 1] = [("x-auth-token", b"t")];
        fixture.request("edge", "GET", path("p1"), &token).unwrap();
        assert_eq!(asks.callouts(&fixture), 1, "it was remembered");
        fixture.stop().unwrap();
    }
}

#[test]
fn when_the_one_who_asked_hangs_up_another_asks_and_all_others_are_answered() {
    for asks in [TOKEN, COUNT] {
        let gate = Arc::default();
        let mut crowd = asks.crowd(&gate, (asks.says)());
        let (_, first) = crowd.streams.pop_front().unwrap();
        first.reset();
        (asks.of)(&crowd.fixture).wait_for_requests(1).unwrap();
        // One who waits may go too.
        crowd.streams.remove(500).unwrap().1.reset();
        let fixture = crowd.answered(own, asks);
        assert_eq!(asks.callouts(&fixture), 0, "one callout more");
        fixture.stop().unwrap();
    }
}

#[test]
fn over_http_1_1_too() {
    for asks in [TOKEN, COUNT] {
        let fixture = asks.start(LONG);
        let gate: Arc<Mutex<()>> = Arc::default();
        let closed = gate.lock().unwrap();
        asks.says_behind(&fixture, &gate, (asks.says)());
        let bytes = format!("GET {} HTTP/1.1\r\nhost: a\r\nx-auth-token: t\r\n\r\n", path("p1"));
        let open = |_| {
            let mut client = http::Connection::open(fixture.edge.listeners["edge"]).unwrap();
            client.send(bytes.as_bytes()).unwrap();
            client
        };
        let first = open(0);
        (asks.of)(&fixture).wait_for_requests(1).unwrap();
        let mut clients: Vec<_> = (0..300).map(open).collect();
        wait_until_active(&fixture, 301);
        drop(first);
        (asks.of)(&fixture).wait_for_requests(1).unwrap();
        drop(closed);
        for client in &mut clients {
            assert_eq!(client.receive(false).unwrap().status, 200);
            // The connection serves on, and the answer is remembered.
            assert_eq!(client.exchange(bytes.as_bytes()).unwrap().status, 200);
        }
        assert_eq!(asks.callouts(&fixture), 0);
        fixture.stop().unwrap();
    }
}

/// Each waits as long as it may, from when it came.
#[test]
fn who_waits_for_a_service_that_hangs_is_told_in_time() {
    for asks in [TOKEN, COUNT] {
        let fixture = asks.start("0.5s");
        (asks.of)(&fixture).set(Behaviour::Hang);
        let mut clients: Vec<_> =
            (0..3).map(|_| Connection::open(fixture.edge.listeners["edge"]).unwrap()).collect();
        let first = send(&mut clients[0], "t", "p1");
        (asks.of)(&fixture).wait_for_requests(1).unwrap();
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
            assert!(
                took >= Duration::from_millis(400) && took < Duration::from_secs(5),
                "{took:?}"
            );
        }
        assert_eq!(asks.callouts(&fixture), 2);
        fixture.stop().unwrap();
    }
}
