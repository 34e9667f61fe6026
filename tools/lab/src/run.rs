//! Runs experiments, keeps what they found, and says what failed.

use anyhow::{Result, bail};

use crate::experiments::EXPERIMENTS;
use crate::results::Results;
use crate::{Options, pages};

/// Runs the experiments of these names, or all, and prints their sections. Full ones are kept, and the pages written anew.
///
/// # Errors
/// If an experiment could not be run, or saw what it should not have seen: all that did.
pub fn run(options: &Options, names: &[String]) -> Result<()> {
    let mut failures = Vec::new();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    for experiment in EXPERIMENTS.iter().filter(|experiment| wanted(experiment.name)) {
        eprintln!("== {} …", experiment.name);
        let findings = match (experiment.run)(options) {
            Ok(findings) => findings,
            Err(error) => {
                failures.push(format!("{}: {error:#}", experiment.name));
                continue;
            }
        };
        let results = Results::of(experiment.name, findings);
        println!("{}", pages::section(&results)?);
        let new = results.failures.iter();
        failures.extend(new.map(|failure| format!("{}: {failure}", experiment.name)));
        if options.are_full() {
            results.keep()?;
        }
    }
    if options.are_full() {
        pages::write()?;
    }
    if failures.is_empty() { Ok(()) } else { bail!(failures.join("\n")) }
}
