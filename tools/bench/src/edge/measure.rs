//! Rounds: every contender in turn, so that what disturbs the machine disturbs all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use testkit::{Error, Result};

use super::bench::{Bench, Contender};
use crate::machine;
use crate::oha::{Amount, Load, Oha, Request};
use crate::statistics::median;

/// Connections of the load. One request each keeps Envoy busy, and its queue short.
pub const CONNECTIONS: usize = 16;

/// What each listener serves before it is measured. V8 compiles the filter anew while it runs.
const WARM_UP: u64 = 20_000;

/// One contender, one round.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Processor time of Envoy per request, in microseconds.
    pub cpu: f64,
    /// Requests per second.
    pub throughput: f64,
    /// How much of the time Envoy was at work, 1 being a whole core.
    pub busy: f64,
    /// The same of the server behind it.
    pub server_busy: f64,
}

/// One contender at a fixed rate, in one round.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Half the answers take less, in microseconds.
    pub p50: f64,
    /// 99 of 100 answers take less.
    pub p99: f64,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds with as much load as goes.
    pub rounds: usize,
    /// Rounds at a fixed rate.
    pub fixed_rounds: usize,
    /// How long each contender is asked in each round.
    pub time: Duration,
}

/// What one case showed.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// The rounds of each contender, in step with each other.
    pub rounds: BTreeMap<Contender, Vec<Round>>,
    /// The rate of the next, in requests per second: half of what Envoy alone bears.
    pub rate: Option<f64>,
    /// Rounds at that rate.
    pub fixed: BTreeMap<Contender, Vec<Latency>>,
}

/// Lets every contender serve enough for its code to be compiled, and its connections made.
pub fn warm_up(
    oha: &Oha,
    bench: &Bench,
    request: &Request,
    contenders: &[Contender],
) -> Result<()> {
    for contender in contenders {
        let load = Load {
            address: bench.address(contender)?,
            request,
            connections: CONNECTIONS,
            amount: Amount::Requests(WARM_UP),
            rate: None,
        };
        oha.run(&load)?.all(bench.status())?;
    }
    Ok(())
}

/// Measures one request of the bench's case.
pub fn measure(
    oha: &Oha,
    bench: &Bench,
    request: &Request,
    contenders: &[Contender],
    effort: Effort,
) -> Result<Measured> {
    warm_up(oha, bench, request, contenders)?;
    let mut measured = Measured::default();
    for round in 0..effort.rounds {
        for contender in in_turn(contenders, round) {
            let load = Load {
                address: bench.address(contender)?,
                request,
                connections: CONNECTIONS,
                amount: Amount::Time(effort.time),
                rate: None,
            };
            let round = one(oha, bench, contender, &load)?;
            measured.rounds.entry(contender.clone()).or_default().push(round);
        }
    }
    if effort.fixed_rounds == 0 {
        return Ok(measured);
    }
    let first = contenders.first().and_then(|contender| measured.rounds.get(contender));
    let throughputs: Vec<f64> = first.into_iter().flatten().map(|round| round.throughput).collect();
    let rate = Some((median(&throughputs) / 2.0 / 100.0).round() * 100.0);
    measured.rate = rate;
    for round in 0..effort.fixed_rounds {
        for contender in in_turn(contenders, round) {
            let load = Load {
                address: bench.address(contender)?,
                request,
                connections: CONNECTIONS,
                amount: Amount::Time(effort.time),
                rate,
            };
            let outcome = oha.run(&load)?;
            outcome.all(bench.status())?;
            let micros = |time: Duration| time.as_secs_f64() * 1e6;
            let latency = Latency { p50: micros(outcome.p50), p99: micros(outcome.p99) };
            measured.fixed.entry(contender.clone()).or_default().push(latency);
        }
    }
    Ok(measured)
}

/// Everybody once, each round beginning with another one and every other round backwards: nobody
/// always follows the same one.
fn in_turn(contenders: &[Contender], round: usize) -> Vec<&Contender> {
    let start = (round / 2) % contenders.len().max(1);
    let (after, before) = contenders.split_at_checked(start).unwrap_or((contenders, &[]));
    let mut order: Vec<&Contender> = before.iter().chain(after).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// What it costs Envoy to answer this load.
pub fn one(oha: &Oha, bench: &Bench, contender: &Contender, load: &Load) -> Result<Round> {
    let (envoy, server) = (bench.envoy.pid(), bench.server.pid());
    let before = bench.answered(contender)?;
    let (cpu, server_cpu) = (machine::cpu_time(envoy)?, machine::cpu_time(server)?);
    let outcome = oha.run(load)?;
    let cpu = (machine::cpu_time(envoy)? - cpu) as f64;
    let server_cpu = (machine::cpu_time(server)? - server_cpu) as f64;
    let answered = bench.answered(contender)? - before;
    let seen = outcome.all(bench.status())?;
    if answered != seen {
        let name = contender.name();
        return Err(Error::new(format!("{name} gave {answered} answers; oha saw {seen}.")));
    }
    let requests = answered as f64;
    let nanoseconds = requests / outcome.per_second * 1e9;
    Ok(Round {
        cpu: cpu / requests / 1e3,
        throughput: outcome.per_second,
        busy: cpu / nanoseconds,
        server_busy: server_cpu / nanoseconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_everybody_once_and_begins_otherwise() {
        let contenders = [Contender::Native, Contender::Lua, Contender::Ours];
        let mut firsts = Vec::new();
        for round in 0..6 {
            let mut order = in_turn(&contenders, round);
            firsts.push(order[0].name());
            order.sort();
            assert_eq!(order, contenders.iter().collect::<Vec<_>>());
        }
        assert_eq!(firsts, ["native", "ours", "lua", "native", "ours", "lua"]);
    }
}
