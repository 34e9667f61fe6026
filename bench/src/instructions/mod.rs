//! What `edge` measures in time, in instructions: a figure that repeats, whatever else the machine
//! does.
//!
//! | module | holds |
//! |---|---|
//! | [`callgrind`] | Envoy under valgrind, and its counters |
//! | [`table`] | what they showed |

pub mod callgrind;
pub mod table;

use std::time::Duration;

use serde_json::json;
use testkit::http::Connection;
use testkit::{Error, Result, workspace};

use self::callgrind::Callgrind;
use self::table::Row;
use crate::edge::bench::{Bench, Contender};
use crate::edge::cases::{CASES, Case, HEADERS};
use crate::edge::{self, variants};
use crate::machine::Cores;
use crate::{Options, Section};

/// How long an answer may take: the first ones wait for valgrind to translate Envoy.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much is counted.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// Requests of each case to each contender before: V8 compiles anew what runs often.
    warm_up: usize,
    /// Requests of each count.
    requests: usize,
    /// Counts of each figure.
    counts: usize,
}

/// Runs it.
///
/// # Errors
/// If there is no valgrind, or somebody gave another answer than the filter.
pub fn run(options: &Options) -> Result<Section> {
    edge::check_cases(options)?;
    let valgrind = callgrind::version()?;
    let mut contenders = edge::contenders(options)?;
    if options.contenders.is_empty() {
        // With many modules in one Envoy, valgrind has no addresses left for their memory.
        contenders.retain(|contender| !contender.is_variant() && *contender != Contender::Floor);
    }
    let mut modules = vec![(Contender::Ours, workspace::filter_module()?)];
    modules.extend(variants::build(&contenders)?);
    eprintln!("   starting Envoy under {valgrind} …");
    let bench = Bench::start(callgrind::options()?, &Cores::new()?, &modules, &contenders)?;
    bench.check_answers(&contenders)?;

    let effort = effort(options);
    let mut rows = Vec::new();
    for headers in HEADERS {
        let cases = CASES.iter().filter(|case| edge::wanted(options, case, headers));
        rows.extend(cases.map(|&case| Row { case, headers, counts: Default::default() }));
    }
    // All of it before anything is counted, because the cases share code.
    for row in &rows {
        eprintln!("   warming up: {}, {} headers …", row.case.what, row.headers);
        for contender in &contenders {
            Load::open(&bench, contender, &row.case, row.headers)?.ask(effort.warm_up)?;
        }
    }
    let mut callgrind = Callgrind::count(&bench.envoy)?;
    for row in &mut rows {
        eprintln!("   {}, {} headers …", row.case.what, row.headers);
        for contender in &contenders {
            let mut load = Load::open(&bench, contender, &row.case, row.headers)?;
            let counts = count(&mut callgrind, &mut load, effort)?;
            row.counts.insert(contender.clone(), counts);
        }
    }
    Ok(Section {
        text: text(&rows, &contenders, effort, &valgrind),
        data: json!({
            "warm_up": effort.warm_up,
            "requests": effort.requests,
            "rows": table::data(&rows),
        }),
        missed: rows.iter().flat_map(Row::missed).collect(),
        ..Section::default()
    })
}

fn effort(options: &Options) -> Effort {
    let counts = options.rounds.unwrap_or(2).max(1);
    match options.quick {
        true => Effort { warm_up: 100, requests: 50, counts },
        false => Effort { warm_up: 4_000, requests: 500, counts },
    }
}

/// Instructions per request, several times in a row.
fn count(callgrind: &mut Callgrind, load: &mut Load, effort: Effort) -> Result<Vec<f64>> {
    // The connection is made, and valgrind has translated what will run.
    load.ask(effort.requests / 10)?;
    callgrind.zero()?;
    let mut counts = Vec::new();
    for _ in 0..effort.counts {
        load.ask(effort.requests)?;
        counts.push(callgrind.take()? as f64 / effort.requests as f64);
    }
    Ok(counts)
}

/// The same request again and again on one connection, and the status that must answer it.
struct Load {
    connection: Connection,
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    status: u16,
    /// What an error says of it.
    name: String,
}

// === impl Load ===

impl Load {
    fn open(bench: &Bench, contender: &Contender, case: &Case, headers: usize) -> Result<Load> {
        let mut connection = Connection::open(bench.address(contender, case)?)?;
        connection.set_timeout(PATIENCE)?;
        let request = case.request(headers);
        Ok(Load {
            connection,
            method: request.method,
            target: request.target,
            headers: request.headers,
            status: bench.status(case),
            name: format!("{}, {}, {headers} headers", contender.name(), case.name),
        })
    }

    /// One after the other. A callout that timed out, or a filter that is not there, is an error.
    fn ask(&mut self, times: usize) -> Result<()> {
        let headers = self.headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let headers: Vec<(&str, &[u8])> = headers.collect();
        for _ in 0..times {
            let status = self.connection.request(self.method, &self.target, &headers)?.status;
            if status != self.status {
                let (name, expected) = (&self.name, self.status);
                return Err(Error::new(format!("{name}: the answer is {status}, not {expected}.")));
            }
        }
        Ok(())
    }
}

fn text(rows: &[Row], contenders: &[Contender], effort: Effort, valgrind: &str) -> String {
    let Effort { warm_up, requests, counts } = effort;
    format!(
        "Processor time says what a request costs on this machine while it is measured; these figures \
         do not depend on what else the machine does. They are the instructions per request that the \
         whole Envoy process executes in user space, all its threads and the code that V8 and LuaJIT \
         compile included, as `valgrind {}` counts them ({valgrind}). The kernel is not included. \
         One worker; {warm_up} requests of each case to \
         each contender to warm up, then {counts} counts of {requests} requests, one after the other on \
         one connection, each answer's status checked. A figure is the least of its counts; no two \
         counts of the same differ by more than {:.1} %. The targets are those for processor time.\n\n{}",
        callgrind::ARGUMENTS.join(" "),
        table::spread(rows) * 100.0,
        table::counts(rows, contenders),
    )
}
