//! Experiments that show what the filter bears and what it costs, and the pages that say so.
//!
//! An [`Experiment`] measures, and judges what it measured; both make its [`Findings`]. In full it keeps them in
//! `tools/lab/results/`, from which templates in `tools/lab/pages/` make `docs/reliability.md`, `docs/performance.md` and
//! `docs/capacity.md`. No page says what was not measured: its figures and its verdicts come from the results.
//!
//! | module | holds |
//! |---|---|
//! | [`command_line`] | what may be asked |
//! | [`experiments`] | the list of the experiments |
//! | [`run`] | runs them, and says what failed |
//! | [`results`] | what they found, as it is kept |
//! | [`pages`], [`chart`] | how results are shown |
//! | [`machine`] | the processor, and what a process uses |
//! | [`cores`], [`oha`], [`statistics`] | what runs on which core, load for figures, medians |
//! | [`load`] | requests in great number, each answer judged |
//! | [`wasm_host`], [`fuzzing`] | the module in the wasm host; its parts against a second reading of the contract |
//! | [`clients`] | the documented API against programs that nobody here wrote |
//! | [`faults`], [`overload`] | what clients get while a store or Envoy is in trouble, or asked too much |
//! | [`replicas`] | the same counts from PostgreSQL while one of its servers is in trouble, or one of two stores |
//! | [`versions`], [`soak`] | releases of Envoy; two million requests and the memory they take |
//! | [`planted`] | whether these see a fault |
//! | [`cost`] | the filter beside Envoy alone and Envoy's Lua filter |
//! | [`instructions`] | the same, in instructions instead of time |
//! | [`callouts`] | how often the store is asked where counts are remembered |
//! | [`startup_memory`] | workers, start-up time and memory, with and without the module |
//! | [`store`] | the count store beside SQLite and PostgreSQL alone |

// A tool: what it cannot do it says and ends, and an overflow would be a bug to see.
#![allow(clippy::arithmetic_side_effects)]

mod callouts;
pub mod chart;
mod clients;
pub mod command_line;
mod cores;
mod cost;
pub mod experiments;
mod faults;
mod fuzzing;
mod instructions;
mod load;
pub mod machine;
mod oha;
mod overload;
pub mod pages;
mod planted;
mod replicas;
pub mod results;
pub mod run;
mod soak;
mod startup_memory;
mod statistics;
mod store;
mod versions;
mod wasm_host;

use std::net::SocketAddr;

use testkit::envoy_yaml::{self, Places};
use testkit::workspace;

pub use command_line::Options;

/// An experiment: what is done, and how it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// Its name on the command line, and that of its template and its results.
    pub name: &'static str,
    /// Runs it. An error means that it could not be run at all.
    pub run: fn(&Options) -> anyhow::Result<Findings>,
}

/// What an experiment found.
#[derive(Clone, Debug)]
pub struct Findings {
    /// Every figure that its section shows. Times are milliseconds unless their names say otherwise.
    pub figures: serde_json::Value,
    /// What should not have been seen, missed targets among it: a sentence each. None: it passed.
    pub failures: Vec<String>,
}

impl Findings {
    /// These.
    ///
    /// # Errors
    /// If the figures cannot be written as JSON.
    pub fn new(figures: impl serde::Serialize, failures: Vec<String>) -> anyhow::Result<Self> {
        Ok(Self { figures: serde_json::to_value(figures)?, failures })
    }
}

impl Options {
    /// One of two values: for the quick form, or for all others.
    pub fn pick<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Whether this is the whole experiment, whose results are kept.
    pub fn are_full(&self) -> bool {
        let Options { quick, rounds, seconds, cases, contenders, builds, tables } = self;
        let all = [cases, contenders, tables].into_iter().all(Vec::is_empty) && builds.is_empty();
        !quick && rounds.is_none() && seconds.is_none() && all
    }
}

/// In milliseconds, to the microsecond: how [`Findings::figures`] hold times.
fn millis(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// A free port of this machine, chosen by the kernel.
fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// `envoy.yaml` as it ships, before these stores and this backend, at free addresses.
fn shipped(stores: &[SocketAddr], backend: SocketAddr) -> anyhow::Result<String> {
    let module = &workspace::filter_module()?;
    let places = Places { listener: anywhere(), admin: anywhere(), stores, backend, module };
    envoy_yaml::with_places(places)
}
