//! One connection's share of a load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use testkit::http::Response;

use super::Load;
use super::ask::{Ask, Asks, Kind};
use super::client::{Between, Client, Failure};
use super::judge::{Verdict, judge};
use super::tally::Tally;

/// Before the next try where connections are refused.
const REFUSED: Duration = Duration::from_millis(10);

/// At most this long a client waits before it hangs up, in microseconds.
const HANG_UP: u64 = 3_000;

/// What all connections of a load share.
#[derive(Debug)]
pub struct Shared {
    load: Load,
    asks: Asks,
    pub ended: AtomicBool,
    /// Requests still to be sent.
    left: AtomicU64,
    /// One for each connection, so that none waits for another.
    tallies: Vec<Mutex<Tally>>,
}

struct Worker<'a> {
    shared: &'a Shared,
    tally: &'a Mutex<Tally>,
    random: Rng,
}

impl Shared {
    pub fn new(load: Load) -> Self {
        Self {
            load,
            asks: Asks::default(),
            ended: AtomicBool::new(false),
            left: AtomicU64::new(load.requests.unwrap_or(u64::MAX)),
            tallies: (0..load.connections).map(|_| Mutex::default()).collect(),
        }
    }

    /// Asks on the connection of this number until the load ends.
    pub fn work(&self, number: usize) {
        let (tally, random) = (&self.tallies[number], Rng::with_seed(number as u64));
        let mut worker = Worker { shared: self, tally, random };
        let mut client = None;
        while self.takes_a_turn() {
            match worker.connected(client.take()) {
                Some(ready) => client = worker.take_turn(ready),
                None => {
                    self.left.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(REFUSED);
                    continue;
                }
            }
            thread::sleep(self.load.pause);
        }
    }

    /// What came since the last call.
    pub fn take(&self) -> Tally {
        self.tallies.iter().fold(Tally::default(), |mut all, tally| {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            all.merge(&std::mem::take(&mut *tally));
            all
        })
    }

    fn takes_a_turn(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        !self.ended.load(Ordering::Relaxed)
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }
}

impl Worker<'_> {
    /// The connection, if it still serves, or a new one.
    fn connected(&self, client: Option<Client>) -> Option<Client> {
        match client.map(|client| (client.between(), client)) {
            Some((Between::Quiet, client)) => return Some(client),
            Some((Between::Closed, _)) => self.tally().closed += 1,
            Some((Between::Talking, _)) => {
                let mut tally = self.tally();
                tally.undocumented += 1;
                tally.example(|| "bytes nobody asked for".to_owned());
            }
            None => {}
        }
        let client = Client::open(self.shared.load.address).ok();
        self.tally().refused += u64::from(client.is_none());
        client
    }

    /// Sends one request; the connection, if it may serve again.
    fn take_turn(&mut self, mut client: Client) -> Option<Client> {
        let kind = self.shared.load.mix.pick(&mut self.random);
        let ask = self.shared.asks.pick(kind, &mut self.random);
        self.tally().send(kind);
        if kind == Kind::HangUp {
            // Some time before or after the store was asked.
            let after = Duration::from_micros(self.random.u64(..HANG_UP));
            client.hang_up(&ask.bytes, after, self.random.bool());
            return None;
        }
        let asked = Instant::now();
        let answer = client.ask(&ask.bytes);
        let took = asked.elapsed();
        let mut tally = self.tally();
        match answer {
            Ok(answer) => {
                let truth = self.shared.load.truth;
                let verdict = judge(ask, &answer, truth, (asked, asked + took));
                note(&mut tally, kind, ask, &answer, took, verdict);
                let closes = answer.header("connection");
                let closes = closes.is_some_and(|it| it.eq_ignore_ascii_case("close"));
                tally.closed += u64::from(closes);
                (!closes).then_some(client)
            }
            Err(failure) => {
                *match failure {
                    Failure::Crossed => &mut tally.crossed,
                    Failure::Unaccepted => &mut tally.unaccepted,
                    Failure::Lost(_) => &mut tally.lost,
                    Failure::Malformed(_) => &mut tally.undocumented,
                } += 1;
                tally.example(|| format!("{failure:?} after {took:?}: {}", first_line(ask)));
                None
            }
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note(
    tally: &mut Tally,
    kind: Kind,
    ask: &Ask,
    answer: &Response,
    took: Duration,
    verdict: Verdict,
) {
    tally.answer(kind, answer.status, took);
    let age = answer.header("age").and_then(|age| age.parse().ok());
    tally.remembered += u64::from(age.is_some());
    tally.oldest = tally.oldest.max(age.unwrap_or_default());
    match verdict {
        Verdict::Right => return,
        Verdict::WrongCount => tally.wrong_counts += 1,
        Verdict::Undocumented => tally.undocumented += 1,
    }
    tally.example(|| {
        let body: String = answer.text().chars().take(200).collect();
        format!("{} gave {} {body}, not {:?}", first_line(ask), answer.status, ask.expected)
    });
}

fn first_line(ask: &Ask) -> String {
    let line = ask.bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).into_owned()
}
