//! Python with the packages of `tools/lab/clients/requirements.txt`, which are kept under the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testkit::workspace;

use super::folder;

/// Python with the packages that the clients need.
#[derive(Debug)]
pub struct Python {
    packages: PathBuf,
}

impl Python {
    /// Installs the packages, anew if the requirements have changed. It needs pip, as Envoy's wheel
    /// does, and no venv, which some distributions keep apart.
    pub fn make() -> Result<Self> {
        let home = workspace::target_dir().join("clients");
        let (packages, wanted) = (home.join("packages"), folder().join("requirements.txt"));
        fs::create_dir_all(&home).with_context(|| format!("make {}", home.display()))?;
        // Another process may install them too.
        let _lock = testkit::lock(&home.join("lock"))?;
        // A copy of the requirements, written last: a killed installation leaves none.
        let made_of = packages.join("made-of.txt");
        let requirements = fs::read(&wanted).context("read the requirements")?;
        if !fs::read(&made_of).is_ok_and(|made_of| made_of == requirements) {
            eprintln!("Installing what the clients need (once)");
            if packages.exists() {
                fs::remove_dir_all(&packages).context("remove the last packages")?;
            }
            let output = Command::new("python3")
                .args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet"])
                .args(["--require-hashes", "--only-binary=:all:", "-r"])
                .arg(&wanted)
                .arg("--target")
                .arg(&packages)
                // Nothing is installed but into our own folder.
                .env("PIP_REQUIRE_VIRTUALENV", "0")
                .output()
                .context("run pip")?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "pip failed ({}):\n{said}", output.status);
            fs::write(&made_of, requirements).context("note what is installed")?;
        }
        Ok(Self { packages })
    }

    /// schemathesis; arguments may follow.
    pub fn schemathesis(&self) -> Command {
        self.run(&self.packages.join("bin/schemathesis"))
    }

    /// A program, which sees these packages, no proxy and none of the caller's Python settings.
    pub fn run(&self, program: &Path) -> Command {
        let mut command = Command::new("python3");
        command.arg(program).env("PYTHONPATH", &self.packages).env("NO_PROXY", "*");
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}
