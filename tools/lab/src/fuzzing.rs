//! The fuzz targets of `tools/oracles/fuzz`, an hour over all of them. `cargo xtask fuzz` does the work.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;
use testkit::workspace;

use crate::{Findings, Options};

/// For each target.
const SECONDS: u32 = 520;

/// A line of the page, and of what `cargo xtask fuzz` prints.
#[derive(Debug, Serialize)]
struct Target {
    target: String,
    executions: u64,
    /// Of the corpus, and how many of them are new.
    features: String,
    /// Inputs in it.
    corpus: u64,
    crashes: u64,
}

/// Runs it. The quick form does nothing: `.ci/run` fuzzes by itself.
pub fn run(options: &Options) -> Result<Findings> {
    if options.quick {
        let targets: [Target; 0] = [];
        return Findings::new(json!({ "seconds": 0, "targets": targets }), Vec::new());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--locked", "--package", "xtask", "--", "fuzz", "--seconds"])
        .arg(SECONDS.to_string())
        .current_dir(workspace::root())
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo xtask fuzz")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let rows = said.lines().filter(|line| line.starts_with("| "));
    // The first one has the names of the columns.
    let targets = rows.skip(1).map(Target::read).collect::<Option<Vec<_>>>();
    let targets = targets.filter(|targets| !targets.is_empty());
    let targets = targets.with_context(|| format!("understand what it found: {said}"))?;
    let mut failures: Vec<String> = Vec::new();
    let crashed = targets.iter().filter(|target| target.crashes > 0);
    failures.extend(crashed.map(|target| format!("`{}` crashed", target.target)));
    if failures.is_empty() && !output.status.success() {
        failures.push(format!("cargo xtask fuzz failed ({})", output.status));
    }
    Findings::new(json!({ "seconds": SECONDS, "targets": targets }), failures)
}

impl Target {
    fn read(row: &str) -> Option<Self> {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [target, executions, features, corpus, crashes] = cells.try_into().ok()?;
        Some(Self {
            target: target.to_owned(),
            executions: executions.parse().ok()?,
            features: features.to_owned(),
            corpus: corpus.parse().ok()?,
            crashes: crashes.parse().ok()?,
        })
    }
}
