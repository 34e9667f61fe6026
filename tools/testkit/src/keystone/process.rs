//! One running Keystone, with a database of its own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::Options;
use super::provision::packages;
use crate::{Result, http, python, workspace};

/// A running Keystone. Dropping it kills it.
#[derive(Debug)]
pub struct Keystone {
    child: Mutex<Child>,
    address: SocketAddr,
    /// The administrator's, as long as it is good.
    pub(super) admin_token: Mutex<Option<String>>,
    /// Configuration, keys, database and log.
    folder: TempDir,
}

// === impl Keystone ===

impl Keystone {
    /// Starts one as it is by default. More choices: [`Keystone::options`].
    pub fn start() -> Result<Self> {
        Self::options().start()
    }

    /// Choices about how Keystone runs.
    pub fn options() -> Options {
        Options::default()
    }

    /// The one that other tests of this process use at the moment, if there is one, for tests that do it no harm;
    /// their names of projects and users must differ. A `static` would not do: it is never dropped.
    pub fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Keystone>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keystone) = shared.upgrade() {
            return Ok(keystone);
        }
        let keystone = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&keystone);
        Ok(keystone)
    }

    pub(super) fn spawn(folder: TempDir) -> Result<Self> {
        let (child, address) = serve(&folder, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let child = Mutex::new(child);
        Ok(Self { child, address, admin_token: Mutex::default(), folder })
    }

    /// Where it listens: the base of its API is `/v3` there.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process, for measuring it.
    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// Everything it has logged so far. Errors are there, and tokens may be.
    pub fn log(&self) -> String {
        log(&self.folder)
    }

    /// Ends it (SIGKILL): its connections are reset or closed, and its port refuses. Nothing, if it has ended already.
    pub fn kill(&self) {
        end(&mut self.child());
    }

    /// Starts it again, killed or not, at the same address, with the same database and keys: tokens stay good.
    pub fn restart(&self) -> Result<()> {
        let mut child = self.child();
        end(&mut child);
        (*child, _) = serve(&self.folder, self.address)?;
        Ok(())
    }

    /// Stops it in its tracks (SIGSTOP): connections are accepted and stay open, and nothing moves.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Replaces what is in the database by garbage: whatever needs it is 500 from now on. What does not is answered
    /// still: `GET /v3`, and 401 about what is no token of this Keystone.
    pub fn break_database(&self) -> Result<()> {
        let (database, away) = self.database();
        if !away.exists() {
            fs::copy(&database, away).context("copying Keystone's database")?;
        }
        fs::write(database, "garbage").context("breaking Keystone's database")
    }

    /// Puts back what was in it. Into the same file: Keystone has it open.
    pub fn repair_database(&self) -> Result<()> {
        let (database, away) = self.database();
        fs::copy(&away, database)
            .and_then(|_| fs::remove_file(away))
            .context("repairing Keystone's database")
    }

    fn database(&self) -> (PathBuf, PathBuf) {
        let database = self.folder.path().join("keystone.db");
        let away = database.with_extension("away");
        (database, away)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let mut child = self.child();
        // Its number may be another process's by now, if it has been waited for.
        if let Some(status) = child.try_wait().context("looking for Keystone")? {
            bail!("Keystone has left ({status}).");
        }
        kill_process(Pid::from_child(&child), signal).context("signalling Keystone")
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Keystone {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Kills without asking first: a single process, without children, and its database is for one run.
fn end(child: &mut Child) {
    // Both fail only if it has left already. Waiting also spares us a zombie.
    let _ = child.kill();
    let _ = child.wait();
}

/// Runs the server in `folder` until it answers, and says where that is.
fn serve(folder: &TempDir, listen: SocketAddr) -> Result<(Child, SocketAddr)> {
    let program = workspace::root().join("tools/testkit/src/keystone/serve.py");
    let log_file = File::options().create(true).append(true).open(folder.path().join("log"));
    let log_file = log_file.context("writing Keystone's log")?;
    let mut child = python::run(&packages()?, &program)
        .arg(listen.to_string())
        .current_dir(folder)
        .env("OS_KEYSTONE_CONFIG_DIR", ".")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log_file)
        .spawn()
        .context("starting Keystone")?;
    let mut ready = String::new();
    if let Some(stdout) = child.stdout.take() {
        // The pipe's end goes here: the server prints nothing after this line. What cannot be read says nothing.
        let _ = BufReader::new(stdout).read_line(&mut ready);
    }
    let address = ready.trim().strip_prefix("listening on ").and_then(|at| at.parse().ok());
    let answers = |address| http::request(address, "GET", "/v3", &[]).map(|answer| answer.status);
    match address.map(|address| (address, answers(address))) {
        Some((address, Ok(200))) => Ok((child, address)),
        answered => {
            end(&mut child);
            Err(anyhow!("{}\nKeystone did not start ({answered:?}).", log(folder)))
        }
    }
}

fn log(folder: &TempDir) -> String {
    let bytes = fs::read(folder.path().join("log")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
