//! Runs experiments, keeps what they found, and says what failed.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use testkit::workspace;

use crate::experiments::EXPERIMENTS;
use crate::{Findings, Options, pages};

/// What is kept of a full run, in `tools/lab/results/`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// The experiment's name.
    pub name: String,
    /// What repeats it.
    pub command: String,
    /// The day it ran, as in `23 Nov 2026`.
    pub date: String,
    /// See [`Findings::failures`].
    pub failures: Vec<String>,
    /// See [`Findings::figures`].
    pub figures: Value,
}

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
        let charts = findings.charts.clone();
        let results = Results::of(experiment.name, findings);
        println!("{}", pages::section(&results)?);
        let new = results.failures.iter();
        failures.extend(new.map(|failure| format!("{}: {failure}", experiment.name)));
        if options.are_full() {
            results.keep()?;
            for (name, svg) in charts {
                let path = workspace::root().join("docs").join(name);
                fs::write(&path, svg).with_context(|| format!("write {}", path.display()))?;
            }
        }
    }
    if options.are_full() {
        pages::write()?;
    }
    if failures.is_empty() { Ok(()) } else { bail!(failures.join("\n")) }
}

impl Results {
    fn of(name: &str, findings: Findings) -> Self {
        let Findings { mut figures, failures, .. } = findings;
        // Whatever the features of serde_json that another crate asks for.
        figures.sort_all_objects();
        let now = httpdate::fmt_http_date(SystemTime::now());
        let date = now.get(5..16).unwrap_or_default().to_owned();
        let command = format!("cargo xtask lab {name}");
        Self { name: name.to_owned(), command, date, failures, figures }
    }

    /// What the last full run of each experiment found that has been run.
    ///
    /// # Errors
    /// If results cannot be read.
    pub fn read_all() -> Result<Vec<Self>> {
        let paths = EXPERIMENTS.iter().map(|experiment| path(experiment.name));
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path);
            let text = text.with_context(|| format!("read {}", path.display()))?;
            serde_json::from_str(&text).with_context(|| format!("understand {}", path.display()))
        };
        paths.filter(|path| path.exists()).map(read).collect()
    }

    fn keep(&self) -> Result<()> {
        let (path, text) = (path(&self.name), serde_json::to_string_pretty(self)? + "\n");
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

fn path(name: &str) -> PathBuf {
    workspace::root().join("tools/lab/results").join(format!("{name}.json"))
}
