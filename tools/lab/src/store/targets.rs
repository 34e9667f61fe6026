//! What a count may take. Who set these bounds, and why, stands on the page, which shows them.

use serde::Serialize;

use super::counts::{Count, Overhead};
use super::table::LoadCost;

/// All of them.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Targets {
    /// The most that a count may take among the most rows, as a multiple of the same count among the
    /// fewest: a level or two of each B-tree, and caches that hold less of it.
    pub growth: f64,
    /// Counts this short may grow by more: by a cache miss or two.
    pub short_us: f64,
    /// The most steps of SQLite's virtual machine for a count of nothing, and then for each match.
    pub steps: [u64; 2],
    /// The most that the store may add to a count of a millisecond, as a part of it.
    pub added: f64,
    /// The most that a search for a name among 100,000 sharings may take, in µs.
    pub name_us: f64,
    /// The most that a load of a million rows may take, in seconds.
    pub load_seconds: f64,
}

/// The targets.
pub const TARGETS: Targets = Targets {
    growth: 1.5,
    short_us: 10.0,
    steps: [40, 12],
    added: 0.30,
    name_us: 45_000.0,
    load_seconds: 60.0,
};

impl Targets {
    /// Whether a count takes too long among more rows, by its time among the fewest and the most.
    pub fn missed_by(&self, few_us: f64, many_us: f64) -> bool {
        many_us / few_us > self.growth && many_us > self.short_us
    }
}

/// The same count in the smallest and in the largest table that has its project.
pub fn pairs<'a>(counts: &'a [Count<'a>]) -> Vec<(&'a Count<'a>, &'a Count<'a>)> {
    let mut pairs: Vec<(&Count, &Count)> = Vec::new();
    // Smaller tables come first.
    for count in counts {
        let is_same = |(few, _): &&mut (&Count, &Count)| {
            few.project == count.project && few.query.name == count.query.name
        };
        match pairs.iter_mut().find(is_same) {
            Some((_, many)) => *many = count,
            None => pairs.push((count, count)),
        }
    }
    pairs.retain(|(few, many)| few.rows() < many.rows());
    pairs
}

/// The targets that were missed: a sentence each.
pub fn missed(counts: &[Count], overhead: Option<&Overhead>, loads: &[LoadCost]) -> Vec<String> {
    let mut missed = Vec::new();
    for (few, many) in pairs(counts) {
        let name = format!("{} of {:?} {}", few.query.name, few.project.side, few.project.size);
        if let Some((few_steps, many_steps)) = few.steps.zip(many.steps)
            && few_steps != many_steps
        {
            missed.push(format!("{name}: {few_steps} steps became {many_steps} among more rows"));
        }
        let (few_us, many_us) = (few.alone().least_us, many.alone().least_us);
        if TARGETS.missed_by(few_us, many_us) {
            let (few, many) = (few.rows(), many.rows());
            missed.push(format!(
                "{name}: {few_us:.1} µs among {few} rows, {many_us:.1} µs among {many}"
            ));
        }
    }
    let [nothing, each] = TARGETS.steps;
    for count in counts.iter().filter(|count| count.query.is_equality) {
        let Count { steps, matches, query, project, .. } = count;
        if let Some(steps) = steps
            && *steps > nothing + each * matches
        {
            let (name, size) = (query.name, project.size);
            missed.push(format!("{name} of {size}: {steps} steps for {matches} matches"));
        }
    }
    let added = overhead.map_or(0.0, |it| it.service.least_us / it.alone.least_us - 1.0);
    if added > TARGETS.added {
        missed.push(format!("the service adds {:.0} % to a millisecond", added * 100.0));
    }
    for count in counts.iter().filter(|it| it.query.name == "name" && it.project.size == 100_000) {
        let (us, rows) = (count.alone().least_us, count.rows());
        if us > TARGETS.name_us {
            missed.push(format!("a name in 100,000 takes {us:.0} µs among {rows} rows"));
        }
    }
    for LoadCost { seconds, .. } in loads.iter().filter(|load| load.rows == 1_000_000) {
        if *seconds > TARGETS.load_seconds {
            missed.push(format!("a load of 1,000,000 rows takes {seconds:.0} s"));
        }
    }
    missed
}
