//! From sections to `docs/reliability.md`.
//!
//! Each section is also kept under `target/reliability/`, so that one experiment can be run again
//! without the hours of all the others; the document is put together from what is kept.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use testkit::{Error, Result, workspace};

use crate::experiments::EXPERIMENTS;
use crate::{Experiment, Scale, Section};

/// What stands above the sections.
const PREFACE: &str = include_str!("preface.md");

/// What stands below them: what was found and mended.
const FINDINGS: &str = include_str!("findings.md");

/// Runs the experiments of these names, or all, and keeps and prints their sections.
///
/// # Errors
/// If an experiment could not be run, or saw what it should not have seen: all that did.
pub fn run(scale: Scale, names: &[String]) -> Result<()> {
    let mut failures = Vec::new();
    for experiment in EXPERIMENTS {
        if !names.is_empty() && !names.iter().any(|name| name == experiment.name) {
            continue;
        }
        eprintln!("== {} …", experiment.name);
        let section = match (experiment.run)(scale) {
            Ok(section) => section,
            Err(error) => {
                failures.push(format!("{}: {error}", experiment.name));
                continue;
            }
        };
        println!("## {}\n\n{}", experiment.title, section.text.trim_end());
        for failure in &section.failures {
            println!("FAILED: {failure}");
            failures.push(format!("{}: {failure}", experiment.name));
        }
        if scale == Scale::Full {
            keep(experiment, &section)?;
        }
    }
    if scale == Scale::Full {
        write()?;
    }
    match failures.as_slice() {
        [] => Ok(()),
        failures => Err(Error::new(failures.join("\n"))),
    }
}

fn kept(experiment: &Experiment) -> PathBuf {
    workspace::target_dir().join("reliability").join(format!("{}.md", experiment.name))
}

fn keep(experiment: &Experiment, section: &Section) -> Result<()> {
    let path = kept(experiment);
    let folder = workspace::target_dir().join("reliability");
    let mut text = format!(
        "## {}\n\n`cargo xtask reliability {}`, {}.\n\n{}\n",
        experiment.title,
        experiment.name,
        today(),
        section.text.trim_end()
    );
    for failure in &section.failures {
        text.push_str(&format!("\n**Failed:** {failure}\n"));
    }
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, text))
        .map_err(Error::while_doing(format!("write {}", path.display())))
}

/// Puts the document together, unless a section is missing.
fn write() -> Result<()> {
    let mut document = PREFACE.to_owned();
    for experiment in EXPERIMENTS {
        let Ok(section) = fs::read_to_string(kept(experiment)) else {
            eprintln!(
                "docs/reliability.md is not written: `{}` has not been run yet.",
                experiment.name
            );
            return Ok(());
        };
        document.push('\n');
        document.push_str(&section);
    }
    document.push('\n');
    document.push_str(FINDINGS);
    let path = workspace::root().join("docs/reliability.md");
    fs::write(&path, document).map_err(Error::while_doing(format!("write {}", path.display())))
}

/// Today, as in `23 Nov 2026`.
fn today() -> String {
    let now = httpdate::fmt_http_date(SystemTime::now());
    now.get(5..16).unwrap_or_default().to_owned()
}
