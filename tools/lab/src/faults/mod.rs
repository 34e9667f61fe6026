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

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{iter, panic, thread};

use anyhow::Result;
use serde_json::json;

use crate::{Findings, Options};
use observation::Observation;

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
    let judged = observe_all(setup)?.into_iter().map(|seen| seen.judge(setup.options));
    let (rows, failures): (Vec<_>, Vec<_>) = judged.unzip();
    Findings::new(json!({ "rows": rows }), failures.concat())
}

/// Faults that are observed one after the other.
type Part = fn(Setup) -> Result<Vec<Observation>>;

/// In the order of the page. The quick form judges no times, and most of it is waiting: three parts at once, each with an Envoy
/// of its own.
fn observe_all(setup: Setup) -> Result<Vec<Observation>> {
    let parts: [Part; 10] = [
        stores::real,
        stores::broken,
        stores::flooding_and_lying,
        keystones::observe_all,
        remembered::stale,
        remembered::shared,
        pair::observe_all,
        |setup| Ok(vec![updates::observe(setup, "immediate")?]),
        |setup| Ok(vec![updates::observe(setup, "gradual")?]),
        |setup| Ok(vec![drain::observe(setup)?]),
    ];
    let next = AtomicUsize::new(0);
    let work = || {
        let numbers = iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let mine = numbers.map_while(|number| Some((number, parts.get(number)?)));
        mine.map(|(number, part)| Ok((number, part(setup)?))).collect::<Result<Vec<_>>>()
    };
    let mut seen = BTreeMap::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..setup.options.pick(3, 1)).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            seen.extend(thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))?);
        }
        Ok::<_, anyhow::Error>(())
    })?;
    Ok(seen.into_values().flatten().collect())
}
