//! Envoy with and without the module: two workers beside one, the time until it is ready, and the
//! memory of each worker.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use testkit::envoy::Envoy;
use testkit::workspace;

use crate::cores::Cores;
use crate::cost::config::one_listener;
use crate::cost::plan::Contender;
use crate::cost::requests::{CASES, Case, FEW};
use crate::cost::rounds::{Round, one_round, warm_up};
use crate::cost::testbed::Testbed;
use crate::machine;
use crate::oha::{Amount, Oha, Traffic};
use crate::statistics::{least, median};
use crate::{Findings, Options};

/// Enough that each of two workers gets about half of them.
const CONNECTIONS: usize = 64;

const CONTENDERS: [Contender; 2] = [Contender::Native, Contender::Ours];

/// Runs it.
///
/// # Errors
/// If it could not be measured.
pub fn run(options: &Options) -> Result<Findings> {
    // With two workers Envoy needs the cores that otherwise serve it.
    let cores = Cores::shared()?;
    let oha = Oha::install(&cores)?;
    let module = workspace::filter_module()?;
    let figures = json!({
        "cores": cores.count(),
        "connections": CONNECTIONS,
        "workers": workers(&oha, &cores, options)?,
        "start": start(&module, options)?,
        "memory": memory(&oha, &cores, &module, options)?,
    });
    Findings::new(figures, Vec::new())
}

/// One worker and two: what a request costs, and how many there are in a second.
fn workers(oha: &Oha, cores: &Cores, options: &Options) -> Result<Value> {
    let rounds = options.rounds.unwrap_or(options.pick(1, 40));
    let seconds = options.seconds.unwrap_or(options.pick(0.3, 0.4));
    let mut cases = Vec::new();
    for case in CASES.iter().filter(|case| ["method", "count"].contains(&case.name)) {
        eprintln!("   workers: {} …", case.what);
        cases.extend(costs_of(case, oha, cores, rounds, Duration::from_secs_f64(seconds))?);
    }
    Ok(json!({"rounds": rounds, "seconds": seconds, "cases": cases}))
}

/// One worker and two, with and without the module, in turn.
fn costs_of(
    case: &Case,
    oha: &Oha,
    cores: &Cores,
    rounds: usize,
    time: Duration,
) -> Result<Vec<Value>> {
    let request = case.request(FEW);
    let mut testbeds = Vec::new();
    for workers in [1, 2] {
        let options = Envoy::options().concurrency(workers);
        let testbed = Testbed::start(case, &CONTENDERS, options, cores)?;
        for _ in 0..workers {
            warm_up(oha, &testbed, &request, &CONTENDERS)?;
        }
        testbeds.push((workers, testbed, CONTENDERS.map(|_| Vec::new())));
    }
    for _ in 0..rounds {
        for (_, testbed, seen) in &mut testbeds {
            for (contender, seen) in CONTENDERS.iter().zip(seen) {
                let amount = Amount::Time(time);
                let traffic = testbed.traffic(contender, &request, CONNECTIONS, amount)?;
                seen.push(one_round(oha, testbed, contender, &traffic)?);
            }
        }
    }
    let costs = |(workers, _, seen): (u32, Testbed, [Vec<Round>; 2])| {
        let all = |figure: fn(&Round) -> f64| {
            seen.each_ref().map(|rounds| rounds.iter().map(figure).collect::<Vec<f64>>())
        };
        let [native_cpu_us, ours_cpu_us] = all(|round| round.cpu).map(|all| least(&all));
        let [native_per_second, ours_per_second] =
            all(|round| round.per_second).map(|all| median(&all));
        json!({
            "what": case.what,
            "workers": workers,
            "native_cpu_us": native_cpu_us,
            "ours_cpu_us": ours_cpu_us,
            "native_per_second": native_per_second,
            "ours_per_second": ours_per_second,
        })
    };
    Ok(testbeds.into_iter().map(costs).collect())
}

/// The time from the start of Envoy until its admin interface says that it is ready.
fn start(module: &Path, options: &Options) -> Result<Value> {
    eprintln!("   start …");
    let starts = options.rounds.unwrap_or(options.pick(1, 15));
    let configurations = [None, Some(module)].map(one_listener);
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..starts {
        for (configuration, times) in configurations.iter().zip(&mut times) {
            let begin = Instant::now();
            let envoy = Envoy::start(configuration)?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
            drop(envoy);
        }
    }
    let [without, with] =
        times.map(|times| json!({"least_ms": least(&times), "median_ms": median(&times)}));
    Ok(json!({"starts": starts, "without": without, "with": with}))
}

/// What the module adds to Envoy's memory, and each worker to that: the medians.
fn memory(oha: &Oha, cores: &Cores, module: &Path, options: &Options) -> Result<Value> {
    let (repeats, requests) = options.pick((1, 2_000), (3, 50_000));
    // A request that needs no store: all of it happens here.
    let request = CASES.first().context("there is no case")?.request(FEW);
    let mut rows = Vec::new();
    for workers in [1, 2, 4] {
        eprintln!("   memory: {workers} workers …");
        let mut seen = [Vec::new(), Vec::new()];
        for _ in 0..repeats {
            for (module, seen) in [None, Some(module)].into_iter().zip(&mut seen) {
                let options = Envoy::options().concurrency(workers);
                let envoy = cores.measured(|| options.start(one_listener(module)))??;
                let amount = Amount::Requests(requests * u64::from(workers));
                let address = envoy.listener_address("only")?;
                oha.run(&Traffic::new(address, &request, CONNECTIONS, amount))?.all_were(405)?;
                seen.push(machine::pss_mib(envoy.pid())?);
            }
        }
        let [without_mib, with_mib] = seen.map(|seen| median(&seen));
        rows.push(json!({"workers": workers, "without_mib": without_mib, "with_mib": with_mib}));
    }
    Ok(json!({"requests": requests, "repeats": repeats, "workers": rows}))
}
