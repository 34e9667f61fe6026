//! The count store as its data grows, beside SQLite alone.

mod calls;
pub mod chart;
mod counts;
mod sharings;
mod table;
mod targets;

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use self::calls::{QUERIES, target};
use self::counts::{Count, Overhead};
use self::sharings::{Side, watched};
use self::table::{LoadCost, Table};
use self::targets::{TARGETS, Targets, pairs};
use crate::cores::Cores;
use crate::machine;
use crate::oha::{Amount, Oha, Request, Traffic};
use crate::statistics::{least, median};
use crate::{Findings, Options};

/// Rows of the tables, and their names for `--table`.
const TABLES: [(&str, u64); 4] =
    [("10^4", 10_000), ("10^5", 100_000), ("10^6", 1_000_000), ("10^7", 10_000_000)];

/// Connections that ask at once.
const CONNECTIONS: usize = 8;

/// What the page shows: counts of what projects share. What is shared to a project is measured and judged too.
#[derive(Clone, Debug, Serialize)]
struct Figures {
    targets: Targets,
    counts: Vec<CountTimes>,
    growth: Option<Growth>,
    overhead: Option<Overhead>,
    many: Option<Throughput>,
    loads: Vec<LoadCost>,
}

/// A count, and its least times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CountTimes {
    /// The query's name.
    pub filter: String,
    /// How many backups the project shares.
    pub sharings: u64,
    /// The rows of the table.
    pub rows: u64,
    matches: u64,
    /// Steps of SQLite's virtual machine.
    steps: u64,
    /// In SQLite alone.
    pub alone_us: f64,
    /// Through the store.
    service_us: f64,
}

/// The same counts in the smallest and the largest table that has the project: the time in the largest as a
/// multiple of that in the smallest.
#[derive(Clone, Debug, Serialize)]
struct Growth {
    counts: usize,
    same_steps: usize,
    least: f64,
    median: f64,
    most: f64,
}

/// What one core answers if many ask for a small count at once.
#[derive(Clone, Debug, Serialize)]
struct Throughput {
    connections: usize,
    per_second: f64,
    /// Processor time for each.
    cpu_us: f64,
    /// Of the store afterwards.
    memory_mib: f64,
}

/// Runs it.
///
/// # Errors
/// If it could not be measured, or the store counts otherwise than SQLite.
pub fn run(options: &Options) -> Result<Findings> {
    let cores = Cores::new()?;
    let oha = Oha::install(&cores)?;
    let tables: Vec<Table> = rows(options)?.into_iter().map(Table::new).collect::<Result<_>>()?;
    let seconds = options.seconds.unwrap_or(options.pick(0.2, 4.0));
    let rounds = options.rounds.unwrap_or(options.pick(1, 12));
    let many = match tables.last() {
        Some(table) => throughput(table, &oha, &cores, Duration::from_secs_f64(seconds))?,
        None => None,
    };
    findings(&tables, rounds, Duration::from_secs_f64(seconds / 80.0), many)
}

/// Counts, and judges.
fn findings(
    tables: &[Table],
    rounds: usize,
    turn: Duration,
    many: Option<Throughput>,
) -> Result<Findings> {
    eprintln!("   counts …");
    let counts = counts::counts(tables, rounds, turn)?;
    let overhead = counts::overhead(&counts, rounds, turn)?;
    let shared = counts.iter().filter(|count| count.project.side == Side::From);
    let figures = Figures {
        targets: TARGETS,
        counts: shared.map(CountTimes::of).collect(),
        growth: Growth::of(&counts),
        overhead,
        many,
        loads: tables.iter().map(|table| table.load).collect(),
    };
    let failures = targets::missed(&counts, overhead.as_ref());
    Findings::new(figures, failures)
}

/// Of the tables that are named, or of all.
fn rows(options: &Options) -> Result<Vec<u64>> {
    let named = &options.tables;
    let unknown = named.iter().find(|name| !TABLES.iter().any(|(known, _)| known == name));
    let names = TABLES.map(|(name, _)| name);
    ensure!(unknown.is_none(), "there is no table {unknown:?}; there are {}", names.join(", "));
    let wanted = |(name, _): &&(&str, u64)| named.is_empty() || named.iter().any(|it| it == name);
    let most = if options.quick && named.is_empty() { 1 } else { TABLES.len() };
    let wanted = TABLES.iter().filter(wanted).take(most);
    Ok(wanted.map(|(_, rows)| *rows).collect())
}

/// Many small counts at once, with the store on a core of its own.
fn throughput(
    table: &Table,
    oha: &Oha,
    cores: &Cores,
    time: Duration,
) -> Result<Option<Throughput>> {
    let project = watched(table.load.rows).find(|project| project.size == 1_000);
    let query = QUERIES.iter().find(|query| query.name == "volume_id");
    let Some((project, query)) = project.zip(query) else {
        return Ok(None);
    };
    let store = cores.measured(|| table.another_store())??;
    let headers = vec![("accept", "application/json"), ("user-agent", "lab")];
    let request = Request { method: "GET", target: target(project, *query), headers };
    let load = |time| Traffic::new(store.address(), &request, CONNECTIONS, Amount::Time(time));
    oha.run(&load(time / 4))?.all_were(200)?;
    let before = machine::cpu_time(store.pid())?;
    let outcome = oha.run(&load(time))?;
    let cpu_us = (machine::cpu_time(store.pid())? - before) / outcome.all_were(200)? as f64;
    let memory_mib = machine::pss_mib(store.pid())?;
    let per_second = outcome.per_second();
    Ok(Some(Throughput { connections: CONNECTIONS, per_second, cpu_us, memory_mib }))
}

// === impl CountTimes, Growth ===

impl CountTimes {
    fn of(count: &Count) -> CountTimes {
        CountTimes {
            filter: count.query.name.to_owned(),
            sharings: count.project.size,
            rows: count.rows(),
            matches: count.matches,
            steps: count.steps,
            alone_us: count.alone().least_us,
            service_us: count.service().least_us,
        }
    }
}

impl Growth {
    fn of(counts: &[Count]) -> Option<Growth> {
        let pairs = pairs(counts);
        let same_steps = pairs.iter().filter(|(few, many)| few.steps == many.steps).count();
        let ratio = |(few, many): &(&Count, &Count)| many.alone().least_us / few.alone().least_us;
        let ratios: Vec<f64> = pairs.iter().map(ratio).collect();
        let most = ratios.iter().copied().reduce(f64::max)?;
        let (least, median) = (least(&ratios), median(&ratios));
        Some(Growth { counts: pairs.len(), same_steps, least, median, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without the load: what is judged by steps, not by time, holds.
    #[test]
    fn steps_are_those_of_the_matches_among_any_number_of_rows() {
        let tables = [1_000, 10_000].map(|rows| Table::new(rows).unwrap());
        let counts = counts::counts(&tables, 1, Duration::ZERO).unwrap();
        let mut missed = targets::missed(&counts, None);
        missed.retain(|sentence| sentence.contains("steps"));
        assert_eq!(missed, Vec::<String>::new());
        assert_eq!(pairs(&counts).len(), 2 * QUERIES.len(), "each of 2 projects is in both");
        let findings = findings(&tables, 1, Duration::ZERO, None).unwrap();
        assert!(chart::draw(&findings.figures).unwrap().contains("no filter, 1,000"));
    }
}
