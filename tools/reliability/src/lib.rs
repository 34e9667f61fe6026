//! Experiments that show how the filter bears what production does, and the report they write.
//!
//! `cargo xtask reliability` runs them all and writes `docs/reliability.md`; `cargo test` runs
//! each in its quick form. An experiment measures, judges what it measured, and says both in a
//! [`Section`]; it never prints a figure it did not see.
//!
//! | module | holds |
//! |---|---|
//! | [`command_line`] | what may be asked |
//! | [`experiments`] | one module for each experiment, and their list |
//! | [`load`] | requests in great number, each answer judged |
//! | `memory` | what a process's memory is |
//! | [`report`] | sections to `docs/reliability.md` |

// A tool: what it cannot do it says and ends, and an overflow would be a bug to see.
#![allow(clippy::arithmetic_side_effects)]

pub mod command_line;
pub mod experiments;
pub mod load;
mod memory;
pub mod report;

use testkit::Result;

/// How much of an experiment is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Enough to see a regression, on a busy machine too: no time is judged. All experiments together take
    /// some two minutes.
    Quick,
    /// What `docs/reliability.md` reports.
    Full,
}

impl Scale {
    /// One of two values.
    pub fn pick<T>(self, quick: T, full: T) -> T {
        match self {
            Scale::Quick => quick,
            Scale::Full => full,
        }
    }
}

/// An experiment.
#[derive(Clone, Copy)]
pub struct Experiment {
    /// Its name on the command line.
    pub name: &'static str,
    /// The title of its section.
    pub title: &'static str,
    /// Runs it. An error means that it could not be run at all.
    pub run: fn(Scale) -> Result<Section>,
}

/// What an experiment found.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// What was done and seen, in Markdown, without a heading.
    pub text: String,
    /// What should not have been seen: a sentence each. None: it passed.
    pub failures: Vec<String>,
}
