//! The fuzz targets, seven of them: an hour over all. `cargo xtask fuzz` does the work.

use std::process::{Command, Stdio};

use testkit::{Error, Result, workspace};

use crate::{Scale, Section};

const SECONDS: u32 = 520;

/// Runs it. The quick form does nothing: `.ci/run` fuzzes by itself.
pub fn run(scale: Scale) -> Result<Section> {
    let mut section = Section::default();
    if scale == Scale::Quick {
        return Ok(section);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--locked", "--package", "xtask", "--", "fuzz", "--seconds"])
        .arg(SECONDS.to_string())
        .current_dir(workspace::root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(Error::while_doing("run cargo"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    section.text = format!("`cargo xtask fuzz --seconds {SECONDS}`, two targets at a time.\n\n");
    for row in said.lines().filter(|line| line.starts_with('|')) {
        section.text.push_str(row);
        section.text.push('\n');
    }
    if !output.status.success() {
        section.failures.push("a target crashed; its input is named above".to_owned());
    }
    Ok(section)
}
