//! The count store as its data grows, beside SQLite and PostgreSQL alone.

mod calls;
pub mod chart;
mod counts;
mod database;
mod sharings;
mod table;
mod targets;

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use self::calls::{QUERIES, target};
use self::counts::{Count, Overhead};
use self::database::Engine;
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

/// What the page shows.
#[derive(Clone, Debug, Serialize)]
struct Figures {
    targets: Targets,
    sqlite: Measured,
    postgresql: Measured,
}

/// Of one engine: counts of what projects share. What is shared to a project is measured and judged too.
#[derive(Clone, Debug, Serialize)]
struct Measured {
    counts: Vec<CountTimes>,
    growth: Option<Growth>,
    overhead: Option<Overhead>,
    many: Vec<Throughput>,
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
    steps: Option<u64>,
    /// In the database alone.
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

/// What is answered if many ask for the same at once, with the store on a core of its own.
#[derive(Clone, Debug, Serialize)]
struct Throughput {
    filter: &'static str,
    sharings: u64,
    connections: usize,
    per_second: f64,
    /// Processor time for each, of the store and the database.
    cpu_us: f64,
    /// The store's alone.
    store_cpu_us: f64,
    /// Of the store afterwards.
    memory_mib: f64,
}

/// Runs it.
///
/// # Errors
/// If it could not be measured, or the store counts otherwise than its database alone.
pub fn run(options: &Options) -> Result<Findings> {
    let cores = Cores::new()?;
    let oha = Oha::install(&cores)?;
    let rows = rows(options)?;
    let seconds = options.seconds.unwrap_or(options.pick(0.2, 4.0));
    let rounds = options.rounds.unwrap_or(options.pick(1, 12));
    let mut failures = Vec::new();
    let mut measured = |engine| {
        let tables = rows.iter().map(|&rows| Table::new(engine, rows));
        let tables = tables.collect::<Result<Vec<Table>>>()?;
        let many = match tables.last() {
            Some(table) => throughput(table, &oha, &cores, Duration::from_secs_f64(seconds))?,
            None => Vec::new(),
        };
        let turn = Duration::from_secs_f64(seconds / 80.0);
        let (measured, missed) = Measured::of(&tables, rounds, turn, many)?;
        failures.extend(missed.into_iter().map(|sentence| format!("{engine}: {sentence}")));
        Ok::<_, anyhow::Error>(measured)
    };
    let (sqlite, postgresql) = (measured(Engine::Sqlite)?, measured(Engine::Postgres)?);
    Findings::new(Figures { targets: TARGETS, sqlite, postgresql }, failures)
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

/// Many counts at once: small ones, and large ones if the table has any.
fn throughput(table: &Table, oha: &Oha, cores: &Cores, time: Duration) -> Result<Vec<Throughput>> {
    let mut many = Vec::new();
    for (filter, sharings) in [("volume_id", 1_000), ("availability_zone", 100_000)] {
        let project = watched(table.load.rows).find(|project| project.size == sharings);
        let query = QUERIES.iter().find(|query| query.name == filter);
        let Some((project, query)) = project.zip(query) else { continue };
        let store = cores.measured(|| table.another_store())??;
        let headers = vec![("accept", "application/json"), ("user-agent", "lab")];
        let request = Request { method: "GET", target: target(project, *query), headers };
        let load = |time| Traffic::new(store.address(), &request, CONNECTIONS, Amount::Time(time));
        let cpu = || anyhow::Ok([machine::cpu_time(store.pid())?, table.database.cpu_time()?]);
        oha.run(&load(time / 4))?.all_were(200)?;
        let before = cpu()?;
        let outcome = oha.run(&load(time))?;
        let (after, answers) = (cpu()?, outcome.all_were(200)? as f64);
        let [store_cpu_us, database_cpu_us] =
            [0, 1].map(|whose| (after[whose] - before[whose]) / answers);
        many.push(Throughput {
            filter,
            sharings,
            connections: CONNECTIONS,
            per_second: outcome.per_second(),
            cpu_us: store_cpu_us + database_cpu_us,
            store_cpu_us,
            memory_mib: machine::pss_mib(store.pid())?,
        });
    }
    Ok(many)
}

// === impl Measured, CountTimes, Growth ===

impl Measured {
    /// Counts, and judges: the targets that were missed.
    fn of(
        tables: &[Table],
        rounds: usize,
        turn: Duration,
        many: Vec<Throughput>,
    ) -> Result<(Measured, Vec<String>)> {
        eprintln!("   counts …");
        let counts = counts::counts(tables, rounds, turn)?;
        let overhead = counts::overhead(&counts, rounds, turn)?;
        let loads: Vec<LoadCost> = tables.iter().map(|table| table.load).collect();
        let missed = targets::missed(&counts, overhead.as_ref(), &loads);
        let shared = counts.iter().filter(|count| count.project.side == Side::From);
        let (growth, counts) = (Growth::of(&counts), shared.map(CountTimes::of).collect());
        Ok((Measured { counts, growth, overhead, many, loads }, missed))
    }
}

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
        for engine in [Engine::Sqlite, Engine::Postgres] {
            let tables = [1_000, 10_000].map(|rows| Table::new(engine, rows).unwrap());
            let counts = counts::counts(&tables, 1, Duration::ZERO).unwrap();
            let mut missed = targets::missed(&counts, None, &[]);
            missed.retain(|sentence| sentence.contains("steps"));
            assert_eq!(missed, Vec::<String>::new());
            assert_eq!(pairs(&counts).len(), 2 * QUERIES.len(), "each of 2 projects is in both");
            let cpu = || tables.each_ref().map(|table| table.cpu_time().unwrap());
            let before = cpu();
            let (measured, _) = Measured::of(&tables, 1, Duration::ZERO, Vec::new()).unwrap();
            assert!(cpu().iter().zip(before).all(|(after, before)| *after > before), "{engine}");
            let figures = serde_json::json!({ "sqlite": measured });
            assert!(chart::draw(&figures).unwrap().contains("no filter, 1,000"));
        }
    }
}
