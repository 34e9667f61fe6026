//! How long each count takes, in SQLite alone and through the service.

use std::time::Duration;

use testkit::{Error, Result};

use super::measure::{Effort, Times, turn};
use super::queries::{FILTERS, Filters, target};
use super::rows::{Watched, watched};
use super::service::{Asking, Store};

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

/// A count, and what was measured of it so far.
struct Count<'a> {
    store: &'a Store,
    project: Watched,
    filters: Filters,
    target: String,
    matches: u64,
    steps: i32,
    alone: Vec<Times>,
    service: Vec<Times>,
}

/// Every count of every watched project in every table.
///
/// They take turns. A machine that others share is slow for some seconds, and then fast: that must
/// not be the difference between a small table and a large one.
pub fn cells(stores: &[Store], effort: Effort) -> Result<Vec<Cell>> {
    let mut counts = Vec::new();
    for project in watched(u64::MAX) {
        for filters in FILTERS {
            for store in stores.iter().filter(|store| store.has(project)) {
                counts.push(Count::new(store, project, filters)?);
            }
        }
    }
    for _ in 0..effort.rounds {
        for count in &mut counts {
            count.turn(effort.turn)?;
        }
    }
    let mut cells: Vec<Cell> = counts.iter().map(Count::cell).collect();
    cells.sort_by_key(|cell| cell.rows);
    Ok(cells)
}

// === impl Count ===

impl Count<'_> {
    fn new(store: &Store, project: Watched, filters: Filters) -> Result<Count<'_>> {
        let target = target(project, filters);
        let (matches, steps) = store.table.alone(&target)?.count()?;
        let served = Asking::new(store.service.address(), &target)?.ask()?;
        if served != matches {
            return Err(Error::new(format!(
                "SQLite counts {matches} and the store {served}: {target}"
            )));
        }
        let (alone, service) = (Vec::new(), Vec::new());
        Ok(Count { store, project, filters, target, matches, steps, alone, service })
    }

    /// Both for so long, with connections that are new but for one count.
    fn turn(&mut self, length: Duration) -> Result<()> {
        let alone = self.store.table.alone(&self.target)?;
        let times = alone.with(|once| {
            once()?;
            turn(length, once)
        })?;
        self.alone.push(Times::of(&times));
        let mut asking = Asking::new(self.store.service.address(), &self.target)?;
        asking.ask()?;
        let times = turn(length, &mut || asking.ask().map(drop))?;
        self.service.push(Times::of(&times));
        Ok(())
    }

    fn cell(&self) -> Cell {
        let &Count { store, project, filters, matches, steps, .. } = self;
        let (alone, service) = (Times::of_turns(&self.alone), Times::of_turns(&self.service));
        let rows = store.table.load.rows;
        Cell { rows, project, filters, matches, steps, alone, service }
    }
}
