//! What was seen of one fault, and the judgement.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::Options;
use crate::load::{Judged, Kind, Latencies, P99, Quantiles, SLOWEST, Tally};

/// How long the filter waits for the store.
pub const TIMEOUT: Duration = Duration::from_millis(400);

/// A rejection that had waited for the store would have taken its whole timeout; less than this is
/// a busy machine.
const UNDISTURBED: Duration = Duration::from_millis(TIMEOUT.as_millis() as u64 / 4);

/// What was seen of one fault.
#[derive(Debug, Default)]
pub struct Observation {
    /// All of the load, from before the fault until after it.
    pub all: Tally,
    /// While the fault was there.
    pub during: Tally,
    /// Rejections before the fault came.
    before: Latencies,
    /// What else should not have been seen.
    pub failures: Vec<String>,
    pub figures: Figures,
}

/// A line of the page.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    fault: String,
    #[serde(flatten)]
    judged: Judged,
    counts_meanwhile: BTreeMap<u16, u64>,
    rejections_before: Quantiles,
    rejections_meanwhile: Quantiles,
    /// Streams and calls to the store that were still open seconds after the load.
    pub open_after: u64,
    /// From the fault's end until counts were right again.
    pub normal_after: Option<f64>,
    /// Envoy's, while the fault was there.
    pub peak_mib: Option<u64>,
    pub updates: Option<Updates>,
    /// How many.
    failures: usize,
}

/// What came of updates of Envoy's configuration.
#[derive(Debug, Serialize)]
pub struct Updates {
    /// `--drain-strategy`.
    pub strategy: &'static str,
    pub published: u64,
    pub taken: u64,
    /// From the file to the first answer that only this configuration gives: the slowest, in milliseconds.
    pub slowest: f64,
    pub connections_closed: u64,
    /// Closed by Envoy with a request in them.
    pub cut: u64,
    pub vms_before: u64,
    pub vms_after: u64,
    /// Whether an update with an invalid configuration was refused, and the one before stayed.
    pub invalid_refused: bool,
}

impl Observation {
    /// Of this fault, which comes after this.
    pub fn begin(fault: &str, before: &Tally) -> Self {
        let mut seen = Self { before: before.latencies(Kind::Rejection), ..Self::default() };
        seen.figures.fault = fault.to_owned();
        seen.all.merge(before);
        seen
    }

    /// While the fault is there.
    pub fn meanwhile(&mut self, tally: &Tally) {
        self.during.merge(tally);
        self.all.merge(tally);
    }

    /// Notes a failure unless it is `good`.
    pub fn expect(&mut self, good: bool, otherwise: impl Into<String>) {
        if !good {
            self.failures.push(otherwise.into());
        }
    }

    /// What the page shows, and what should not have been seen, a sentence each. Latencies are not judged in the
    /// quick form.
    pub fn judge(mut self, options: &Options) -> (Figures, Vec<String>) {
        self.failures.splice(..0, self.all.complaints());
        let open = self.figures.open_after;
        self.expect(open == 0, format!("{open} streams were still open after the load"));
        let rejections = self.during.latencies(Kind::Rejection);
        let (before, meanwhile) = (self.before.quantile(0.99), rejections.quantile(0.99));
        // Requests that pass want no store either: what slows them down too is a busy machine.
        let passed = self.during.latencies(Kind::Pass).quantile(0.99);
        let disturbed = meanwhile > UNDISTURBED.max(before * 5).max(passed * 2);
        let sentence = format!("rejections went from {before:?} to {meanwhile:?} (p99)");
        self.expect(options.quick || !disturbed, sentence);
        let figures = Figures {
            judged: self.all.judged(),
            counts_meanwhile: self.during.statuses(Kind::Count).1,
            rejections_before: self.before.quantiles([P99, SLOWEST]),
            rejections_meanwhile: rejections.quantiles([P99, SLOWEST]),
            failures: self.failures.len(),
            ..self.figures
        };
        let of = |failure| format!("{}: {failure}.", figures.fault);
        let failures = self.failures.iter().map(of).collect();
        (figures, failures)
    }
}

/// Without a fault, every count is a count; one in a hundred may be late, and in the quick form any. Else a failure.
pub fn unless_only_counts(when: &str, tally: &Tally, options: &Options) -> Option<String> {
    let (counts, late) = (tally.answers(Kind::Count, 200), tally.answers(Kind::Count, 504));
    let (answered, statuses) = tally.statuses(Kind::Count);
    let too_late = !options.quick && late * 100 > answered;
    let good = counts > 0 && !too_late && counts + late == answered;
    (!good).then(|| format!("{when}, counts were answered {statuses:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_should_not_be_is_said() {
        let (begin, full) = (|| Observation::begin("x", &Tally::default()), Options::default());
        assert_eq!(begin().judge(&full).1, [""; 0]);
        let mut seen = begin();
        seen.figures.open_after = 1;
        seen.all.wrong_counts = 2;
        seen.expect(false, "y");
        let (figures, failures) = seen.judge(&full);
        assert_eq!((figures.failures, failures.len()), (3, 3));
        assert!(failures.iter().all(|failure| failure.starts_with("x: ")));
    }
}
