//! What came of a load.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::ask::Kind;
use crate::millis;

/// How many examples of what went wrong are kept.
const EXAMPLES: usize = 5;

/// What came of a load, or of a part of it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    sent: BTreeMap<Kind, u64>,
    answers: BTreeMap<(Kind, u16), Latencies>,
    /// 200 with a count that is not this request's.
    pub wrong_counts: u64,
    /// Answers that are not documented for their request: another status, another body, a rejection
    /// without its status, a passed request that the upstream did not answer.
    pub undocumented: u64,
    /// Requests on a live connection that got no whole answer.
    pub lost: u64,
    /// Requests that crossed with the close of a connection that had served before: only Envoy's
    /// counters tell whether it had taken them.
    pub crossed: u64,
    /// Requests on a new connection that was reset unanswered: lost, unless its listener was closing
    /// and Envoy had never taken the connection.
    pub unaccepted: u64,
    /// Connections refused: nothing was asked.
    pub refused: u64,
    /// Connections the server closed between two requests, announced or not.
    pub closed: u64,
    /// Answers that had been remembered, and the `age` of the oldest in seconds.
    pub remembered: u64,
    pub oldest: u64,
    /// Up to five sentences about what should not have been.
    pub examples: Vec<String>,
    closes_excused: bool,
}

/// How long answers took, to one part in a hundred.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u32>);

/// Of [`Tally`], what every page shows.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Judged {
    requests: u64,
    wrong_counts: u64,
    undocumented: u64,
    lost: u64,
    crossed: u64,
    remembered: u64,
    oldest: u64,
}

/// A share of all, and what a page calls it.
pub type Share = (&'static str, f64);
/// Half of all took no longer.
pub const HALF: Share = ("half", 0.5);
/// 99 of 100 took no longer.
pub const P99: Share = ("p99", 0.99);
/// None took longer.
pub const SLOWEST: Share = ("slowest", 1.0);

/// What these shares of all did not exceed, in milliseconds.
pub type Quantiles = BTreeMap<&'static str, f64>;

impl Tally {
    /// How many requests of a kind were sent.
    pub fn sent(&self, kind: Kind) -> u64 {
        self.sent.get(&kind).copied().unwrap_or_default()
    }

    /// How many requests were sent.
    pub fn requests(&self) -> u64 {
        self.sent.values().sum()
    }

    /// How many answers of this status requests of a kind got.
    pub fn answers(&self, kind: Kind, status: u16) -> u64 {
        self.answers.get(&(kind, status)).map_or(0, Latencies::number)
    }

    /// How many answers requests of a kind got, and how many of each status.
    pub fn statuses(&self, kind: Kind) -> (u64, BTreeMap<u16, u64>) {
        let answers = self.answers.iter().filter(|((of, _), _)| *of == kind);
        let statuses = answers.map(|((_, status), latencies)| (*status, latencies.number()));
        let statuses: BTreeMap<_, _> = statuses.collect();
        (statuses.values().sum(), statuses)
    }

    /// How long answers of this status took.
    pub fn latencies_of(&self, kind: Kind, status: u16) -> Latencies {
        self.answers.get(&(kind, status)).cloned().unwrap_or_default()
    }

    /// How long all answers to a kind took.
    pub fn latencies(&self, kind: Kind) -> Latencies {
        let mut all = Latencies::default();
        let answers = self.answers.iter().filter(|((of, _), _)| *of == kind);
        answers.for_each(|(_, latencies)| all.merge(latencies));
        all
    }

    /// For the pages.
    pub fn judged(&self) -> Judged {
        let Tally { wrong_counts, undocumented, crossed, remembered, oldest, .. } = *self;
        let lost = self.lost + self.unaccepted;
        let requests = self.requests();
        Judged { requests, wrong_counts, undocumented, lost, crossed, remembered, oldest }
    }

    /// A sentence for each way in which answers were not as they should be; lost ones included, and
    /// crossed ones too: where connections may be closed, [`excuse_closes`](Self::excuse_closes).
    pub fn complaints(&self) -> Vec<String> {
        let ways = [
            (self.wrong_counts, "wrong counts"),
            (self.undocumented, "undocumented answers"),
            (self.lost + self.unaccepted, "requests lost"),
            (if self.closes_excused { 0 } else { self.crossed }, "requests crossed with a close"),
        ];
        let seen = ways.into_iter().filter(|(number, _)| *number > 0);
        seen.map(|(number, what)| format!("{number} {what}, such as {:?}", self.examples)).collect()
    }

    /// Connections, or the listener, were closed on purpose, and Envoy says that it cut off no
    /// request: those without an answer had crossed with the close.
    pub fn excuse_closes(&mut self) {
        self.crossed += std::mem::take(&mut self.unaccepted);
        self.closes_excused = true;
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Tally) {
        for (kind, sent) in &other.sent {
            *self.sent.entry(*kind).or_default() += sent;
        }
        for (of, latencies) in &other.answers {
            self.answers.entry(*of).or_default().merge(latencies);
        }
        self.wrong_counts += other.wrong_counts;
        self.undocumented += other.undocumented;
        self.lost += other.lost;
        self.crossed += other.crossed;
        self.unaccepted += other.unaccepted;
        self.closes_excused |= other.closes_excused;
        self.refused += other.refused;
        self.closed += other.closed;
        self.remembered += other.remembered;
        self.oldest = self.oldest.max(other.oldest);
        self.examples.extend(other.examples.iter().cloned());
        self.examples.truncate(EXAMPLES);
    }

    pub(super) fn send(&mut self, kind: Kind) {
        *self.sent.entry(kind).or_default() += 1;
    }

    pub(super) fn answer(&mut self, kind: Kind, status: u16, took: Duration) {
        self.answers.entry((kind, status)).or_default().record(took);
    }

    /// `sentence` is only asked for while examples are wanted.
    pub(super) fn example(&mut self, sentence: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(sentence());
        }
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new(2).expect("two digits are a precision"))
    }
}

impl Latencies {
    fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.record(micros).expect("it grows by itself");
    }

    fn merge(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("it grows by itself");
    }

    /// How many there are.
    pub fn number(&self) -> u64 {
        self.0.len()
    }

    /// What this share of all does not exceed, such as 0.99; zero if there is none.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }

    /// For the pages.
    pub fn quantiles<const N: usize>(&self, shares: [Share; N]) -> Quantiles {
        shares.into_iter().map(|(name, share)| (name, millis(self.quantile(share)))).collect()
    }
}
