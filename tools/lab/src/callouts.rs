//! What remembered counts save the store: how often it is asked for each thousand requests. The filter natively, as in one
//! worker, by an injected clock.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use backup_sharing_count::callout::Outcome;
use backup_sharing_count::edge::{Edge, Step};
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Findings, Options, chart};

/// Who asks, of how many projects, and how many different questions each.
const CALLERS: usize = 10_000;
const PROJECTS: usize = 1_000;
const QUERIES: usize = 8;

/// The columns of the table, and where the lines of the chart are measured: in seconds.
const TTLS: [u64; 3] = [1, 5, 30];
const LINE: [u64; 7] = [1, 2, 5, 10, 20, 40, 60];

/// What one worker is asked.
#[derive(Clone, Copy, Debug, Serialize)]
struct Traffic {
    /// Requests a second.
    rate: u32,
    max_entries: u32,
    /// Whether all callers of a project share what is remembered: the store is not told who asks.
    shared: bool,
}

/// A line of the page: callouts for each thousand requests, by [`TTLS`].
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    traffic: Traffic,
    callouts: Vec<f64>,
}

/// Numbers from 0 on, each as often as its place says: the second half as often as the first, the third a third.
struct Zipf(Vec<f64>);

/// What the chart shows, of the figures.
#[derive(Deserialize)]
struct Lines {
    own: Vec<(f64, f64)>,
    shared: Vec<(f64, f64)>,
}

/// Runs it.
///
/// # Errors
/// If a request is not answered, or with a count that is another's or too old.
pub fn run(options: &Options) -> Result<Findings> {
    let requests = options.pick(2_000, 200_000);
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for (rate, max_entries) in [(10, 1024), (100, 1024), (1000, 1024), (1000, 100_000)] {
        for shared in [false, true] {
            let traffic = Traffic { rate, max_entries, shared };
            let callouts = TTLS.iter().map(|ttl| traffic.callouts(*ttl, requests));
            let callouts = callouts.collect::<Result<Vec<f64>>>()?;
            if !callouts.is_sorted_by(|shorter, longer| shorter >= longer) {
                failures.push(format!("{traffic:?}: a longer ttl saved less: {callouts:?}"));
            }
            rows.push(Row { traffic, callouts });
        }
    }
    let line = |shared| {
        let traffic = Traffic { rate: 100, max_entries: 100_000, shared };
        let point = |ttl: &u64| Ok((*ttl as f64, traffic.callouts(*ttl, requests)?));
        let points: Result<Vec<(f64, f64)>> = LINE.iter().map(point).collect();
        Ok([vec![(0.0, 1000.0)], points?].concat())
    };
    let (own, shared): (Result<_>, Result<_>) = (line(false), line(true));
    let figures = json!({
        "callers": CALLERS, "projects": PROJECTS, "queries": QUERIES, "requests": requests,
        "ttls": TTLS, "rows": rows, "own": own?, "shared": shared?,
    });
    Findings::new(figures, failures)
}

/// Draws the callouts over the ttl.
///
/// # Errors
/// If the figures are others, or cannot be drawn.
pub fn draw(figures: &Value) -> Result<String> {
    let Lines { own, shared } = Lines::deserialize(figures)?;
    let lines = [("callers share", &shared[..]), ("each for itself", &own)];
    chart::lines("cache.ttl, seconds", "callouts for 1,000 requests", &lines)
}

impl Zipf {
    fn new(numbers: usize) -> Zipf {
        let sum = |sum: &mut f64, place: usize| {
            *sum += 1.0 / place as f64;
            Some(*sum)
        };
        Zipf((1..=numbers).scan(0.0, sum).collect())
    }

    fn pick(&self, random: &mut Rng) -> usize {
        let at = random.f64() * self.0.last().copied().unwrap_or_default();
        self.0.partition_point(|sum| *sum <= at).min(self.0.len() - 1)
    }
}

impl Traffic {
    /// For each thousand requests, of the second half of so many. The store answers with the time and the question.
    fn callouts(self, ttl: u64, requests: u32) -> Result<f64> {
        let Traffic { rate, max_entries, shared } = self;
        let names = if shared { "[]" } else { r#"["x-auth-token"]"# };
        let configuration = format!(
            r#"{{"store": {{"cluster": "store", "forward_headers": {names}}},
                 "cache": {{"ttl": "{ttl}s", "max_entries": {max_entries}}}}}"#
        );
        let edge = Edge::new(configuration.as_bytes())?;
        let (callers, queries, mut random) =
            (Zipf::new(CALLERS), Zipf::new(QUERIES), Rng::with_seed(1));
        let (mut time, mut asked) = (Duration::ZERO, 0_u32);
        for number in 0..requests {
            // Independent of each other, as of many callers.
            time += Duration::from_secs_f64(-(1.0 - random.f64()).ln() / f64::from(rate));
            let (caller, query) = (callers.pick(&mut random), queries.pick(&mut random));
            let project = caller % PROJECTS;
            let path = format!("/v2/p{project}/os-vendor-backup-sharing/count?name=q{query}");
            let token = format!("caller-{caller}");
            let headers = [(":method", "GET"), ("x-auth-token", &token)];
            let headers = headers.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            let target = edge.locate(path.as_bytes()).context("the path is the call's")?;
            let now = || SystemTime::UNIX_EPOCH + time;
            let question = project * QUERIES + query;
            let mut step = edge.begin(target, headers.into_iter(), now);
            if let Step::Callout(waiting) = step {
                asked += u32::from(number >= requests / 2);
                let count = time.as_millis() * 1_000_000 + question as u128;
                let body = format!("{{\"count\":{count}}}");
                let answer =
                    Outcome::Answered { status: b"200", headers: &[], body: body.as_bytes() };
                step = waiting.resume(answer, &now);
            }
            let Step::Reply(reply) = step else { bail!("{path} {step}") };
            let count: Value = serde_json::from_str(&reply.body)?;
            let count = u128::from(count["count"].as_u64().context("no count")?);
            let age = time.as_millis() - count / 1_000_000;
            if count % 1_000_000 != question as u128 || age > u128::from(ttl) * 1_000 {
                bail!("{path}, after {time:?}: {}", reply.body);
            }
        }
        Ok(f64::from(asked) * 1_000.0 / f64::from(requests - requests / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_picked_twice_as_often_as_the_second() {
        let (zipf, mut random, mut picked) = (Zipf::new(3), Rng::with_seed(7), [0; 3]);
        for _ in 0..11_000 {
            picked[zipf.pick(&mut random)] += 1;
        }
        for (picked, expected) in picked.into_iter().zip([6_000_i32, 3_000, 2_000]) {
            assert!((picked - expected).abs() < 200, "{picked} for {expected}");
        }
    }

    #[test]
    fn nothing_is_saved_where_nobody_asks_twice_in_time() {
        let traffic = Traffic { rate: 100, max_entries: 1, shared: false };
        assert!(traffic.callouts(1, 2_000).unwrap() > 990.0);
        let traffic = Traffic { rate: 1_000, max_entries: 100_000, shared: true };
        assert!(traffic.callouts(3_600, 100_000).unwrap() < 100.0);
    }
}
