//! How long each count takes, in the database alone and through the store.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;

use super::calls::{QUERIES, Query, target};
use super::database::Once;
use super::sharings::{Watched, watched};
use super::table::{Asking, Table};
use crate::statistics::{least, median};

/// Times of one thing, in µs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Times {
    /// The least.
    pub least_us: f64,
    /// The median; of turns, that of their medians.
    pub median_us: f64,
}

/// A count, and what was measured of it.
#[derive(Debug)]
pub struct Count<'a> {
    /// The table.
    pub table: &'a Table,
    /// The project whose sharings are counted.
    pub project: Watched,
    /// Which of them.
    pub query: Query,
    /// How many there are.
    pub matches: u64,
    /// Steps of SQLite's virtual machine.
    pub steps: Option<u64>,
    target: String,
    /// The turns in the database alone, and through the store.
    turns: [Vec<Times>; 2],
}

/// What the store adds to a count. Processor time is that of a count, the least of the rounds' means.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Overhead {
    filter: &'static str,
    sharings: u64,
    rows: u64,
    matches: u64,
    /// Wall time.
    pub alone: Times,
    /// Wall time.
    pub service: Times,
    /// The database's.
    alone_cpu_us: f64,
    /// The store's and the database's.
    service_cpu_us: f64,
}

/// Every count of every watched project in every table, smaller tables first.
///
/// They take turns, `rounds` of this length each. A machine that others share is slow for some seconds, and then fast: that must
/// not be the difference between a small table and a large one.
pub fn counts(tables: &[Table], rounds: usize, length: Duration) -> Result<Vec<Count<'_>>> {
    let mut counts = Vec::new();
    for project in watched(u64::MAX) {
        for query in QUERIES {
            for table in tables.iter().filter(|it| watched(it.load.rows).any(|it| it == project)) {
                counts.push(Count::new(table, project, query)?);
            }
        }
    }
    for _ in 0..rounds {
        counts.iter_mut().try_for_each(|count| count.turn(length))?;
    }
    counts.sort_by_key(Count::rows);
    Ok(counts)
}

/// What the store adds to the count of the largest table that comes nearest to a millisecond.
pub fn overhead(counts: &[Count], rounds: usize, length: Duration) -> Result<Option<Overhead>> {
    let distance = |count: &&Count| (count.alone().least_us / 1000.0).ln().abs();
    let near = counts.iter().filter(|count| distance(count) < 2_f64.ln());
    let order = |count: &&Count| (std::cmp::Reverse(count.rows()), (distance(count) * 1e6) as u64);
    let Some(count) = near.min_by_key(order) else {
        return Ok(None);
    };
    let (mut alone, table) = (count.table.alone(&count.target)?, count.table);
    let mut asking = Asking::new(table.store.address(), &count.target)?;
    let (mut turns, mut cpu) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..rounds * 2 {
        let before = alone.cpu_time(&table.database)?;
        let times = alone.with(|once| turn(length, once))?;
        cpu[0].push((alone.cpu_time(&table.database)? - before) / times.len() as f64);
        turns[0].push(Times::of(&times));
        let before = table.cpu_time()?;
        let times = turn(length, &mut || asking.ask())?;
        cpu[1].push((table.cpu_time()? - before) / times.len() as f64);
        turns[1].push(Times::of(&times));
    }
    let ([alone, service], [alone_cpu_us, service_cpu_us]) =
        (turns.map(|turns| Times::of_turns(&turns)), cpu.map(|cpu| least(&cpu)));
    Ok(Some(Overhead {
        filter: count.query.name,
        sharings: count.project.size,
        rows: count.rows(),
        matches: count.matches,
        alone,
        service,
        alone_cpu_us,
        service_cpu_us,
    }))
}

/// Does something for this long, five times at least: how long it takes each time, in µs.
fn turn(length: Duration, once: Once) -> Result<Vec<f64>> {
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < length || times.len() < 5 {
        let start = Instant::now();
        once()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times)
}

// === impl Count ===

impl Count<'_> {
    fn new(table: &Table, project: Watched, query: Query) -> Result<Count<'_>> {
        let target = target(project, query);
        let mut alone = table.alone(&target)?;
        let (matches, steps) = (alone.with(|once| once())?, alone.steps()?);
        let served = Asking::new(table.store.address(), &target)?.ask()?;
        ensure!(
            served == matches,
            "the database counts {matches} and the store {served}: {target}"
        );
        Ok(Count { table, project, query, matches, steps, target, turns: Default::default() })
    }

    /// Both for this long, with connections that are new but for one count.
    fn turn(&mut self, length: Duration) -> Result<()> {
        let mut alone = self.table.alone(&self.target)?;
        let times = alone.with(|once| {
            once()?;
            turn(length, once)
        })?;
        self.turns[0].push(Times::of(&times));
        let mut asking = Asking::new(self.table.store.address(), &self.target)?;
        asking.ask()?;
        let times = turn(length, &mut || asking.ask())?;
        self.turns[1].push(Times::of(&times));
        Ok(())
    }

    /// The rows of its table.
    pub fn rows(&self) -> u64 {
        self.table.load.rows
    }

    /// In the database alone.
    pub fn alone(&self) -> Times {
        Times::of_turns(&self.turns[0])
    }

    /// Through the store.
    pub fn service(&self) -> Times {
        Times::of_turns(&self.turns[1])
    }
}

// === impl Times ===

impl Times {
    fn of(times: &[f64]) -> Times {
        Times { least_us: least(times), median_us: median(times) }
    }

    fn of_turns(turns: &[Times]) -> Times {
        let all = |time: fn(&Times) -> f64| turns.iter().map(time).collect::<Vec<_>>();
        Times {
            least_us: least(&all(|turn| turn.least_us)),
            median_us: median(&all(|turn| turn.median_us)),
        }
    }
}
