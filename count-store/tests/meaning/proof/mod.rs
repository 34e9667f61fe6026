//! The shared test of meaning (contract §2.3): random rows, random calls, and a
//! plain loop that says what each call counts.
//!
//! It needs only the standard library, and knows nothing of the crates it
//! judges. The test of another store includes this folder by its path and
//! implements [`Store`].

// clippy.toml lets tests do so; it does not know that helpers of tests are tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects)]

mod calls;
mod random;
mod rows;

use std::collections::BTreeMap;
use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

pub use calls::Call;
pub use random::Random;
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

/// Compares `store` with the loop on `calls` random calls.
///
/// # Panics
/// With the seed, at the first call that they count differently. The seed is
/// `MEANING_SEED` if that is set, else the time.
pub fn prove(store: &mut impl Store, calls: usize) {
    let seed = seed();
    let mut random = Random::new(seed);
    let rows = rows::generate(&mut random, ROWS);
    store.load(&rows);

    let mut hits: BTreeMap<&str, u32> = BTreeMap::new();
    for number in 0..calls {
        let call = Call::generate(&mut random, &rows);
        let target = call.target(&mut random);
        let expected = rows.iter().filter(|row| call.counts(row)).count();
        let counted = store.count(&target);
        assert_eq!(
            counted,
            u64::try_from(expected).unwrap(),
            "call {number} with MEANING_SEED={seed}: {target}\n{call:?}"
        );
        if expected > 0 {
            for name in call.given() {
                *hits.entry(name).or_default() += 1;
            }
        }
    }
    // That nothing is counted everywhere would prove nothing.
    let least = u32::try_from(calls / 50).unwrap();
    for name in Call::NAMES {
        let hits = hits.get(name).copied().unwrap_or_default();
        assert!(hits >= least, "only {hits} calls with {name} count a row; MEANING_SEED={seed}");
    }
}

fn seed() -> u64 {
    match env::var("MEANING_SEED") {
        Ok(seed) => seed.parse().expect("MEANING_SEED is a number"),
        Err(_) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            now.as_secs() ^ u64::from(now.subsec_nanos())
        }
    }
}
