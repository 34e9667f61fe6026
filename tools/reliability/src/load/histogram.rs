//! Durations by size, in a fixed amount of memory.

use std::time::Duration;

/// Buckets per doubling: a quantile is exact to one in 32.
const STEPS: usize = 32;

/// Rows of buckets: beyond an hour, which nothing here lasts.
const DOUBLINGS: usize = 28;

/// How often which duration was seen. Exact below 32 µs, then to 3 %; the maximum is exact.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Empty until something is recorded: many are never used.
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Histogram {
    /// Adds one.
    pub fn record(&mut self, duration: Duration) {
        if self.buckets.is_empty() {
            self.buckets = vec![0; STEPS * DOUBLINGS];
        }
        let last = self.buckets.len() - 1;
        let place = place(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)).min(last);
        self.buckets[place] += 1;
        self.count += 1;
        self.max = self.max.max(duration);
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Histogram) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
        } else {
            for (ours, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
                *ours += theirs;
            }
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest; zero if there is none.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The duration that this share of all does not exceed, such as 0.99; zero if there is none.
    pub fn quantile(&self, share: f64) -> Duration {
        // Loses precision beyond 2^53 durations.
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (place, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank && place + 1 < self.buckets.len() {
                return Duration::from_micros(end(place)).min(self.max);
            }
        }
        self.max
    }
}

/// Where a number of microseconds is counted.
fn place(micros: u64) -> usize {
    let steps = STEPS as u64;
    if micros < steps {
        return micros as usize;
    }
    let doubling = micros.ilog2() - steps.ilog2();
    (doubling as usize * STEPS) + (micros >> doubling) as usize
}

/// The largest number of microseconds counted there.
fn end(place: usize) -> u64 {
    let (row, step) = (place / STEPS, (place % STEPS) as u64);
    match row {
        0 => step,
        _ => ((step + 1 + STEPS as u64) << (row - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_has_a_place_that_ends_no_earlier() {
        let mut last = 0;
        for micros in (0..100_000).chain((17..30).map(|n| 1 << n)) {
            let place = place(micros);
            assert!(end(place) >= micros, "{micros}");
            assert!(end(place) <= micros + micros / 32, "{micros}");
            if micros < 100_000 {
                assert!(place == last || place == last + 1, "{micros}");
                last = place;
            }
        }
    }

    #[test]
    fn quantiles_are_those_of_the_sample() {
        let (mut all, mut half) = (Histogram::default(), Histogram::default());
        assert_eq!(all.quantile(0.99), Duration::ZERO);
        for n in 1..=1000 {
            let which = if n % 2 == 0 { &mut all } else { &mut half };
            which.record(Duration::from_millis(n));
        }
        all.merge(&half);
        assert_eq!((all.count(), all.max()), (1000, Duration::from_secs(1)));
        for (share, millis) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let seen = all.quantile(share).as_secs_f64() * 1000.0;
            assert!(seen >= millis && seen <= millis * 1.04, "{share}: {seen}");
        }
        all.record(Duration::from_secs(100_000));
        assert_eq!(all.quantile(1.0), Duration::from_secs(100_000));
    }
}
