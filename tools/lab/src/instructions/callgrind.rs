//! Envoy under callgrind, valgrind's tool that counts instructions.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::envoy::{Envoy, Options};
use testkit::workspace;

/// What the page shows of the command line. V8 writes code while it runs: without the check,
/// valgrind would go on running what stood there before. Nothing is counted until
/// [`Callgrind::count`], which makes the start and the warming up several times as fast.
pub const ARGUMENTS: [&str; 3] =
    ["--tool=callgrind", "--smc-check=all-non-file", "--instr-atstart=no"];

/// Envoy starts some ten times as slowly.
const PATIENCE: Duration = Duration::from_secs(180);

/// The counters of a process under callgrind.
#[derive(Debug)]
pub struct Callgrind {
    pid: u32,
    /// How many times they were written.
    dumps: u32,
}

/// valgrind's version.
///
/// # Errors
/// If it is not there: cargo cannot install it.
pub fn version() -> Result<String> {
    let output = Command::new("valgrind").arg("--version").output();
    let output = output.context("valgrind does not run; install it: `apt install valgrind`")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Choices for an Envoy that runs under callgrind. One at a time: it empties a folder.
pub fn options() -> Result<Options> {
    let folder = folder();
    let _ = fs::remove_dir_all(&folder); // It may not be there.
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let (pipes, out) = (pipes(), folder.join("out"));
    let out = format!("--callgrind-out-file={}", out.display());
    let command =
        ["valgrind"].into_iter().chain(ARGUMENTS).chain([&*out, &*pipes]).map(str::to_owned);
    Ok(Envoy::options().under(command.collect::<Vec<_>>()).patience(PATIENCE))
}

/// For what valgrind writes. Pipes too: those of a process that was killed stay.
fn folder() -> PathBuf {
    workspace::target_dir().join("lab/callgrind")
}

fn pipes() -> String {
    format!("--vgdb-prefix={}", folder().join("pipe").display())
}

// === impl Callgrind ===

impl Callgrind {
    /// Begins to count in an Envoy that was started with [`options`].
    pub fn count(envoy: &Envoy) -> Result<Callgrind> {
        let callgrind = Callgrind { pid: envoy.pid(), dumps: 0 };
        callgrind.tell(&["instrumentation", "on"])?;
        Ok(callgrind)
    }

    /// Sets the counters to zero.
    pub fn zero(&self) -> Result<()> {
        self.tell(&["zero"])
    }

    /// The instructions since they were zero, which they are again.
    pub fn take(&mut self) -> Result<u64> {
        self.tell(&["dump"])?;
        self.dumps += 1;
        let file = folder().join(format!("out.{}", self.dumps));
        let text = fs::read_to_string(&file);
        let text = text.with_context(|| format!("reading {}", file.display()))?;
        let _ = fs::remove_file(&file); // Some megabytes, which nobody reads again.
        total(&text).with_context(|| format!("{} has no totals", file.display()))
    }

    /// Has callgrind do what its manual calls a monitor command. It is done when this returns.
    fn tell(&self, words: &[&str]) -> Result<()> {
        let mut vgdb = Command::new("vgdb");
        vgdb.arg(pipes()).arg(format!("--pid={}", self.pid)).args(words);
        let output = vgdb.output().context("running vgdb")?;
        let (words, status) = (words.join(" "), output.status);
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(status.success(), "vgdb {words} failed ({status}): {said}");
        Ok(())
    }
}

/// Of a file that callgrind wrote.
fn total(text: &str) -> Option<u64> {
    text.lines().rev().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn the_total_is_read() {
        let text = "# callgrind format\nevents: Ir\nfn=(1) main\n1 900\n\ntotals: 1323\n";
        assert_eq!(total(text), Some(1323));
        assert_eq!(total("events: Ir\n"), None);
    }
}
