//! Requests with equal tokens at the same time share one callout (docs/contract.md#callers), and so do those that are
//! counted alike (docs/contract.md#remembered-counts): each event that a worker can see, in any order, against a list of
//! who waits.
//!
//! The events are carried out as `src/glue` does it: a request that was answered by a tick belongs to the root context
//! from then on, and what waits for a tick is dropped on the first one after its client has left.

mod answers;

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, SystemTime};

use backup_sharing_count::edge::{Edge, Step};
use backup_sharing_count::request::Header;
use backup_sharing_count::waiting::{Held, Waiting};

use crate::keystone::Verdict;

use answers::{TOKENS, counted, failed, resume, verdict};

const CONFIGURATION: &[u8] =
    br#"{"store":{"cluster":"store"},"auth":{"mode":"keystone","keystone":{
    "cluster":"id","timeout":"0.1s","retries":2,"roles":["member"],"remember":"1s"}}}"#;
/// Each token is a question to the store.
const COUNTS: &[u8] =
    br#"{"store":{"cluster":"store","timeout":"0.1s","retries":2},"cache":{"ttl":"1s"}}"#;
const TIMEOUT: Duration = Duration::from_millis(100);
const REMEMBER: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// A request.
#[derive(Debug)]
struct Client {
    token: usize,
    project: &'static str,
    arrived: Duration,
    /// How many verdicts on its token there were before.
    verdicts: usize,
    state: State,
}

#[derive(Debug, PartialEq)]
enum State {
    Waits,
    Ended,
    Left,
}

/// A callout to Keystone.
struct Flight {
    client: usize,
    /// The root context sent it, and waits for it even if its client leaves.
    of_root: bool,
    waiting: Box<Waiting>,
    until: Duration,
}

/// One worker.
struct World {
    edge: Edge,
    /// Whether the store is asked, and not Keystone.
    counts: bool,
    now: Duration,
    clients: Vec<Client>,
    flights: Vec<Flight>,
    held: VecDeque<(usize, Box<Held>)>,
    tokens: [Token; TOKENS.len()],
}

/// What is known of a token.
#[derive(Default)]
struct Token {
    /// The request that has asked about it, until there is a verdict or it has gone.
    leader: Option<usize>,
    verdicts: Vec<Verdict>,
    /// What is remembered, and how long.
    remembered: Option<(Verdict, Duration)>,
}

/// Two characters are an event, and blank space between them is ignored: `r` and a digit for a request (which token,
/// which project), `l` and a digit for a client that leaves, `w` and a digit for time that passes, `k0` for a tick;
/// others for the end of a callout: `g` good, `x` or `n` refused, `b` broken off, `v` reset, `u` unavailable,
/// `z` an error, `h` not sent, `t` late. Any bytes are events. If the first is `s`, the store is asked, else Keystone.
pub fn check(text: &[u8]) {
    const TIMES: [u32; 10] = [1, 2, 3, 7, 10, 24, 50, 75, 99, 400];
    let counts = text.first() == Some(&b's');
    let configuration = if counts { COUNTS } else { CONFIGURATION };
    let mut world = World {
        edge: Edge::new(configuration).expect("a valid configuration"),
        counts,
        now: Duration::ZERO,
        clients: Vec::new(),
        flights: Vec::new(),
        held: VecDeque::new(),
        tokens: Default::default(),
    };
    let events: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    for event in events.chunks_exact(2).take(200) {
        let number = usize::from(event[1].wrapping_sub(b'0'));
        match event[0] {
            b'r' if world.clients.len() < 60 => world.arrives(number),
            b'l' => world.leaves(number),
            b'w' => world.pass(TIMES[number % TIMES.len()]),
            b'k' => world.tick(),
            kind if !world.flights.is_empty() => {
                let flight = world.flights.remove(number % world.flights.len());
                world.ends(flight, kind);
            }
            _ => {}
        }
        assert_eq!(world.edge.open_questions(), world.asked_about());
    }
    world.pass(150);
    assert!(world.flights.is_empty() && world.held.is_empty(), "nobody waits for ever");
    assert!(world.clients.iter().all(|client| client.state != State::Waits));
    assert_eq!(world.edge.open_questions(), 0, "nothing is left");
}

impl World {
    fn clock(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.now
    }

    fn arrives(&mut self, number: usize) {
        let token = number % TOKENS.len();
        let project = ["p0", "p1"][number / TOKENS.len() % if self.counts { 1 } else { 2 }];
        let state = State::Waits;
        let verdicts = self.tokens[token].verdicts.len();
        let client = self.clients.len();
        self.clients.push(Client { token, project, arrived: self.now, verdicts, state });
        let (path, name) = (call(project), token.to_string());
        let headers: [Header; 2] = [(b":method", b"GET"), (b"x-auth-token", name.as_bytes())];
        let target = self.edge.locate(path.as_bytes()).expect("the call");
        let step = self.edge.begin(target, headers.into_iter(), || self.clock());
        let remembered = self.tokens[token].remembered.clone();
        let remembered = remembered.filter(|(_, until)| self.now < *until);
        self.goes_on(client, remembered.map(|(verdict, _)| verdict), step, false);
    }

    /// A request that has not asked: it ends by a verdict, waits for the one who has asked, or asks.
    fn goes_on(&mut self, client: usize, verdict: Option<Verdict>, step: Step, of_root: bool) {
        let leader = self.tokens[self.clients[client].token].leader;
        match (verdict, leader, &step) {
            (Some(verdict), ..) => self.check_end(client, &verdict, &step),
            (None, Some(_), Step::Hold(_)) => self.carry_on(client, step, of_root),
            (None, None, _) => {
                // Who has less than a quarter of its time left does not ask for others.
                let left = TIMEOUT.saturating_sub(self.now - self.clients[client].arrived);
                assert_eq!(matches!(step, Step::Callout(_)), left * 4 >= TIMEOUT, "{step}");
                self.carry_on(client, step, of_root);
            }
            (None, leader, step) => panic!("the leader is {leader:?}, the request {step}"),
        }
    }

    /// What the glue does with a step that ends nothing.
    fn carry_on(&mut self, client: usize, step: Step, of_root: bool) {
        match step {
            Step::Hold(held) => self.held.push_back((client, held)),
            Step::Callout(waiting) => {
                let Client { token, arrived, .. } = self.clients[client];
                let name = token.to_string();
                let header = if self.counts { "x-auth-token" } else { "x-subject-token" };
                assert!(waiting.callout().headers().contains(&(header, name.as_str())));
                self.tokens[token].leader = Some(client);
                let until = self.now + waiting.timeout();
                assert_eq!(until, arrived + TIMEOUT, "whoever asks for others has its own time");
                self.flights.push(Flight { client, of_root, waiting, until });
            }
            step => panic!("{step}"),
        }
    }

    /// A client leaves: what its request holds is dropped, but not what the root context holds.
    fn leaves(&mut self, number: usize) {
        let waits = |client: &Client| client.state == State::Waits;
        let there: Vec<usize> =
            (0..self.clients.len()).filter(|&client| waits(&self.clients[client])).collect();
        let Some(&client) = there.get(number % there.len().max(1)) else { return };
        self.clients[client].state = State::Left;
        let own = |flight: &Flight| flight.client == client && !flight.of_root;
        if self.flights.iter().any(own) {
            self.flights.retain(|flight| !own(flight));
            self.forget(client);
        }
    }

    /// Whoever asked has gone.
    fn forget(&mut self, client: usize) {
        let leader = &mut self.tokens[self.clients[client].token].leader;
        if *leader == Some(client) {
            *leader = None;
        }
    }

    fn pass(&mut self, millis: u32) {
        for _ in 0..millis {
            self.now += MILLISECOND;
            while let Some(at) = self.flights.iter().position(|flight| flight.until <= self.now) {
                let flight = self.flights.remove(at);
                self.ends(flight, b't');
            }
            if !self.held.is_empty() && self.now.as_millis().is_multiple_of(2) {
                self.tick();
            }
        }
    }

    fn ends(&mut self, flight: Flight, kind: u8) {
        let Flight { client, of_root, waiting, .. } = flight;
        let token = self.clients[client].token;
        let now = self.clock();
        let step = resume(waiting, kind, token, self.counts, &|| now);
        let verdict = match (kind, &step) {
            (b'g', _) if self.counts => counted("store_count"),
            (b'x' | b'n', _) if self.counts => {
                let status = if kind == b'x' { 401 } else { 404 };
                Verdict::Failed(status, "store_fault".to_owned())
            }
            (b'g', _) => verdict(token),
            (b'x' | b'n', _) => Verdict::Refused,
            (_, Step::Reply(reply)) => failed(reply),
            _ if self.clients[client].state == State::Left => return self.forget(client),
            _ => return self.carry_on(client, step, of_root),
        };
        self.concludes(client, verdict, &step);
    }

    fn concludes(&mut self, client: usize, verdict: Verdict, step: &Step) {
        let Client { token, arrived, .. } = self.clients[client];
        let known = &mut self.tokens[token];
        known.leader = None;
        known.verdicts.push(verdict.clone());
        let until = match &verdict {
            Verdict::Known(caller) => {
                let expires = caller.expires.duration_since(SystemTime::UNIX_EPOCH).expect("later");
                Some(expires.min(arrived + REMEMBER))
            }
            Verdict::Refused => Some(arrived + REMEMBER),
            _ => None,
        };
        if let Some(until) = until {
            known.remembered = Some((verdict.clone(), until));
        }
        if verdict == counted("store_count") {
            known.remembered = Some((counted("cache_hit"), self.now + REMEMBER));
        }
        if self.clients[client].state == State::Waits {
            self.check_end(client, &verdict, step);
        }
    }

    fn tick(&mut self) {
        for (client, held) in mem::take(&mut self.held) {
            if self.clients[client].state == State::Left {
                self.forget(client);
                continue;
            }
            let Client { token, arrived, verdicts, .. } = self.clients[client];
            let known = &self.tokens[token];
            let late = || {
                let details = if self.counts { "store_timeout" } else { "auth_timeout" };
                (self.now - arrived >= TIMEOUT).then(|| Verdict::Failed(504, details.to_owned()))
            };
            let verdict = known.verdicts.get(verdicts).cloned().or_else(late);
            match (held.poll(self.clock()), known.leader == Some(client)) {
                (Step::Reply(reply), true) => {
                    self.concludes(client, failed(&reply), &Step::Reply(reply));
                }
                (step, true) => self.carry_on(client, step, true),
                (step, false) => self.goes_on(client, verdict, step, true),
            }
        }
    }

    /// How many tokens are asked about: by somebody, or by nobody until the next tick, for whoever asked has gone.
    fn asked_about(&self) -> usize {
        let open = |number: usize, token: &Token| {
            let client = |(client, _): &(usize, _)| &self.clients[*client];
            let verdicts = token.verdicts.len();
            let mut waiting = self.held.iter().map(client);
            token.leader.is_some()
                || waiting.any(|it| it.token == number && it.verdicts == verdicts)
        };
        self.tokens.iter().enumerate().filter(|(number, token)| open(*number, token)).count()
    }

    /// Asserts that a request ends as the verdict on its token says, for its own project.
    fn check_end(&mut self, client: usize, verdict: &Verdict, step: &Step) {
        let now = self.clock();
        let client = &mut self.clients[client];
        assert_eq!(mem::replace(&mut client.state, State::Ended), State::Waits, "it ends once");
        let waited = self.now - client.arrived;
        // Of the ticks, which come each other millisecond, it may take the next.
        assert!(waited <= TIMEOUT + MILLISECOND, "it waits for {waited:?}");
        match (verdict.answer(client.project, now), step) {
            (Some(expected), Step::Reply(reply)) => {
                assert_eq!((reply.status, &*reply.details), expected, "{client:?}");
                let own = format!("{{\"count\":{}}}", client.token);
                assert!(reply.status != 200 || reply.body == own, "another's count: {reply:?}");
            }
            (None, Step::Callout(waiting)) => {
                assert_eq!(waiting.callout().service().cluster, "store");
                let path = call(client.project);
                assert!(waiting.callout().headers().contains(&(":path", path.as_str())));
                let (project, role, _) = TOKENS[client.token];
                assert_eq!((client.project, "member"), (project, role));
            }
            (expected, step) => panic!("{client:?}: expected {expected:?}, got {step}"),
        }
    }
}

fn call(project: &str) -> String {
    format!("/v2/{project}/os-vendor-backup-sharing/count")
}
