//! What `edge` measures in time, in instructions: a figure that repeats, whatever else the machine
//! does.
//!
//! | module | holds |
//! |---|---|
//! | [`callgrind`] | Envoy under valgrind, and its counters |
//! | [`table`] | what they showed |

pub mod callgrind;
pub mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use testkit::http::Connection;
use testkit::{Error, Result};

use self::callgrind::Callgrind;
use self::table::Row;
use crate::edge::bench::{Bench, Contender, Modules};
use crate::edge::plan::{Plan, Setup};
use crate::machine::Cores;
use crate::oha::Request;
use crate::{Options, Section};

/// How long an answer may take: the first ones wait for valgrind to translate Envoy.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much is counted.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// Requests with each number of headers to each contender before: V8 compiles anew what runs often.
    warm_up: usize,
    /// Requests of each count.
    requests: usize,
    /// Counts of each figure.
    counts: usize,
}

/// Modules in one Envoy. For the memory of a fifth valgrind has no addresses.
const MODULES: usize = 4;

/// Runs it.
///
/// # Errors
/// If there is no valgrind, too many builds are named, or somebody gave another answer than the filter.
pub fn run(options: &Options) -> Result<Section> {
    let valgrind = callgrind::version()?;
    let plan = Plan::new(options)?;
    if plan.builds.iter().any(|setup| setup.contenders.len() > MODULES) {
        return Err(Error::new(format!(
            "An Envoy under valgrind holds {MODULES} modules, and one is ours: name fewer builds."
        )));
    }
    let modules = Modules::all(options)?;
    let cores = Cores::new()?;
    let effort = effort(options);
    let counted = |setups: &[Setup]| {
        let all = setups.iter().map(|setup| counted(setup, &modules, &cores, effort));
        let mut rows: Vec<Row> = all.collect::<Result<Vec<_>>>()?.concat();
        rows.sort_by_key(|row| row.headers);
        Ok(rows)
    };
    let (rows, varied): (Vec<Row>, Vec<Row>) = (counted(&plan.cases)?, counted(&plan.builds)?);
    let bodies: Vec<Row> = counted(&plan.bodies)?;
    Ok(Section {
        text: text(&rows, &varied, &bodies, effort, &valgrind),
        data: json!({
            "warm_up": effort.warm_up,
            "requests": effort.requests,
            "rows": table::data(&rows),
            "builds": table::data(&varied),
            "bodies": table::data(&bodies),
        }),
        missed: rows.iter().flat_map(Row::missed).collect(),
        ..Section::default()
    })
}

/// One Envoy, from its start on. It is gone when this returns.
fn counted(setup: &Setup, modules: &Modules, cores: &Cores, effort: Effort) -> Result<Vec<Row>> {
    let Setup { case, headers, contenders } = setup;
    // A body is many times the work.
    let Effort { warm_up, requests, counts } = effort;
    let effort = match case.body {
        ..10_000 => effort,
        _ => Effort { warm_up: warm_up / 20, requests: requests / 10, counts },
    };
    eprintln!("   {}: starting Envoy …", case.what);
    let bench = Bench::start(case, contenders, modules, callgrind::options()?, cores)?;
    bench.check_answers()?;
    // All of it before anything is counted: a request with many headers runs the code of one with few.
    eprintln!("   {}: warming up …", case.what);
    for &headers in headers {
        for contender in contenders {
            Load::open(&bench, contender, &case.request(headers))?.ask(effort.warm_up)?;
        }
    }
    let mut callgrind = Callgrind::count(&bench.envoy)?;
    let mut rows = Vec::new();
    for &headers in headers {
        eprintln!("   {}, {headers} headers …", case.what);
        let request = case.request(headers);
        let mut counts = BTreeMap::new();
        for contender in contenders {
            let mut load = Load::open(&bench, contender, &request)?;
            counts.insert(contender.clone(), count(&mut callgrind, &mut load, effort)?);
        }
        rows.push(Row { case: *case, headers, counts });
    }
    Ok(rows)
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
struct Load<'a> {
    connection: Connection,
    request: &'a Request,
    status: u16,
    contender: &'a str,
}

// === impl Load ===

impl Load<'_> {
    fn open<'a>(bench: &Bench, contender: &'a Contender, request: &'a Request) -> Result<Load<'a>> {
        let mut connection = Connection::open(bench.address(contender)?)?;
        connection.set_timeout(PATIENCE)?;
        Ok(Load { connection, request, status: bench.status(), contender: contender.name() })
    }

    /// One after the other. A callout that timed out, or a filter that is not there, is an error.
    fn ask(&mut self, times: usize) -> Result<()> {
        let Request { method, target, headers, body } = self.request;
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let headers: Vec<(&str, &[u8])> = headers.collect();
        for _ in 0..times {
            let status = self.connection.request_with_body(method, target, &headers, body)?.status;
            if status != self.status {
                let (name, expected) = (self.contender, self.status);
                return Err(Error::new(format!(
                    "{name}, {method} {target}: the answer is {status}, not {expected}."
                )));
            }
        }
        Ok(())
    }
}

fn text(rows: &[Row], varied: &[Row], bodies: &[Row], effort: Effort, valgrind: &str) -> String {
    let Effort { warm_up, requests, counts } = effort;
    format!(
        "Processor time says what a request costs on this machine while it is measured; these figures \
         do not depend on what else the machine does. They are the instructions per request that the \
         whole Envoy process executes in user space, all its threads and the code that V8 and LuaJIT \
         compile included, as `valgrind {}` counts them ({valgrind}). The kernel is not included. \
         Each case has an Envoy of its own with one worker; {warm_up} requests with each number of \
         headers to each contender to warm up, then, of each in turn, {counts} counts of {requests} \
         requests, one after the other on one connection, each answer's status checked. A figure is the \
         least of its counts; no two counts of the same differ by more than {:.1} %.\n\n{}{}{}{}",
        callgrind::ARGUMENTS.join(" "),
        table::spread(&[rows, varied, bodies].concat()) * 100.0,
        table::counts(rows),
        table::routed(rows),
        table::builds(varied),
        table::bodies(bodies),
    )
}
