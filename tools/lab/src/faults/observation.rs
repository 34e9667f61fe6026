//! What was seen of one fault, and the judgement.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::service::{Service, TIMEOUT};
use super::updates::Updates;
use crate::load::{Judged, Kind, Latencies, P99, Quantiles, SLOWEST, Tally};
use crate::{Options, millis};

/// A rejection that had waited for the store would have taken its whole timeout; less than this is
/// a busy machine.
const UNDISTURBED: Duration = Duration::from_millis(TIMEOUT.as_millis() as u64 / 4);

/// What was seen of one fault.
#[derive(Debug, Default)]
pub struct Observation {
    /// What was done.
    fault: String,
    /// All of the load, from before the fault until after it.
    pub all: Tally,
    /// While the fault was there.
    pub during: Tally,
    /// Rejections before the fault came.
    before: Latencies,
    /// Streams and calls to the store that were still open seconds after the load.
    pub open: u64,
    /// From the fault's end until counts were right again.
    pub normal_after: Option<Duration>,
    /// Envoy's peak memory while the fault was there, in MiB.
    pub peak: Option<u64>,
    /// What came of updates.
    pub updates: Option<Updates>,
    /// What else should not have been seen.
    pub failures: Vec<String>,
}

/// A line of the page.
#[derive(Debug, Serialize)]
pub struct Figures<'a> {
    fault: &'a str,
    #[serde(flatten)]
    judged: Judged,
    counts_meanwhile: BTreeMap<u16, u64>,
    rejections_before: Quantiles,
    rejections_meanwhile: Quantiles,
    open_after: u64,
    normal_after: Option<f64>,
    peak_mib: Option<u64>,
    updates: Option<&'a Updates>,
    /// How many.
    failures: usize,
}

impl Observation {
    /// Of this fault, which comes after this.
    pub fn begin(fault: &str, before: &Tally) -> Self {
        let mut seen = Self { fault: fault.to_owned(), ..Self::default() };
        seen.before = before.latencies(Kind::Rejection);
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

    /// Open streams and trapped VMs.
    pub fn look_back(&mut self, service: &Service) -> Result<()> {
        self.open = service.open_after()?;
        self.failures.extend(service.edge.check_vms().err().map(|error| error.to_string()));
        Ok(())
    }

    /// Envoy closed connections, or its listener, on purpose: as long as it cut off no request, those
    /// without an answer had crossed with the close. How many it cut off.
    pub fn excuse_closes(&mut self, service: &Service) -> Result<u64> {
        let cut = service.stat("downstream_cx_destroy_local_active_rq")?;
        self.expect(cut == 0, format!("Envoy closed {cut} connections with a request in them"));
        if cut == 0 {
            self.all.excuse_closes();
        }
        Ok(cut)
    }

    /// What should not have been seen, a sentence each. Latencies are not judged in the quick form.
    pub fn judge(&self, options: &Options) -> Vec<String> {
        let mut failures = self.all.complaints();
        failures.extend(self.failures.iter().cloned());
        if self.open > 0 {
            failures.push(format!("{} streams were still open after the load", self.open));
        }
        let p99 = |kind| self.during.latencies(kind).quantile(0.99);
        let (before, meanwhile) = (self.before.quantile(0.99), p99(Kind::Rejection));
        // Requests that pass want no store either: what slows them down too is a busy machine.
        let disturbed = meanwhile > UNDISTURBED.max(before * 5).max(p99(Kind::Pass) * 2);
        if !options.quick && disturbed {
            failures.push(format!("rejections went from {before:?} to {meanwhile:?} (p99)"));
        }
        failures.iter().map(|failure| format!("{}: {failure}.", self.fault)).collect()
    }

    /// For the page.
    pub fn figures(&self, options: &Options) -> Figures<'_> {
        let meanwhile = self.during.latencies(Kind::Rejection);
        Figures {
            fault: &self.fault,
            judged: self.all.judged(),
            counts_meanwhile: self.during.statuses(Kind::Count).1,
            rejections_before: self.before.quantiles([P99, SLOWEST]),
            rejections_meanwhile: meanwhile.quantiles([P99, SLOWEST]),
            open_after: self.open,
            normal_after: self.normal_after.map(millis),
            peak_mib: self.peak,
            updates: self.updates.as_ref(),
            failures: self.judge(options).len(),
        }
    }
}

/// Without a fault, every count is a count; one in a hundred may be late, and in the quick form any. Else a failure.
pub fn only_counts(when: &str, tally: &Tally, options: &Options) -> Option<String> {
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
        let (mut seen, full) = (Observation::begin("x", &Tally::default()), Options::default());
        assert_eq!(seen.judge(&full), [""; 0]);
        seen.open = 1;
        seen.all.wrong_counts = 2;
        seen.expect(false, "y");
        assert_eq!(seen.judge(&full).len(), 3);
        assert!(seen.judge(&full).iter().all(|failure| failure.starts_with("x: ")));
    }
}
