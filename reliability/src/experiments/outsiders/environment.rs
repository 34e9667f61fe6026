//! A Python environment under the target folder, made of `reliability/clients/requirements.txt`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Error, Result, workspace};

/// The folder of the Python programs.
pub fn clients() -> PathBuf {
    workspace::root().join("reliability/clients")
}

/// The environment's interpreter. The environment is made anew if the requirements have changed.
pub fn python() -> Result<PathBuf> {
    let home = workspace::target_dir().join("outsiders");
    let (environment, wanted) = (home.join("python"), clients().join("requirements.txt"));
    let python = environment.join("bin/python");
    // A copy of the requirements, written last: a killed installation leaves none.
    let made_of = environment.join("made-of.txt");
    let keep = || Error::while_doing(format!("prepare {}", home.display()));
    fs::create_dir_all(&home).map_err(keep())?;
    let lock = File::create(home.join("lock")).map_err(keep())?;
    lock.lock().map_err(keep())?;
    let requirements = fs::read(&wanted).map_err(keep())?;
    if fs::read(&made_of).is_ok_and(|made_of| made_of == requirements) {
        return Ok(python);
    }
    eprintln!("Making a Python environment for the clients (once)");
    succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
    succeed(
        Command::new(&python)
            .args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet"])
            .args(["--require-hashes", "--only-binary=:all:", "-r"])
            .arg(&wanted),
    )?;
    fs::write(&made_of, requirements).map_err(keep())?;
    Ok(python)
}

/// A program of the environment, which sees no proxy and none of the caller's Python settings.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("NO_PROXY", "*").env("PYTHONDONTWRITEBYTECODE", "1").env_remove("PYTHONPATH");
    command
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
