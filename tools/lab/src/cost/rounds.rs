//! Rounds: every contender in turn, so that what disturbs the machine disturbs all of them.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;

use super::plan::Contender;
use super::testbed::Testbed;
use crate::machine;
use crate::oha::{Amount, Oha, Request, Traffic};
use crate::statistics::median;

/// Connections of the load. One request each keeps Envoy busy, and its queue short.
pub const CONNECTIONS: usize = 16;

/// What each listener serves before it is measured. V8 compiles the filter anew while it runs.
const WARM_UP: u64 = 20_000;

/// One contender, one round.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Processor time of Envoy per request, in µs.
    pub cpu: f64,
    /// Requests per second.
    pub per_second: f64,
    /// How much of the time Envoy was at work, 1 being a whole core; and the server behind it.
    pub busy: [f64; 2],
}

/// How much is measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Effort {
    /// Rounds with as much load as goes.
    pub rounds: usize,
    /// Rounds at a fixed rate.
    pub fixed_rounds: usize,
    /// For how many seconds each contender is asked in each round.
    pub seconds: f64,
}

/// What one contender showed.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Which it is.
    pub contender: Contender,
    /// Its rounds, in step with those of the others.
    pub rounds: Vec<Round>,
    /// The times of which 50 and 99 of 100 answers took less in each round at the fixed rate, in µs.
    pub latencies: Vec<[f64; 2]>,
}

impl Measured {
    /// One figure of all rounds.
    pub fn all(&self, figure: fn(&Round) -> f64) -> Vec<f64> {
        self.rounds.iter().map(figure).collect()
    }
}

/// Lets every contender serve enough for its code to be compiled, and its connections made.
pub fn warm_up(
    oha: &Oha,
    testbed: &Testbed,
    request: &Request,
    contenders: &[Contender],
) -> Result<()> {
    for contender in contenders {
        let traffic =
            testbed.traffic(contender, request, CONNECTIONS, Amount::Requests(WARM_UP))?;
        oha.run(&traffic)?.all_were(testbed.status())?;
    }
    Ok(())
}

/// Measures one request of the testbed's case. The second figure is the fixed rate, half of what the
/// first contender bears.
pub fn measure(
    oha: &Oha,
    testbed: &Testbed,
    request: &Request,
    contenders: &[Contender],
    effort: Effort,
) -> Result<(Vec<Measured>, f64)> {
    warm_up(oha, testbed, request, contenders)?;
    let amount = Amount::Time(Duration::from_secs_f64(effort.seconds));
    let none = |contender: &Contender| Measured {
        contender: contender.clone(),
        rounds: Vec::new(),
        latencies: Vec::new(),
    };
    let mut all: Vec<Measured> = contenders.iter().map(none).collect();
    for round in 0..effort.rounds {
        for measured in in_turn(&mut all, round) {
            let traffic = testbed.traffic(&measured.contender, request, CONNECTIONS, amount)?;
            measured.rounds.push(one_round(oha, testbed, &measured.contender, &traffic)?);
        }
    }
    let speeds = all.first().map(|first| first.all(|round| round.per_second));
    let rate = (median(&speeds.unwrap_or_default()) / 2.0 / 100.0).round() * 100.0;
    for round in 0..effort.fixed_rounds {
        for measured in in_turn(&mut all, round) {
            let traffic = testbed.traffic(&measured.contender, request, CONNECTIONS, amount)?;
            let outcome = oha.run(&Traffic { rate: Some(rate), ..traffic })?;
            outcome.all_were(testbed.status())?;
            measured.latencies.push(outcome.p50_p99());
        }
    }
    Ok((all, rate))
}

/// Each once, each round beginning with another one and every other round backwards: none always
/// follows the same one.
fn in_turn<T>(contenders: &mut [T], round: usize) -> Vec<&mut T> {
    let start = (round / 2) % contenders.len().max(1);
    let mut order: Vec<&mut T> = contenders.iter_mut().collect();
    order.rotate_left(start);
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// What it costs Envoy to answer this traffic.
pub fn one_round(oha: &Oha, testbed: &Testbed, of: &Contender, traffic: &Traffic) -> Result<Round> {
    let used = || -> Result<[f64; 2]> {
        Ok([machine::cpu_time(testbed.envoy.pid())?, machine::cpu_time(testbed.server.pid())?])
    };
    let (answered, before) = (testbed.answered(of)?, used()?);
    let outcome = oha.run(traffic)?;
    let after = used()?;
    let answered = testbed.answered(of)? - answered;
    let seen = outcome.all_were(testbed.status())?;
    ensure!(answered == seen, "{} gave {answered} answers; oha saw {seen}", of.name());
    let (answered, per_second) = (answered as f64, outcome.per_second());
    let [cpu, server] = [after[0] - before[0], after[1] - before[1]].map(|used| used / answered);
    Ok(Round { cpu, per_second, busy: [cpu, server].map(|used| used * per_second / 1e6) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_everybody_once_and_begins_otherwise() {
        let mut contenders = ["native", "lua", "ours"];
        let mut firsts = Vec::new();
        for round in 0..6 {
            let mut order = in_turn(&mut contenders, round);
            firsts.push(*order[0]);
            order.sort();
            assert_eq!(order, ["lua", "native", "ours"].iter_mut().collect::<Vec<_>>());
        }
        assert_eq!(firsts, ["native", "ours", "lua", "native", "ours", "lua"]);
    }
}
