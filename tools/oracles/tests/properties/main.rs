//! Inputs that are nearly valid, against a second reading of the contract each.

#![cfg(test)]

mod accept;
mod configuration;
mod exchange;
mod keystone_answer;
mod mutate;
mod path;
mod query;
mod seeds;
mod sharing;
mod store_answer;

use proptest::test_runner::Config;

/// How many cases each property has. A failure prints the input it shrank to; it becomes a named case in
/// `tests/cases.toml`, not a seed in a file of numbers.
fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}
