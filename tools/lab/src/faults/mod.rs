//! Faults under load: what clients get while a store or Keystone dies, breaks off, floods or lies, and while
//! Envoy is given another configuration or told to leave.

mod drain;
mod keystones;
mod mortal;
mod observation;
mod pair;
mod remembered;
mod service;
mod stores;
mod updates;

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::{Findings, Options};

pub use service::open_after;

/// Which Envoy, and how long it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Its program; the usual one if there is none.
    pub binary: Option<&'a Path>,
    /// The quick form is for a busy machine too, and judges no latencies.
    pub options: &'a Options,
}

/// Runs it.
pub fn run(options: &Options) -> Result<Findings> {
    run_with(Setup { binary: None, options })
}

/// The same with another Envoy.
pub fn run_with(setup: Setup) -> Result<Findings> {
    let mut seen = stores::real(setup)?;
    seen.extend(stores::scripted(setup)?);
    seen.extend(keystones::observe_all(setup)?);
    seen.extend(remembered::observe_all(setup)?);
    seen.extend(pair::observe_all(setup)?);
    seen.push(updates::observe(setup, "immediate")?);
    seen.push(updates::observe(setup, "gradual")?);
    seen.push(drain::observe(setup)?);
    let judged = seen.into_iter().map(|seen| seen.judge(setup.options));
    let (rows, failures): (Vec<_>, Vec<_>) = judged.unzip();
    Findings::new(json!({ "rows": rows }), failures.concat())
}
