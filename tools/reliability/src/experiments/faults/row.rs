//! One fault's row: what was seen, and the judgement.

use std::time::Duration;

use super::bench::TIMEOUT;
use crate::Scale;
use crate::load::{Histogram, Kind, Tally};

/// A rejection that had waited for the store would have taken its whole timeout; less than this is
/// a busy machine.
const UNDISTURBED: Duration = Duration::from_millis(TIMEOUT.as_millis() as u64 / 4);

/// What was seen of one fault.
#[derive(Debug, Default)]
pub struct Row {
    /// What was done.
    pub fault: String,
    /// All of the load, from before the fault until after it.
    pub all: Tally,
    /// While the fault was there.
    pub during: Tally,
    /// Rejections before the fault came.
    pub healthy: Histogram,
    /// Streams and calls to the store that were still open seconds after the load.
    pub open: u64,
    /// From the fault's end until counts were right again.
    pub normal_after: Option<Duration>,
    /// Envoy's peak memory while the fault was there, in MiB.
    pub peak: Option<u64>,
    /// What else should not have been seen.
    pub failures: Vec<String>,
}

/// The columns of [`Row::cells`].
pub const HEAD: &str = "\
| fault | requests | counts meanwhile | wrong | undocumented | lost | open after | rejections, p99 and slowest: before | meanwhile | counts again after | Envoy's peak memory |
|---|---|---|---|---|---|---|---|---|---|---|
";

impl Row {
    /// Its line in the table.
    pub fn line(&self) -> String {
        let rejections = |histogram: &Histogram| {
            format!("{}, {}", short(histogram.quantile(0.99)), short(histogram.max()))
        };
        let lost = self.all.lost + self.all.unaccepted;
        let lost = match self.all.crossed {
            0 => lost.to_string(),
            crossed => format!("{lost} ({crossed} crossed)"),
        };
        format!(
            "| {} | {} | {} | {} | {} | {lost} | {} | {} | {} | {} | {} |\n",
            self.fault,
            grouped(self.all.requests()),
            statuses(&self.during),
            self.all.wrong_counts,
            self.all.undocumented,
            self.open,
            rejections(&self.healthy),
            rejections(&self.during.latency(Kind::Rejection)),
            self.normal_after.map_or("–".to_owned(), short),
            self.peak.map_or("–".to_owned(), |peak| format!("{} MiB", grouped(peak))),
        )
    }

    /// What should not have been seen, a sentence each. Latencies are judged at the full scale alone.
    pub fn judge(&self, scale: Scale) -> Vec<String> {
        let mut failures = self.all.complaints();
        failures.extend(self.failures.iter().cloned());
        if self.open > 0 {
            failures.push(format!("{} streams were still open after the load", self.open));
        }
        let p99 = |tally: &Tally, kind| tally.latency(kind).quantile(0.99);
        let (before, meanwhile) = (self.healthy.quantile(0.99), p99(&self.during, Kind::Rejection));
        // Requests that pass want no store either: what slows them down too is a busy machine.
        let passed = p99(&self.during, Kind::Pass);
        let disturbed = meanwhile > UNDISTURBED.max(before * 5).max(passed * 2);
        if scale == Scale::Full && disturbed {
            failures.push(format!("rejections went from {before:?} to {meanwhile:?} (p99)"));
        }
        failures.iter().map(|failure| format!("{}: {failure}.", self.fault)).collect()
    }

    /// Notes a failure unless it is `good`.
    pub fn expect(&mut self, good: bool, otherwise: impl Into<String>) {
        if !good {
            self.failures.push(otherwise.into());
        }
    }
}

/// `200 × 1,234, 504 × 5`
pub fn statuses(tally: &Tally) -> String {
    let all = tally.statuses(Kind::Count).into_iter();
    let all: Vec<_> = all.map(|(status, count)| format!("{status} × {}", grouped(count))).collect();
    all.join(", ")
}

/// A duration in milliseconds, as a table wants it.
pub fn short(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    match millis {
        ..10.0 => format!("{millis:.1} ms"),
        ..1000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.1} s", millis / 1000.0),
    }
}

/// `1,234,567`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn what_should_not_be_is_said() {
        let mut row = Row { fault: "x".to_owned(), ..Row::default() };
        assert_eq!(row.judge(Scale::Full), [""; 0]);
        row.open = 1;
        row.all.wrong_counts = 2;
        row.failures.push("y".to_owned());
        assert_eq!(row.judge(Scale::Full).len(), 3);
        assert!(row.judge(Scale::Full).iter().all(|failure| failure.starts_with("x: ")));
    }
}
