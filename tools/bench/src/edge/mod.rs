//! The filter beside the least that the same can cost: Envoy alone, and beside what a user would
//! write instead: Envoy's Lua filter. In each case all are listeners of one Envoy, which has nothing
//! else to hold, and are asked by one load in turn.
//!
//! | module | holds |
//! |---|---|
//! | [`cases`] | the requests |
//! | [`plan`] | which Envoys are measured, and who is asked in each |
//! | [`bench`] | who runs: Envoy, its contenders, the server behind them |
//! | [`config`] | their configuration |
//! | [`measure`] | rounds |
//! | [`floor`] | the least that a wasm filter can cost |
//! | [`row`] | what a case showed |
//! | [`chart`], [`table`] | all of it, drawn and written |
//! | [`targets`] | what it must not cost, in instructions |

pub mod bench;
pub mod cases;
pub mod chart;
pub mod config;
pub mod floor;
pub mod measure;
pub mod plan;
pub mod row;
pub mod table;
pub mod targets;

use std::time::Duration;

use serde_json::json;
use testkit::Result;
use testkit::envoy::Envoy;

use self::bench::{Bench, Modules};
use self::measure::{Effort, measure};
use self::plan::{Plan, Setup};
use self::row::Row;
use crate::machine::{self, Cores};
use crate::oha::{self, Oha};
use crate::{Options, Section};

/// In `docs/`.
const CHART: &str = "performance.svg";

/// Runs it.
///
/// # Errors
/// If it could not be measured, or somebody gave another answer than the filter.
pub fn run(options: &Options) -> Result<Section> {
    let plan = Plan::new(options)?;
    let cores = Cores::new()?;
    let oha = Oha::install(&cores)?;
    let modules = Modules::all(options)?;
    let effort = effort(options);
    let rows = measured(&plan.cases, &modules, &oha, &cores, effort)?;
    let no_latency = Effort { fixed_rounds: 0, ..effort };
    let varied = measured(&plan.builds, &modules, &oha, &cores, no_latency)?;
    Ok(Section {
        text: text(&rows, &varied, effort, &cores),
        data: json!({"rows": table::data(&rows), "builds": table::data(&varied)}),
        charts: vec![(CHART, chart::draw(&rows)?)],
        missed: Vec::new(),
    })
}

/// One Envoy after the other. Rows with few headers come first.
fn measured(
    setups: &[Setup],
    modules: &Modules,
    oha: &Oha,
    cores: &Cores,
    effort: Effort,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for Setup { case, headers, contenders } in setups {
        let bench = Bench::start(case, contenders, modules, Envoy::options(), cores)?;
        bench.check_answers()?;
        for &headers in headers {
            eprintln!("   {}, {headers} headers, {} in turn …", case.what, contenders.len());
            let measured = measure(oha, &bench, &case.request(headers), contenders, effort)?;
            rows.push(Row { case: *case, headers, measured });
        }
    }
    rows.sort_by_key(|row| row.headers);
    Ok(rows)
}

/// Many short rounds: where others share the machine it is slow for seconds on end, and a round that
/// is over before that changes is slow for everybody in it.
fn effort(options: &Options) -> Effort {
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 40 });
    let seconds = options.seconds.unwrap_or(if options.quick { 0.3 } else { 0.2 });
    Effort { rounds, fixed_rounds: rounds.div_ceil(3), time: Duration::from_secs_f64(seconds) }
}

fn text(rows: &[Row], varied: &[Row], effort: Effort, cores: &Cores) -> String {
    let Effort { rounds, time, .. } = effort;
    let (busy, server) = table::busy(&[rows, varied].concat());
    format!(
        "{}. {} {rounds} rounds, {} s for each contender in each, in turn; oha {}, {} connections. \
         Processor time of the Envoy process per request: the least of the rounds, and in brackets \
         their median. A ratio is least to least; the next column is the median of the ratios within \
         each round. The load kept Envoy at work for {:.0} to {:.0} % of its core, and the server \
         behind it for {:.0} % of the other at most.\n\n{}{}",
        machine::processor(),
        cores.sentence(),
        time.as_secs_f64(),
        oha::VERSION,
        measure::CONNECTIONS,
        busy.0 * 100.0,
        busy.1 * 100.0,
        server * 100.0,
        first_tables(rows, effort.fixed_rounds),
        table::builds(varied),
    )
}

/// Nothing if builds alone are measured.
fn first_tables(rows: &[Row], fixed_rounds: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "![What a request costs as a multiple of what it costs Envoy alone]({CHART})\n\n{}\n{}\
         Throughput is the median of the rounds. Latency is what oha saw in {fixed_rounds} rounds at a \
         fixed rate, half of what Envoy alone bears.\n\n{}",
        table::costs(rows),
        table::routed(rows),
        table::speeds(rows),
    )
}
