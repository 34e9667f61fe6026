//! The reference count store as a process of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Progress, Result, command, workspace};

/// A running `count-store serve`. Dropping it kills it.
#[derive(Debug)]
pub struct CountStore {
    child: Child,
    address: SocketAddr,
}

/// Loads the rows of a CSV or JSON file into a database: the path of a file, or PostgreSQL's URL.
pub fn load(
    database: &(impl AsRef<OsStr> + ?Sized),
    rows: &Path,
    progress: Progress,
) -> Result<()> {
    let mut load = Command::new(workspace::count_store_binary()?);
    command::run(load.arg("load").arg("--database").arg(database).arg(rows), progress)
}

// === impl CountStore ===

impl CountStore {
    /// Starts a store on a database that has been loaded; port 0 takes any.
    pub fn start(database: &(impl AsRef<OsStr> + ?Sized), listen: SocketAddr) -> Result<Self> {
        Self::start_with(database, listen, &[])
    }

    /// The same, with more arguments, such as `--token TOKEN=PROJECT`.
    pub fn start_with(
        database: &(impl AsRef<OsStr> + ?Sized),
        listen: SocketAddr,
        arguments: &[&str],
    ) -> Result<Self> {
        let mut child = Command::new(workspace::count_store_binary()?)
            .args(["serve", "--listen", &listen.to_string(), "--database"])
            .arg(database)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the count store")?;
        let mut ready = String::new();
        if let Some(stdout) = child.stdout.take() {
            // The pipe's end goes here: the store prints nothing after this line.
            let read = BufReader::new(stdout).read_line(&mut ready);
            read.context("listening to the count store")?;
        }
        match ready.trim().strip_prefix("listening on ").map(str::parse) {
            Some(Ok(address)) => Ok(Self { child, address }),
            _ => {
                let _ = child.wait();
                Err(anyhow!("The count store did not start; it says why above."))
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it in its tracks (SIGSTOP): its connections stay open, and nothing moves.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        // Not reaped before `self` is dropped, so the number cannot be another's by now.
        kill_process(Pid::from_child(&self.child), signal).context("signalling the count store")
    }
}

impl Drop for CountStore {
    fn drop(&mut self) {
        // Both fail only if it has left already. Waiting also spares us a zombie.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
