//! What the figures have to be.

use super::counts::Cell;
use super::measure::Overhead;

/// The most that a count may take among the most rows, as a multiple of the same count among the
/// fewest: a level or two of each B-tree, and caches that hold less of it.
pub const FOREIGN: f64 = 1.5;

/// Counts this short, in µs, may differ by more: by a cache miss or two.
const SHORT: f64 = 10.0;

/// The most steps of SQLite's virtual machine: for a count of nothing, and for each match.
pub const STEPS: (u64, u64) = (40, 12);

/// The most that the service may add to a count of a millisecond.
pub const ADDED: f64 = 0.30;

/// The same count in the smallest and in the largest table that has its project.
pub fn pairs(cells: &[Cell]) -> Vec<(Cell, Cell)> {
    let same = |one: &Cell, other: &Cell| {
        one.project == other.project && one.filters.name == other.filters.name
    };
    let first = |cell: &&Cell| !cells.iter().any(|it| same(it, cell) && it.rows < cell.rows);
    let pair = |first: &Cell| {
        let all = cells.iter().filter(|cell| same(cell, first));
        let last = all.max_by_key(|cell| cell.rows)?;
        (last.rows > first.rows).then_some((*first, *last))
    };
    cells.iter().filter(first).filter_map(pair).collect()
}

/// The targets that were missed: a sentence each.
pub fn missed(cells: &[Cell], overhead: Option<&Overhead>) -> Vec<String> {
    let mut missed = Vec::new();
    for (few, many) in pairs(cells) {
        let name = format!("{} of {:?} {}", few.filters.name, few.project.side, few.project.size);
        if few.steps != many.steps {
            let (few_steps, many_steps) = (few.steps, many.steps);
            missed.push(format!("{name}: {few_steps} steps became {many_steps} among more rows"));
        }
        if ratio(&few, &many) > FOREIGN && many.alone.least > SHORT {
            let (few_rows, many_rows) = (few.rows, many.rows);
            let (few, many) = (few.alone.least, many.alone.least);
            missed.push(format!(
                "{name}: {few:.1} µs among {few_rows} rows, {many:.1} µs among {many_rows}"
            ));
        }
    }
    for cell in cells.iter().filter(|cell| cell.filters.is_equality) {
        let (nothing, each) = STEPS;
        if u64::try_from(cell.steps).unwrap_or_default() > nothing + each * cell.matches {
            let (name, size) = (cell.filters.name, cell.project.size);
            let (steps, matches) = (cell.steps, cell.matches);
            missed.push(format!("{name} of {size}: {steps} steps for {matches} matches"));
        }
    }
    let added = overhead.map(added).unwrap_or_default();
    if added > ADDED {
        missed.push(format!("the service adds {:.0} % to a millisecond", added * 100.0));
    }
    missed
}

/// What a count takes in the larger table, as a multiple.
pub fn ratio(few: &Cell, many: &Cell) -> f64 {
    many.alone.least / few.alone.least
}

/// What the service adds, as a part of what SQLite takes.
pub fn added(overhead: &Overhead) -> f64 {
    overhead.service.least / overhead.alone.least - 1.0
}
