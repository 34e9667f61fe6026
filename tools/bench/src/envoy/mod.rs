//! Envoy with and without the module: two workers beside one, the time until it is ready, and the
//! memory of each worker.

mod memory;
mod start;
mod workers;

use serde_json::json;
use testkit::{Result, workspace};

use crate::machine::Cores;
use crate::oha::Oha;
use crate::{Options, Section};

/// Runs it.
///
/// # Errors
/// If it could not be measured.
pub fn run(options: &Options) -> Result<Section> {
    // With two workers Envoy needs the cores that otherwise serve it: nobody is sent anywhere.
    let cores = Cores::together()?;
    let oha = Oha::install(&cores)?;
    let module = workspace::filter_module()?;
    let (workers, workers_data) = workers::measure(&oha, &cores, options)?;
    let (start, start_data) = start::measure(&module, options)?;
    let (memory, memory_data) = memory::measure(&oha, &cores, &module, options)?;
    Ok(Section {
        text: [workers, start, memory].join("\n"),
        data: json!({"workers": workers_data, "start": start_data, "memory": memory_data}),
        ..Section::default()
    })
}
