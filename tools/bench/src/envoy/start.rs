//! The time from the start of Envoy until its admin interface says that it is ready.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use testkit::Result;
use testkit::envoy::Envoy;

use crate::Options;
use crate::edge::bench::one_listener;
use crate::statistics::{least, median};

/// Starts Envoy in turn with and without the module.
pub fn measure(module: &Path, options: &Options) -> Result<(String, Value)> {
    eprintln!("   start …");
    let starts = options.rounds.unwrap_or(if options.quick { 1 } else { 15 });
    let configurations = [one_listener(None), one_listener(Some(module))];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..starts {
        for (configuration, times) in configurations.iter().zip(&mut times) {
            let begin = Instant::now();
            let envoy = Envoy::start(configuration)?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
            drop(envoy);
        }
    }
    let [without, with] = &times;
    let row = |name: &str, times: &[f64]| {
        format!("| {name} | {:.0} | {:.0} |\n", median(times), least(times))
    };
    let text = format!(
        "### Start\n\nFrom the start of the process until `/ready` says LIVE (asked every 5 ms), one \
         worker, {starts} starts of each in turn.\n\n| | median ms | least ms |\n|---|---:|---:|\n{}{}",
        row("Envoy without the module", without),
        row("Envoy with the module", with),
    );
    Ok((text, json!({"without_ms": without, "with_ms": with})))
}
