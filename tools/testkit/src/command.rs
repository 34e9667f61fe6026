//! Running other programs: quietly in tests, visibly in the demo.

use std::io::{self, ErrorKind};
use std::process::{Command, ExitStatus, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::Result;

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Ends what this process waits for, if a person may be waiting too: builds and downloads that are shown, and locks. To be called
/// once it is to leave; from then on they fail.
pub fn stop() {
    STOPPED.store(true, Ordering::Relaxed);
}

/// Whether [`stop`] was called.
pub(crate) fn is_stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// Runs `command` to its end, or until [`stop`].
pub(crate) fn status(command: &mut Command) -> io::Result<ExitStatus> {
    let mut child = command.spawn()?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if is_stopped() {
            child.kill()?;
            return child.wait();
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a person sees what a long step (a build, a download) prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is shown; a failure quotes what the program said.
    #[default]
    Quiet,
    /// The program prints straight to this process's standard error and output.
    Shown,
}

/// Runs `command` and collects what it says. `Ok(None)` means there is no such program.
pub(crate) fn output(command: &mut Command) -> Result<Option<Output>> {
    match command.output() {
        Ok(output) => Ok(Some(output)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("running `{}`", line(command))),
    }
}

/// Runs `command` to its end and turns a failure into a sentence that quotes it.
pub(crate) fn run(command: &mut Command, progress: Progress) -> Result<()> {
    let missing = |command: &Command| {
        let program = command.get_program().to_string_lossy().into_owned();
        anyhow!("There is no program `{program}`. Install it, or put it on PATH.")
    };
    if progress == Progress::Shown {
        return match status(command) {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(anyhow!("`{}` failed ({status}); it says why above.", line(command))),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(missing(command)),
            Err(error) => Err(error).with_context(|| format!("running `{}`", line(command))),
        };
    }
    let output = output(command)?.ok_or_else(|| missing(command))?;
    if output.status.success() {
        return Ok(());
    }
    Err(anyhow!("`{}` failed ({}):\n{}", line(command), output.status, said(&output)))
}

/// All a finished program said, standard output first.
pub(crate) fn said(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

/// The command as a person would type it, near enough.
fn line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_quotes_the_program() {
        let error =
            run(Command::new("sh").args(["-c", "echo no luck >&2; exit 3"]), Progress::Quiet)
                .unwrap_err()
                .to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("no luck"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let mut command = Command::new("no-such-program-here");
        for progress in [Progress::Quiet, Progress::Shown] {
            let error = run(&mut command, progress).unwrap_err().to_string();
            assert!(error.contains("There is no program `no-such-program-here`"), "{error}");
        }
    }
}
