//! How long counts take: in SQLite alone, through the service, and many at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use testkit::count_store::CountStore;
use testkit::{Error, Result};

use super::database::Table;
use super::queries::{FILTERS, Filters, target};
use super::rows::{Watched, watched};
use super::service::Asking;
use crate::machine::{self, Cores};
use crate::oha::{Amount, Load, Oha, Request};
use crate::statistics::{least, median};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often SQLite and the service take turns.
    pub rounds: usize,
    /// How long each turn is.
    pub turn: Duration,
    /// How long many connections ask at once.
    pub many: Duration,
}

/// Times of one thing, in µs.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The least.
    pub least: f64,
    /// The median.
    pub median: f64,
}

/// A count.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// The rows of the table.
    pub rows: u64,
    /// Whose sharings.
    pub project: Watched,
    /// Which of them.
    pub filters: Filters,
    /// How many there are.
    pub matches: u64,
    /// Steps of SQLite's virtual machine.
    pub steps: i32,
    /// In SQLite alone.
    pub alone: Times,
    /// Through the service.
    pub service: Times,
}

/// What the service adds to a count of about a millisecond.
#[derive(Clone, Copy, Debug)]
pub struct Overhead {
    /// The count.
    pub cell: Cell,
    /// Wall time.
    pub alone: Times,
    /// Wall time.
    pub service: Times,
    /// Processor time for a count, in µs: the least of the rounds' means.
    pub alone_cpu: f64,
    /// The service's.
    pub service_cpu: f64,
}

/// What one core answers.
#[derive(Clone, Copy, Debug)]
pub struct Many {
    /// Answers per second.
    pub per_second: f64,
    /// Processor time for each, in µs.
    pub cpu: f64,
    /// Resident memory of the service afterwards, in bytes.
    pub memory: u64,
}

/// Connections that ask at once.
pub const CONNECTIONS: usize = 8;

/// Starts the service on a table.
pub fn serve(table: &Table) -> Result<CountStore> {
    CountStore::start(&table.file, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

/// Every count of every watched project.
pub fn cells(table: &Table, service: &CountStore, effort: Effort) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for project in watched(table.load.rows) {
        for filters in FILTERS {
            cells.push(cell(table, service, project, filters, effort)?);
        }
    }
    Ok(cells)
}

fn cell(
    table: &Table,
    service: &CountStore,
    project: Watched,
    filters: Filters,
    effort: Effort,
) -> Result<Cell> {
    let target = target(project, filters);
    let alone = table.alone(&target)?;
    let (matches, steps) = alone.count()?;
    let mut asking = Asking::new(service.address(), &target)?;
    let served = asking.ask()?;
    if served != matches {
        return Err(Error::new(format!(
            "SQLite counts {matches} and the store {served}: {target}"
        )));
    }
    let (mut times, mut served) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        alone.with(|once| turn(effort.turn, &mut times, once))?;
        turn(effort.turn, &mut served, &mut || asking.ask().map(drop))?;
    }
    let (alone, service) = (Times::of(&times), Times::of(&served));
    Ok(Cell { rows: table.load.rows, project, filters, matches, steps, alone, service })
}

/// Does something for so long, five times at least.
fn turn(
    length: Duration,
    times: &mut Vec<f64>,
    once: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    let (start, before) = (Instant::now(), times.len());
    while start.elapsed() < length || times.len() < before + 5 {
        let start = Instant::now();
        once()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(())
}

impl Times {
    fn of(times: &[f64]) -> Times {
        Times { least: least(times), median: median(times) }
    }
}

/// Measures more closely the count that comes nearest to a millisecond.
pub fn overhead(
    table: &Table,
    service: &CountStore,
    cells: &[Cell],
    effort: Effort,
) -> Result<Option<Overhead>> {
    let distance = |cell: &Cell| (cell.alone.least / 1000.0).ln().abs();
    let near = cells.iter().filter(|cell| distance(cell) < 2_f64.ln());
    let Some(cell) = near.min_by(|one, other| distance(one).total_cmp(&distance(other))) else {
        return Ok(None);
    };
    let target = target(cell.project, cell.filters);
    let alone = table.alone(&target)?;
    let mut asking = Asking::new(service.address(), &target)?;
    let (mut times, mut served) = (Vec::new(), Vec::new());
    let (mut alone_cpu, mut service_cpu) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds * 4 {
        let (cpu, before) = (thread_time(), times.len());
        alone.with(|once| turn(effort.turn, &mut times, once))?;
        alone_cpu.push((thread_time() - cpu) / (times.len() - before) as f64);
        let (cpu, before) = (machine::cpu_time(service.pid())?, served.len());
        turn(effort.turn, &mut served, &mut || asking.ask().map(drop))?;
        let cpu = (machine::cpu_time(service.pid())? - cpu) as f64 / 1e3;
        service_cpu.push(cpu / (served.len() - before) as f64);
    }
    Ok(Some(Overhead {
        cell: *cell,
        alone: Times::of(&times),
        service: Times::of(&served),
        alone_cpu: least(&alone_cpu),
        service_cpu: least(&service_cpu),
    }))
}

/// What this thread has run, in µs.
fn thread_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// Many small counts at once, with the service on a core of its own.
pub fn many(table: &Table, oha: &Oha, cores: &Cores, effort: Effort) -> Result<Option<Many>> {
    let Some(project) = watched(table.load.rows).find(|project| project.size == 1_000) else {
        return Ok(None);
    };
    let Some(filters) = FILTERS.iter().find(|filters| filters.name == "volume_id") else {
        return Ok(None);
    };
    let service = cores.measured(|| serve(table))??;
    let request = Request {
        method: "GET",
        target: target(project, *filters),
        headers: vec![
            ("accept", "application/json".to_owned()),
            ("user-agent", "bench".to_owned()),
        ],
    };
    let load = |time| Load {
        address: service.address(),
        request: &request,
        connections: CONNECTIONS,
        amount: Amount::Time(time),
        rate: None,
    };
    oha.run(&load(effort.many / 4))?.all(200)?;
    let before = machine::cpu_time(service.pid())?;
    let outcome = oha.run(&load(effort.many))?;
    let cpu = (machine::cpu_time(service.pid())? - before) as f64 / 1e3;
    let cpu = cpu / outcome.all(200)? as f64;
    let memory = machine::memory(service.pid())?;
    Ok(Some(Many { per_second: outcome.per_second, cpu, memory }))
}
