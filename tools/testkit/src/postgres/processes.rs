//! Signals to a server's processes, and their end when ours ends.
//!
//! Each backend is a process in a session of its own: the server's process group does not hold them, but they are the
//! children of the first process, the postmaster.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::Context;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::owner::Owner;
use crate::{PATIENCE, Result, wait_for};

/// Stops the postmaster (SIGSTOP), so that it starts no more processes, and then all the others.
pub(super) fn pause(postmaster: &Child) -> Result<()> {
    for pid in freeze(postmaster)? {
        // It may have left meanwhile.
        let _ = kill_process(pid, Signal::STOP);
    }
    Ok(())
}

/// Lets all go on (SIGCONT).
pub(super) fn resume(postmaster: &Child) -> Result<()> {
    for pid in children(postmaster) {
        let _ = kill_process(pid, Signal::CONT);
    }
    signal(postmaster, Signal::CONT)
}

/// Ends all at once, without a word to clients or disk.
///
/// The backends are killed (SIGKILL), and so say nothing to clients. The postmaster is told to leave at once (SIGQUIT):
/// the state of the data is the same as if it had been killed, but it removes its shared memory, which would stay.
pub(super) fn kill(postmaster: &mut Child) {
    // Its number may be another process's, if it has been waited for.
    if let Ok(Some(_)) = postmaster.try_wait() {
        return;
    }
    for pid in freeze(postmaster).unwrap_or_default() {
        let _ = kill_process(pid, Signal::KILL);
    }
    let _ = signal(postmaster, Signal::QUIT);
    let _ = signal(postmaster, Signal::CONT);
    if wait(postmaster).is_err() {
        // These fail only if it has left meanwhile.
        let _ = postmaster.kill();
        let _ = postmaster.wait();
    }
}

/// Ends all in order (SIGINT, "fast shutdown"): clients are told, and the data are written.
pub(super) fn stop(postmaster: &mut Child) -> Result<()> {
    signal(postmaster, Signal::INT)?;
    // Paused, it would not hear it.
    resume(postmaster)?;
    wait(postmaster)
}

fn signal(postmaster: &Child, signal: Signal) -> Result<()> {
    kill_process(Pid::from_child(postmaster), signal).context("signalling PostgreSQL")
}

fn wait(postmaster: &mut Child) -> Result<()> {
    wait_for("PostgreSQL to leave", PATIENCE, || postmaster.try_wait().ok().flatten()).map(drop)
}

/// Stops the postmaster, and says which processes it has.
fn freeze(postmaster: &Child) -> Result<Vec<Pid>> {
    signal(postmaster, Signal::STOP)?;
    let until = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(Pid::from_child(postmaster)), until).context("stopping PostgreSQL")?;
    Ok(children(postmaster))
}

fn children(postmaster: &Child) -> Vec<Pid> {
    let pid = postmaster.id();
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let listed = listed.unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

/// A shell that waits for the end of this process, however it comes, and then ends the server in a folder and removes the
/// folder: a test that is killed leaves nothing behind.
///
/// The kernel's own way (PR_SET_PDEATHSIG) would act when the *thread* ends that started the server.
#[derive(Debug)]
pub(super) struct Watchdog(Child);

/// `$0` is the server's folder, and there may be more to remove. Standard input ends when the process ends that holds the
/// other end. A zombie that nobody waits for must not keep the shell for ever, so the server is given ten seconds.
const WATCH: &str = r#"
read -r _
pid=$(head -n 1 "$0/data/postmaster.pid") && kill -QUIT "$pid" && kill -CONT "$pid"
tries=100
while [ $tries -gt 0 ] && kill -0 "$pid"; do sleep 0.1; tries=$((tries - 1)); done
exec rm -rf "$0" "$@"
"#;

// === impl Watchdog ===

impl Watchdog {
    /// The server's folder is the first of the folders.
    pub(super) fn start<'a>(owner: Owner, folders: impl Iterator<Item = &'a Path>) -> Result<Self> {
        let mut shell = owner.command(Path::new("/bin/sh"));
        shell.args(["-c", WATCH]).args(folders).current_dir("/").stdin(Stdio::piped());
        // In a process group of its own: the terminal's Ctrl-C is for us.
        shell.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        shell.spawn().map(Self).context("starting a shell that ends PostgreSQL after us")
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
