//! One worker and two: what a request costs, and how many there are in a second.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::Result;
use testkit::envoy::Envoy;

use crate::Options;
use crate::edge::bench::{Bench, Contender, Modules};
use crate::edge::cases::{CASES, FEW};
use crate::edge::measure::{Round, one, warm_up};
use crate::machine::Cores;
use crate::oha::{Amount, Load, Oha, Request};
use crate::statistics::{least, median};

const CONTENDERS: [Contender; 2] = [Contender::Native, Contender::Ours];
/// Of the cases in [`CASES`].
const NAMES: [&str; 2] = ["method", "count"];
/// Enough that each of two workers gets about half of them.
const CONNECTIONS: usize = 64;

/// Measures them in turn, and says what it saw: as Markdown and for programs.
pub fn measure(oha: &Oha, cores: &Cores, options: &Options) -> Result<(String, Value)> {
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 40 });
    let seconds = options.seconds.unwrap_or(if options.quick { 0.3 } else { 0.4 });
    let modules = Modules::ours()?;
    let mut text = format!(
        "### Workers\n\n{rounds} rounds of {seconds} s, {CONNECTIONS} connections, 5 headers. Envoy, the load \
         and the server behind them share {} cores, so with two workers the throughput is what the \
         load leaves of them; the cost of a request is the figure to look at.\n\n\
         | case | workers | native µs | ours µs | ours / native | native /s | ours /s |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
        cores.count()
    );
    let mut data = Vec::new();
    for case in CASES.iter().filter(|case| NAMES.contains(&case.name)) {
        eprintln!("   workers: {} …", case.what);
        let bench = |workers| {
            let options = Envoy::options().concurrency(workers);
            Ok((workers, Bench::start(case, &CONTENDERS, &modules, options, cores)?))
        };
        let benches: Vec<(u32, Bench)> = [1, 2].into_iter().map(bench).collect::<Result<_>>()?;
        let time = Duration::from_secs_f64(seconds);
        let measured = rounds_of(oha, &benches, &case.request(FEW), rounds, time)?;
        for (at, (workers, _)) in benches.iter().enumerate() {
            let of = |contender: usize| {
                let mine =
                    measured.iter().filter(|seen| (seen.bench, seen.contender) == (at, contender));
                mine.map(|seen| seen.round).collect::<Vec<Round>>()
            };
            let (native, ours) = (of(0), of(1));
            let cpu = |rounds: &[Round]| rounds.iter().map(|round| round.cpu).collect::<Vec<f64>>();
            let speed = |rounds: &[Round]| {
                rounds.iter().map(|round| round.throughput).collect::<Vec<f64>>()
            };
            text.push_str(&format!(
                "| {} | {workers} | {:.2} | {:.2} | {:.3} | {:.0} | {:.0} |\n",
                case.what,
                least(&cpu(&native)),
                least(&cpu(&ours)),
                least(&cpu(&ours)) / least(&cpu(&native)),
                median(&speed(&native)),
                median(&speed(&ours)),
            ));
            data.push(json!({
                "case": case.name,
                "workers": workers,
                "native": {"cpu_us": cpu(&native), "throughput": speed(&native)},
                "ours": {"cpu_us": cpu(&ours), "throughput": speed(&ours)},
            }));
        }
    }
    Ok((text, data.into()))
}

/// A round, and of which of the benches and contenders.
struct Seen {
    bench: usize,
    contender: usize,
    round: Round,
}

fn rounds_of(
    oha: &Oha,
    benches: &[(u32, Bench)],
    request: &Request,
    rounds: usize,
    time: Duration,
) -> Result<Vec<Seen>> {
    for (workers, bench) in benches {
        for _ in 0..*workers {
            warm_up(oha, bench, request, &CONTENDERS)?;
        }
    }
    let mut seen = Vec::new();
    for _ in 0..rounds {
        for (at, (_, bench)) in benches.iter().enumerate() {
            for (number, contender) in CONTENDERS.iter().enumerate() {
                let load = Load {
                    address: bench.address(contender)?,
                    request,
                    connections: CONNECTIONS,
                    amount: Amount::Time(time),
                    rate: None,
                };
                let round = one(oha, bench, contender, &load)?;
                seen.push(Seen { bench: at, contender: number, round });
            }
        }
    }
    Ok(seen)
}
