//! What experiments found, as it is kept.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use testkit::workspace;

use crate::Findings;
use crate::experiments::EXPERIMENTS;

/// What is kept of a full run, in `tools/lab/results/`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// The experiment's name.
    pub name: String,
    /// What repeats it.
    pub command: String,
    /// The day it ran, as in `23 Nov 2026`.
    pub date: String,
    /// The commit that was measured, `-dirty` if files had changed since; none without git.
    pub commit: Option<String>,
    /// See [`Findings::failures`].
    pub failures: Vec<String>,
    /// See [`Findings::figures`].
    pub figures: Value,
}

impl Results {
    /// What an experiment has just found.
    pub fn of(name: &str, findings: Findings) -> Self {
        let Findings { mut figures, failures } = findings;
        // Whatever the features of serde_json that another crate asks for.
        figures.sort_all_objects();
        let now = httpdate::fmt_http_date(SystemTime::now());
        let date = now.get(5..16).unwrap_or_default().to_owned();
        let command = format!("cargo xtask lab {name}");
        Self { name: name.to_owned(), command, date, commit: commit(), failures, figures }
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

    /// Writes them.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep(&self) -> Result<()> {
        let (path, text) = (path(&self.name), serde_json::to_string_pretty(self)? + "\n");
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

/// What the experiments before this one have found is no change of what is measured.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(workspace::root()).output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--", ":!docs", ":!tools/lab/results"])?;
    Some(if changed.is_empty() { commit } else { commit + "-dirty" })
}

fn path(name: &str) -> PathBuf {
    workspace::root().join("tools/lab/results").join(format!("{name}.json"))
}
