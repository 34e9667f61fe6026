//! What the filter and the count store cost, beside the least that the same can cost.
//!
//! `cargo xtask bench` runs every part and writes `docs/performance.md`. A part measures, judges
//! what it measured by the targets, and says both in a [`Section`]; it prints no figure that it did
//! not see.
//!
//! | module | holds |
//! |---|---|
//! | [`command_line`] | what may be asked |
//! | [`parts`] | the list of the parts |
//! | [`edge`] | the filter beside native Envoy and Envoy's Lua filter |
//! | [`envoy`] | workers, start-up time, memory |
//! | [`instructions`] | the same as `edge`, in instructions instead of time |
//! | [`store`] | the count store beside SQLite alone |
//! | [`capacity`] | a few predictions, tried |
//! | [`machine`], [`oha`], [`statistics`] | cores and processor time, load, medians |
//! | [`report`] | sections to `docs/performance.md` and `docs/performance.json` |

// A tool: what it cannot do it says and ends, and an overflow would be a bug to see.
#![allow(clippy::arithmetic_side_effects)]

pub mod capacity;
pub mod command_line;
pub mod edge;
pub mod envoy;
pub mod instructions;
pub mod machine;
pub mod oha;
pub mod parts;
pub mod report;
pub mod statistics;
pub mod store;

use testkit::Result;

pub use command_line::Options;

/// A part of the benchmark.
#[derive(Clone, Copy)]
pub struct Part {
    /// Its name on the command line.
    pub name: &'static str,
    /// The title of its section.
    pub title: &'static str,
    /// Whether the report may do without it: it needs a program that cargo does not install.
    pub optional: bool,
    /// Runs it. An error means that it could not be measured at all.
    pub run: fn(&Options) -> Result<Section>,
}

impl Options {
    /// Whether this is the whole measurement, which the report may hold.
    pub fn are_complete(&self) -> bool {
        let Options { quick, rounds, seconds, cases, contenders, builds: _ } = self;
        !quick && rounds.is_none() && seconds.is_none() && cases.is_empty() && contenders.is_empty()
    }
}

/// What a part measured.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// What was done and seen, in Markdown, without a heading.
    pub text: String,
    /// The same figures for programs, under the part's name in `docs/performance.json`.
    pub data: serde_json::Value,
    /// Charts for `docs/`: file name and SVG. The text shows them.
    pub charts: Vec<(&'static str, String)>,
    /// Targets that were missed: a sentence each.
    pub missed: Vec<String>,
}
