//! The fuzz targets of `tools/oracles/fuzz`, an hour over all of them. `cargo xtask fuzz` does the work.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use testkit::workspace;

use crate::{Findings, Options};

/// For each target.
const SECONDS: u32 = 520;

/// Runs it; in the quick form 5 s of each.
pub fn run(options: &Options) -> Result<Findings> {
    let seconds = options.pick(5, SECONDS);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--locked", "--package", "xtask", "--", "fuzz", "--seconds"])
        .arg(seconds.to_string())
        .current_dir(workspace::root())
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo xtask fuzz")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut table = said.lines().filter(|line| line.starts_with('|')).map(cells);
    let columns = table.next().context("cargo xtask fuzz printed no table")?;
    let targets: Vec<Map<String, Value>> = table
        .skip(1)
        .map(|row| {
            columns.iter().map(|it| it.to_string()).zip(row.into_iter().map(figure)).collect()
        })
        .collect();
    let crashed = targets.iter().filter(|target| target["crashes"] != 0);
    let mut failures: Vec<_> =
        crashed.map(|target| format!("{} crashed", target["target"])).collect();
    if failures.is_empty() && (targets.is_empty() || !output.status.success()) {
        failures.push(format!("cargo xtask fuzz failed ({})", output.status));
    }
    Findings::new(json!({ "seconds": seconds, "targets": targets }), failures)
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

/// A number, or a word.
fn figure(cell: &str) -> Value {
    cell.parse::<u64>().map_or_else(|_| cell.into(), Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_figures() {
        let row = cells("| path | 12 | 3 (+1) |").into_iter().map(figure);
        assert_eq!(row.collect::<Value>(), json!(["path", 12, "3 (+1)"]));
    }
}
