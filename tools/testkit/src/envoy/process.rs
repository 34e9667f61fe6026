//! One running Envoy: started from a configuration, asked through its admin interface, and gone
//! when the value is dropped.

use std::fmt::Display;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::http;
use crate::{Error, PATIENCE, Result, command, wait_for};

mod admin;
mod last_words;
mod options;

use last_words::last_words;
pub use options::Options;

/// A running Envoy. Dropping it kills it. Before a panic of the thread that started it is told, the end of its
/// log is.
#[derive(Debug)]
pub struct Envoy {
    child: Mutex<Child>,
    admin: SocketAddr,
    log: Arc<PathBuf>,
    patience: Duration,
    /// Holds the configuration, and the log unless a folder was named for it.
    _folder: TempDir,
}

/// What `envoy --mode validate` thinks of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Envoy would start with it.
    Accepted,
    /// Envoy refuses it; the text is all it printed.
    Refused(String),
}

/// Asks Envoy what it thinks of a configuration, filters' own configuration included.
///
/// The error is for an Envoy that cannot be asked, so a test of a refusal cannot pass without one.
pub fn validate(config: impl Display) -> Result<Verdict> {
    validate_with(&super::envoy_binary()?, config)
}

/// The same of another Envoy.
pub fn validate_with(binary: &Path, config: impl Display) -> Result<Verdict> {
    let folder = temporary_folder()?;
    let config = write_config(folder.path(), &config.to_string())?;
    let mut envoy = Command::new(binary);
    envoy.args(["--mode", "validate", "--log-level", "warning", "-c"]);
    let output = envoy.arg(config).current_dir(folder.path()).output().context("running Envoy")?;
    Ok(match output.status.success() {
        true => Verdict::Accepted,
        false => Verdict::Refused(command::said(&output)),
    })
}

// === impl Envoy ===

impl Envoy {
    /// Starts Envoy with one worker and waits until it is ready. More choices: [`Envoy::options`].
    pub fn start(config: impl Display) -> Result<Self> {
        Self::options().start(config)
    }

    /// Choices about how Envoy runs; [`Options::start`] ends them.
    pub fn options() -> Options {
        Options::default()
    }

    fn spawn(options: &Options, config_yaml: &str) -> Result<Self> {
        let folder = temporary_folder()?;
        let config = write_config(folder.path(), config_yaml)?;
        let log = options.log_file(folder.path())?;
        let admin_file = folder.path().join("admin-address");
        let opened = File::create(&log).and_then(|out| Ok((out.try_clone()?, out)));
        let opened = opened.with_context(|| format!("writing {}", log.display()));
        let (out, err) = opened?;
        let child = options
            .command(config_yaml, &config, &admin_file)?
            .current_dir(options.working_dir.as_deref().unwrap_or(folder.path()))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .context("starting Envoy")?;
        let mut envoy = Self {
            child: Mutex::new(child),
            admin: SocketAddr::from(([0, 0, 0, 0], 0)),
            log: Arc::new(log),
            patience: options.patience,
            _folder: folder,
        };
        last_words::precede_panics(&envoy.log);
        envoy.admin = envoy.when_ready(&admin_file)?;
        Ok(envoy)
    }

    /// Waits until the admin interface says LIVE, or Envoy has left.
    fn when_ready(&self, admin_file: &Path) -> Result<SocketAddr> {
        let ready = wait_for("Envoy to be ready", self.patience, || {
            if let Some(status) = self.exit_status() {
                let why = format!("Envoy left before it was ready ({status}).");
                return Some(Err(self.after_last_words(why)));
            }
            let admin = fs::read_to_string(admin_file).ok()?.trim().parse().ok()?;
            let answer = http::request(admin, "GET", "/ready", &[]).ok()?;
            (answer.status == 200).then_some(Ok(admin))
        });
        ready.map_err(|error| self.after_last_words(error))?
    }

    /// The admin interface's address.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The operating system's number for the process, for measuring it.
    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// Stops it in its tracks (SIGSTOP): what arrives meanwhile is there all at once when it goes on.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let sent = kill_process(Pid::from_child(&self.child()), signal);
        sent.context("signalling Envoy")
    }

    /// Whether the process is still there: false after a crash.
    pub fn is_running(&self) -> bool {
        self.exit_status().is_none()
    }

    /// Everything Envoy has logged so far, the filter's lines included.
    pub fn log(&self) -> String {
        last_words::log(&self.log)
    }

    /// Where the log is.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Waits for a log line that contains `text` and returns it.
    pub fn wait_for_log(&self, text: &str) -> Result<String> {
        let what = format!("a log line with {text:?}");
        wait_for(&what, PATIENCE, || {
            let log = self.log();
            let line = log.lines().find(|line| line.contains(text));
            line.map(str::to_owned)
        })
        .map_err(|error| self.after_last_words(error))
    }

    /// Asks Envoy to leave, and waits. An error unless it leaves with success: a crash while it
    /// tears its filters down is a finding. Returns the whole log.
    pub fn stop(self) -> Result<String> {
        self.admin_post("/quitquitquit")?;
        let status = wait_for("Envoy to leave", self.patience, || self.exit_status())?;
        if status.success() {
            return Ok(self.log());
        }
        Err(self.after_last_words(format!("Envoy did not leave in peace ({status}).")))
    }

    fn exit_status(&self) -> Option<ExitStatus> {
        self.child().try_wait().ok().flatten()
    }

    /// The cause comes last: it is what the reader looks for.
    fn after_last_words(&self, cause: impl Display) -> Error {
        anyhow!("{}\n{cause:#}", last_words(&self.log))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // Both fail only if it has left already. Waiting also spares us a zombie.
        let _ = self.child().kill();
        let _ = self.child().wait();
    }
}

fn temporary_folder() -> Result<TempDir> {
    tempfile::Builder::new().prefix("envoy-").tempdir().context("making a temporary folder")
}

fn write_config(folder: &Path, config_yaml: &str) -> Result<PathBuf> {
    let path = folder.join("envoy.yaml");
    fs::write(&path, config_yaml).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}
