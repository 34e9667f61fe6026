//! How much is measured; what the service adds to a count; many counts at once.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use testkit::Result;

use super::counts::Cell;
use super::database::Table;
use super::queries::{FILTERS, target};
use super::rows::watched;
use super::service::{Asking, Store, serve};
use crate::machine::{self, Cores};
use crate::oha::{Amount, Load, Oha, Request};
use crate::statistics::{least, median};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How many turns each count has.
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
    /// The median; of turns, that of their medians.
    pub median: f64,
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

/// Does something for so long, five times at least: how long it takes each time, in µs.
pub fn turn(length: Duration, once: &mut dyn FnMut() -> Result<()>) -> Result<Vec<f64>> {
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < length || times.len() < 5 {
        let start = Instant::now();
        once()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times)
}

impl Times {
    /// Of one turn.
    pub fn of(times: &[f64]) -> Times {
        Times { least: least(times), median: median(times) }
    }

    /// Of many turns.
    pub fn of_turns(turns: &[Times]) -> Times {
        let all = |time: fn(&Times) -> f64| turns.iter().map(time).collect::<Vec<_>>();
        Times { least: least(&all(|turn| turn.least)), median: median(&all(|turn| turn.median)) }
    }
}

/// Measures more closely the count of a table that comes nearest to a millisecond.
pub fn overhead(store: &Store, cells: &[Cell], effort: Effort) -> Result<Option<Overhead>> {
    let Store { table, service } = store;
    let distance = |cell: &Cell| (cell.alone.least / 1000.0).ln().abs();
    let near = cells.iter().filter(|cell| cell.rows == table.load.rows);
    let near = near.filter(|cell| distance(cell) < 2_f64.ln());
    let Some(cell) = near.min_by(|one, other| distance(one).total_cmp(&distance(other))) else {
        return Ok(None);
    };
    let target = target(cell.project, cell.filters);
    let alone = table.alone(&target)?;
    let mut asking = Asking::new(service.address(), &target)?;
    let (mut times, mut served) = (Vec::new(), Vec::new());
    let (mut alone_cpu, mut service_cpu) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds * 2 {
        let cpu = thread_time();
        let counted = alone.with(|once| turn(effort.turn, once))?;
        alone_cpu.push((thread_time() - cpu) / counted.len() as f64);
        times.push(Times::of(&counted));
        let cpu = machine::cpu_time(service.pid())?;
        let counted = turn(effort.turn, &mut || asking.ask().map(drop))?;
        let cpu = (machine::cpu_time(service.pid())? - cpu) as f64 / 1e3;
        service_cpu.push(cpu / counted.len() as f64);
        served.push(Times::of(&counted));
    }
    Ok(Some(Overhead {
        cell: *cell,
        alone: Times::of_turns(&times),
        service: Times::of_turns(&served),
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
        body: Vec::new(),
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
