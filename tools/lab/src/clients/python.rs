//! Python with the packages of `tools/lab/clients/requirements.txt`, which are kept under the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use testkit::{kept, python, workspace};

use super::folder;

/// Python with the packages that the clients need.
#[derive(Debug)]
pub struct Python {
    packages: PathBuf,
}

impl Python {
    /// Installs the packages, anew if the requirements have changed.
    pub fn make() -> Result<Self> {
        let pins = folder().join("requirements.txt");
        let made_of = fs::read_to_string(&pins).context("read the requirements")?;
        let packages = kept(&workspace::target_dir().join("clients"), &made_of, |packages| {
            eprintln!("Installing what the clients need (once)");
            python::install("the lab's clients", &pins, packages)
        })?;
        Ok(Self { packages })
    }

    /// schemathesis; arguments may follow.
    pub fn schemathesis(&self) -> Command {
        self.run(&self.packages.join("bin/schemathesis"))
    }

    /// A program, which sees these packages, no proxy and none of the caller's Python settings.
    pub fn run(&self, program: &Path) -> Command {
        let mut command = python::run(&self.packages, program);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}
