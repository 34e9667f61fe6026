//! One connection's share of the load.

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

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    pub load: Load,
    pub asks: Asks,
    pub ended: AtomicBool,
    /// Requests still to be sent.
    pub left: AtomicU64,
    /// One for each worker, so that none waits for another.
    pub tallies: Vec<Mutex<Tally>>,
}

/// Asks until the load ends.
pub fn work(shared: &Shared, number: usize) {
    let worker = Worker { shared, tally: &shared.tallies[number] };
    let mut random = Rng::with_seed(number as u64);
    let mut client = None;
    while worker.takes_a_turn() {
        let kind = shared.load.mix.pick(&mut random);
        let Some(ready) = worker.connected(client.take()) else {
            shared.left.fetch_add(1, Ordering::Relaxed);
            thread::sleep(REFUSED);
            continue;
        };
        let ask = shared.asks.pick(kind, &mut random);
        client = match kind {
            Kind::HangUp => {
                worker.tally().send(kind);
                // Some time before or after the store was asked.
                let after = Duration::from_micros(random.u64(..HANG_UP));
                ready.hang_up(&ask.bytes, after, random.bool());
                None
            }
            kind => worker.ask(ready, kind, ask),
        };
        if !shared.load.pause.is_zero() {
            thread::sleep(shared.load.pause);
        }
    }
}

struct Worker<'a> {
    shared: &'a Shared,
    tally: &'a Mutex<Tally>,
}

impl Worker<'_> {
    fn takes_a_turn(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        !self.shared.ended.load(Ordering::Relaxed)
            && self.shared.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

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
        match Client::open(self.shared.load.address) {
            Ok(client) => Some(client),
            Err(_) => {
                self.tally().refused += 1;
                None
            }
        }
    }

    fn ask(&self, mut client: Client, kind: Kind, ask: &Ask) -> Option<Client> {
        let asked = Instant::now();
        self.tally().send(kind);
        let answer = client.ask(&ask.bytes);
        let took = asked.elapsed();
        match answer {
            Ok(answer) => {
                self.note(kind, ask, &answer, took);
                let closes =
                    answer.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"));
                self.tally().closed += u64::from(closes);
                (!closes).then_some(client)
            }
            Err(failure) => {
                let mut tally = self.tally();
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

    fn note(&self, kind: Kind, ask: &Ask, answer: &Response, took: Duration) {
        let verdict = judge(ask, answer);
        let mut tally = self.tally();
        tally.answer(kind, answer.status, took);
        let text = || {
            let body = String::from_utf8_lossy(&answer.body);
            let body: String = body.chars().take(200).collect();
            format!("{} gave {} {body}, not {:?}", first_line(ask), answer.status, ask.expected)
        };
        match verdict {
            Verdict::Right => return,
            Verdict::WrongCount => tally.wrong_counts += 1,
            Verdict::Undocumented => tally.undocumented += 1,
        }
        tally.example(text);
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn first_line(ask: &Ask) -> String {
    let line = ask.bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).into_owned()
}
