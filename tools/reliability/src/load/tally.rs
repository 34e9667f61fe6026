//! What came of a load.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ask::Kind;
use super::histogram::Histogram;

/// How many examples of what went wrong are kept.
const EXAMPLES: usize = 5;

/// What came of a load, or of a part of it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By kind: how many were sent, and how long each status took.
    kinds: [OfKind; Kind::ALL.len()],
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
    /// Up to five sentences about what should not have been.
    pub examples: Vec<String>,
    closes_excused: bool,
}

#[derive(Clone, Debug, Default)]
struct OfKind {
    sent: u64,
    answers: BTreeMap<u16, Histogram>,
}

impl Tally {
    /// How many requests of a kind were sent.
    pub fn sent(&self, kind: Kind) -> u64 {
        self.kinds[kind as usize].sent
    }

    /// How many requests were sent.
    pub fn requests(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.sent).sum()
    }

    /// How many answers of this status requests of a kind got.
    pub fn answers(&self, kind: Kind, status: u16) -> u64 {
        self.kinds[kind as usize].answers.get(&status).map_or(0, Histogram::count)
    }

    /// How many answers of each status requests of a kind got.
    pub fn statuses(&self, kind: Kind) -> BTreeMap<u16, u64> {
        let answers = &self.kinds[kind as usize].answers;
        answers.iter().map(|(status, histogram)| (*status, histogram.count())).collect()
    }

    /// How long answers of this status took.
    pub fn latency_of(&self, kind: Kind, status: u16) -> Histogram {
        self.kinds[kind as usize].answers.get(&status).cloned().unwrap_or_default()
    }

    /// How long all answers to a kind took.
    pub fn latency(&self, kind: Kind) -> Histogram {
        let mut all = Histogram::default();
        for histogram in self.kinds[kind as usize].answers.values() {
            all.merge(histogram);
        }
        all
    }

    /// A sentence for each way in which answers were not as they should be; lost ones included, and
    /// crossed ones too: where connections may be closed, [`excuse_closes`](Self::excuse_closes).
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for (count, what) in [
            (self.wrong_counts, "wrong counts"),
            (self.undocumented, "undocumented answers"),
            (self.lost + self.unaccepted, "requests lost"),
            (if self.closes_excused { 0 } else { self.crossed }, "requests crossed with a close"),
        ] {
            if count > 0 {
                complaints.push(format!("{count} {what}, such as {:?}", self.examples));
            }
        }
        complaints
    }

    /// Connections, or the listener, were closed on purpose, and Envoy says that it cut off no
    /// request: those without an answer had crossed with the close.
    pub fn excuse_closes(&mut self) {
        self.crossed += std::mem::take(&mut self.unaccepted);
        self.closes_excused = true;
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Tally) {
        for (ours, theirs) in self.kinds.iter_mut().zip(&other.kinds) {
            ours.sent += theirs.sent;
            for (status, histogram) in &theirs.answers {
                ours.answers.entry(*status).or_default().merge(histogram);
            }
        }
        self.wrong_counts += other.wrong_counts;
        self.undocumented += other.undocumented;
        self.lost += other.lost;
        self.crossed += other.crossed;
        self.unaccepted += other.unaccepted;
        self.closes_excused |= other.closes_excused;
        self.refused += other.refused;
        self.closed += other.closed;
        self.examples.extend(other.examples.iter().cloned());
        self.examples.truncate(EXAMPLES);
    }

    pub(super) fn send(&mut self, kind: Kind) {
        self.kinds[kind as usize].sent += 1;
    }

    pub(super) fn answer(&mut self, kind: Kind, status: u16, took: Duration) {
        self.kinds[kind as usize].answers.entry(status).or_default().record(took);
    }

    /// `sentence` is only asked for while examples are wanted.
    pub(super) fn example(&mut self, sentence: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(sentence());
        }
    }
}
