//! The proof of what a store counts (docs/contract.md#meaning): random rows, random calls, and a
//! plain loop that says what each call counts. The test of any store implements [`Store`] and calls
//! [`prove`].

mod calls;
mod rows;

use std::collections::BTreeMap;
use std::env;

use fastrand::Rng;

use crate::filters::{FILTERS, Filter};
use calls::Call;
pub use rows::Row;

/// What is judged.
pub trait Store {
    /// Takes these rows; it has had none before.
    fn load(&mut self, rows: &[Row]);

    /// Answers `GET path_and_query`, which is a valid call.
    fn count(&mut self, path_and_query: &str) -> u64;
}

/// How many rows a proof loads.
const ROWS: usize = 3000;

/// How many calls ask each filter alone, so that a failure can name it.
const ALONE: usize = 50;

/// Compares `store` with the loop, on calls with each filter alone and on `calls` with any of them.
///
/// # Panics
/// With the seed, at the first call that they count differently. The seed is
/// `MEANING_SEED` if that is set, else another each time.
pub fn prove(store: &mut impl Store, calls: usize) {
    let seed = seed();
    let mut random = Rng::with_seed(seed);
    let rows = rows::generate(&mut random, ROWS);
    store.load(&rows);

    for filter in &FILTERS {
        let Filter { name, meaning, .. } = filter;
        for _ in 0..ALONE {
            let call = Call::with(filter, &mut random, &rows);
            let (target, expected) = (call.target(&mut random), call.count(&rows));
            let counted = store.count(&target);
            assert!(
                counted == expected,
                "the filter {name} counts {counted} rows, and {expected} match: by \
                 tools/oracles/src/filters.rs it means {meaning:?}. MEANING_SEED={seed}, {target}"
            );
        }
    }
    let mut hits: BTreeMap<&str, usize> = BTreeMap::new();
    for number in 0..calls {
        let call = Call::generate(&mut random, &rows);
        let (target, expected) = (call.target(&mut random), call.count(&rows));
        let counted = store.count(&target);
        assert_eq!(counted, expected, "call {number}, MEANING_SEED={seed}: {target}\n{call:?}");
        if expected > 0 {
            call.given.iter().for_each(|(filter, _)| *hits.entry(filter.name).or_default() += 1);
        }
    }
    // That nothing is counted everywhere would prove nothing.
    for Filter { name, .. } in &FILTERS {
        let hits = hits.get(name).copied().unwrap_or_default();
        assert!(
            hits >= calls / 50,
            "only {hits} calls with {name} count a row; MEANING_SEED={seed}"
        );
    }
}

fn seed() -> u64 {
    match env::var("MEANING_SEED") {
        Ok(seed) => seed.parse().expect("MEANING_SEED is a number"),
        Err(_) => fastrand::u64(..),
    }
}

/// True once in `times` times.
fn once_in(random: &mut Rng, times: usize) -> bool {
    random.usize(..times) == 0
}

fn pick<'a, T>(random: &mut Rng, from: &'a [T]) -> &'a T {
    &from[random.usize(..from.len())]
}
