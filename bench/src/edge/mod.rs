//! The filter beside the least that the same can cost: Envoy alone, and beside what a user would
//! write instead: Envoy's Lua filter. All are listeners of one Envoy, asked by one load in turn.
//!
//! | module | holds |
//! |---|---|
//! | [`cases`] | the requests |
//! | [`bench`] | who runs: Envoy, its contenders, the server behind them |
//! | [`config`] | their configuration |
//! | [`measure`] | rounds |
//! | [`floor`] | the least that a wasm filter can cost |
//! | [`chart`], [`table`] | what they showed |
//! | [`targets`] | what it must not cost |
//! | [`variants`] | the filter without what makes it fast |

pub mod bench;
pub mod cases;
pub mod chart;
pub mod config;
pub mod floor;
pub mod measure;
pub mod table;
pub mod targets;
pub mod variants;

use std::time::Duration;

use testkit::envoy::Envoy;
use testkit::{Error, Result, workspace};

use self::bench::{Bench, Contender};
use self::cases::{CASES, Case, FEW, HEADERS};
use self::measure::{Effort, measure};
use self::table::Row;
use self::variants::VARIANTS;
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
    check_cases(options)?;
    let cores = Cores::new()?;
    let oha = Oha::install(&cores)?;
    let contenders = contenders(options)?;
    let mut modules = vec![(Contender::Ours, workspace::filter_module()?)];
    modules.extend(variants::build(&contenders)?);
    let bench = Bench::start(Envoy::options(), &cores, &modules, &contenders)?;
    bench.check_answers(&contenders)?;

    let effort = effort(options);
    let mut rows = Vec::new();
    for headers in HEADERS {
        for case in CASES.iter().filter(|case| wanted(options, case, headers)) {
            eprintln!("   {}, {headers} headers …", case.what);
            let request = case.request(headers);
            let varies = !options.cases.is_empty()
                || (headers == FEW && variants::CASES.contains(&case.name));
            let mut asked = contenders.clone();
            asked.retain(|contender| varies || !contender.is_variant());
            let measured = measure(&oha, &bench, case, &request, &asked, effort)?;
            rows.push(Row { case: *case, headers, measured });
        }
    }
    let contenders: Vec<_> = contenders.into_iter().filter(Contender::is_variant).collect();
    Ok(Section {
        text: text(&rows, &contenders, effort, &cores),
        data: table::data(&rows),
        charts: vec![(CHART, chart::draw(&rows)?)],
        missed: rows.iter().flat_map(Row::missed).collect(),
    })
}

/// Those named, or all.
pub fn contenders(options: &Options) -> Result<Vec<Contender>> {
    let mut all = vec![Contender::Native, Contender::Floor, Contender::Lua, Contender::Ours];
    all.extend(VARIANTS.iter().map(|variant| Contender::Variant(variant.name)));
    let named = &options.contenders;
    let names: Vec<&str> = all.iter().map(Contender::name).collect();
    if let Some(unknown) = named.iter().find(|name| !names.contains(&name.as_str())) {
        let names = names.join(", ");
        return Err(Error::new(format!("There is no contender {unknown}. There are {names}.")));
    }
    let wanted = |contender: &Contender| match named.is_empty() {
        true => !(contender.is_variant() && (options.no_variants || options.quick)),
        false => named.iter().any(|name| name == contender.name()),
    };
    Ok(all.into_iter().filter(wanted).collect())
}

/// Whether a case, written `count` or `count/40`, is to be measured.
pub fn wanted(options: &Options, case: &Case, headers: usize) -> bool {
    let goes_by = |name: &String| cases::names(case, headers).contains(name);
    options.cases.is_empty() || options.cases.iter().any(goes_by)
}

/// An error if a case is named that there is not.
pub fn check_cases(options: &Options) -> Result<()> {
    let all = HEADERS.iter().flat_map(|&headers| CASES.iter().map(move |case| (case, headers)));
    let names: Vec<String> = all.flat_map(|(case, headers)| cases::names(case, headers)).collect();
    match options.cases.iter().find(|name| !names.contains(name)) {
        None => Ok(()),
        Some(unknown) => {
            let names = CASES.map(|case| case.name).join(", ");
            Err(Error::new(format!("There is no case {unknown}. There are {names}.")))
        }
    }
}

fn effort(options: &Options) -> Effort {
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 10 });
    let seconds = options.seconds.unwrap_or(if options.quick { 0.3 } else { 1.0 });
    Effort { rounds, fixed_rounds: rounds.div_ceil(3), time: Duration::from_secs_f64(seconds) }
}

fn text(rows: &[Row], variants: &[Contender], effort: Effort, cores: &Cores) -> String {
    let Effort { rounds, fixed_rounds, time } = effort;
    let (busy, server) = table::busy(rows);
    let mut text = format!(
        "{}. {} {rounds} rounds, {} s for each contender in each, in turn; oha {}, {} connections. \
         Processor time of the Envoy process per request: the least of the rounds, and in brackets \
         their median. A ratio is least to least; the next column is the median of the ratios within \
         each round. The load kept Envoy at work for {:.0} to {:.0} % of its core, and the server \
         behind it for {:.0} % of the other at most.\n\n\
         ![What a request costs as a multiple of what it costs Envoy alone]({CHART})\n\n{}\n\
         Throughput is the median of the rounds. Latency is what oha saw in {fixed_rounds} rounds at a \
         fixed rate, half of what Envoy alone bears.\n\n{}",
        machine::processor(),
        cores.sentence(),
        time.as_secs_f64(),
        oha::VERSION,
        measure::CONNECTIONS,
        busy.0 * 100.0,
        busy.1 * 100.0,
        server * 100.0,
        table::costs(rows),
        table::speeds(rows),
    );
    if !variants.is_empty() {
        text.push_str(&table::variants(rows, variants));
    }
    text
}
