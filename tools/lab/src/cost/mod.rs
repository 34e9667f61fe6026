//! The filter beside the least that the same can cost, Envoy alone, and beside what a user would
//! write instead, Envoy's Lua filter. In each case all are listeners of one Envoy, which has nothing
//! else to hold, and are asked by one load in turn.
//!
//! What it may cost is judged by [`instructions`](crate::instructions): times say less where others share the machine.

pub mod chart;
pub mod config;
mod floor;
#[cfg(test)]
mod lua_cases;
pub mod plan;
pub mod requests;
pub mod rounds;
pub mod testbed;

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use testkit::envoy::Envoy;

use self::plan::{Contender, plans};
use self::requests::Case;
use self::rounds::{Effort, Measured, Round, measure};
use self::testbed::Testbed;
use crate::cores::Cores;
use crate::machine;
use crate::oha::{self, Oha};
use crate::statistics::{least, median};
use crate::{Findings, Options};

/// What the page shows.
#[derive(Clone, Debug, Serialize)]
struct Figures {
    processor: String,
    cores: u32,
    oha: String,
    connections: usize,
    #[serde(flatten)]
    effort: Effort,
    /// The least and the most that Envoy was at work in any case, of 1: the medians of the rounds.
    envoy_busy: [f64; 2],
    /// The most that the server behind it was.
    server_busy: f64,
    cases: Vec<CaseCosts>,
}

/// What a case with this number of header fields costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseCosts {
    /// [`Case::what`].
    pub what: String,
    /// The number of header fields.
    pub headers: usize,
    /// The fixed rate at which latency was measured, in requests per second.
    pub rate: f64,
    /// Each contender's cost, by its name.
    pub of: BTreeMap<String, Cost>,
}

/// What a request costs a contender.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// Processor time of the Envoy process: the least of the rounds.
    pub cpu_us: f64,
    /// The median of the rounds.
    pub cpu_median_us: f64,
    /// As a multiple of another contender's: the median of the ratios within each round.
    pub ratio_median: BTreeMap<String, f64>,
    /// Requests per second: the median of the rounds.
    pub per_second: f64,
    /// The time of which half the answers take less, at the fixed rate: the median of the rounds.
    pub p50_us: f64,
    /// The same of 99 in 100.
    pub p99_us: f64,
}

/// Runs it.
///
/// # Errors
/// If it could not be measured, or a contender gave another answer than the filter.
pub fn run(options: &Options) -> Result<Findings> {
    let plans = plans(options)?;
    let cores = Cores::new()?;
    let oha = Oha::install(&cores)?;
    // Many short rounds: where others share the machine it is slow for seconds on end, and a round that
    // is over before that changes is slow for everybody in it.
    let rounds = options.rounds.unwrap_or(options.pick(1, 40));
    let seconds = options.seconds.unwrap_or(options.pick(0.3, 0.2));
    let effort = Effort { rounds, fixed_rounds: rounds.div_ceil(3), seconds };

    let (mut cases, mut busy) = (Vec::new(), Vec::new());
    for plan in plans {
        let testbed = Testbed::start(&plan.case, &plan.contenders, Envoy::options(), &cores)?;
        for headers in plan.headers {
            eprintln!(
                "   {}, {headers} headers, {} in turn …",
                plan.case.what,
                plan.contenders.len()
            );
            let request = plan.case.request(headers);
            let (all, rate) = measure(&oha, &testbed, &request, &plan.contenders, effort)?;
            let each = |part: fn(&Round) -> f64| all.iter().map(move |it| median(&it.all(part)));
            busy.extend(each(|round| round.busy[0]).zip(each(|round| round.busy[1])));
            cases.push(CaseCosts::new(&plan.case, headers, rate, &all));
        }
    }
    cases.sort_by_key(|case| case.headers);
    let (envoy, server): (Vec<f64>, Vec<f64>) = busy.into_iter().unzip();
    let most = |all: Vec<f64>| all.into_iter().fold(f64::NAN, f64::max);
    let figures = Figures {
        processor: machine::processor(),
        cores: cores.count(),
        oha: oha::VERSION.to_owned(),
        connections: rounds::CONNECTIONS,
        effort,
        envoy_busy: [least(&envoy), most(envoy)],
        server_busy: most(server),
        cases,
    };
    Findings::new(figures, Vec::new())
}

// === impl CaseCosts ===

impl CaseCosts {
    fn new(case: &Case, headers: usize, rate: f64, all: &[Measured]) -> CaseCosts {
        let of = |measured: &Measured| {
            let latency = |which: usize| {
                let all =
                    measured.latencies.iter().filter_map(|latency| latency.get(which).copied());
                median(&all.collect::<Vec<f64>>())
            };
            let beside: &[&str] = match measured.contender {
                Contender::Ours => &["native", "lua"],
                Contender::Routed | Contender::Hit | Contender::CallersHit => &["native"],
                Contender::Build(..) => &["ours"],
                _ => &[],
            };
            let ratio = |other: &Measured| {
                let pairs = measured.rounds.iter().zip(&other.rounds);
                let ratios: Vec<f64> = pairs.map(|(one, other)| one.cpu / other.cpu).collect();
                (other.contender.name().to_owned(), median(&ratios))
            };
            let others = all.iter().filter(|other| beside.contains(&other.contender.name()));
            let cpu = measured.all(|round| round.cpu);
            let cost = Cost {
                cpu_us: least(&cpu),
                cpu_median_us: median(&cpu),
                ratio_median: others.map(ratio).collect(),
                per_second: median(&measured.all(|round| round.per_second)),
                p50_us: latency(0),
                p99_us: latency(1),
            };
            (measured.contender.name().to_owned(), cost)
        };
        let of = all.iter().map(of).collect();
        CaseCosts { what: case.what.to_owned(), headers, rate, of }
    }

    /// One contender's processor time as a multiple of another's, least to least.
    pub fn ratio(&self, of: &str, to: &str) -> Option<f64> {
        Some(self.of.get(of)?.cpu_us / self.of.get(to)?.cpu_us)
    }
}
