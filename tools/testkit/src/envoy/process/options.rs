//! Choices about how Envoy runs.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use super::Envoy;
use crate::envoy::envoy_binary;
use crate::{PATIENCE, Result};

/// Merged into configurations without an admin interface of their own.
const ADMIN: &str = "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}";

/// Choices about how Envoy runs. The defaults suit most tests: one worker, warnings, and what
/// filters log at info.
#[derive(Clone, Debug)]
pub struct Options {
    binary: Option<PathBuf>,
    under: Vec<OsString>,
    pub(super) patience: Duration,
    concurrency: u32,
    component_log_level: String,
    log_dir: Option<PathBuf>,
    pub(super) working_dir: Option<PathBuf>,
    args: Vec<OsString>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            binary: None,
            under: Vec::new(),
            patience: PATIENCE,
            concurrency: 1,
            component_log_level: "wasm:info".to_owned(),
            log_dir: None,
            working_dir: None,
            args: Vec::new(),
        }
    }
}

impl Options {
    /// Another Envoy than [`envoy_binary`] finds.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// A program, with its own arguments, that runs Envoy in its own process, as valgrind does: what
    /// follows on its command line is Envoy's.
    pub fn under<T: Into<OsString>>(mut self, command: impl IntoIterator<Item = T>) -> Self {
        self.under = command.into_iter().map(Into::into).collect();
        self
    }

    /// How long Envoy may take to become ready, and to leave; [`PATIENCE`] by default.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The number of worker threads; each has a VM of its own.
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// Log levels by component, such as `wasm:debug,http:debug`; all others log warnings.
    pub fn component_log_level(mut self, levels: impl Into<String>) -> Self {
        self.component_log_level = levels.into();
        self
    }

    /// A folder for `envoy.log` that outlives the process (made if missing).
    pub fn log_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.log_dir = Some(folder.into());
        self
    }

    /// Where relative paths in the configuration start; a temporary folder by default.
    pub fn working_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.working_dir = Some(folder.into());
        self
    }

    /// One more argument for Envoy.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.args.push(argument.into());
        self
    }

    /// Starts Envoy with this configuration, a [`Bootstrap`](crate::envoy::config::Bootstrap) or YAML, and waits
    /// until it is ready.
    ///
    /// A configuration without a top-level `admin:` gets an admin interface on a port of the
    /// system's choice. If Envoy leaves early, the error quotes its last log lines.
    pub fn start(self, config: impl Display) -> Result<Envoy> {
        Envoy::spawn(&self, &config.to_string())
    }

    pub(super) fn log_file(&self, otherwise: &Path) -> Result<PathBuf> {
        let folder = self.log_dir.as_deref().unwrap_or(otherwise);
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        // Absolute, because Envoy's and our current folder differ.
        let folder =
            fs::canonicalize(folder).with_context(|| format!("finding {}", folder.display()))?;
        Ok(folder.join("envoy.log"))
    }

    pub(super) fn command(
        &self,
        config_yaml: &str,
        config: &Path,
        admin_file: &Path,
    ) -> Result<Command> {
        let binary = match &self.binary {
            Some(binary) => binary.clone(),
            None => envoy_binary()?,
        };
        let mut envoy = match self.under.split_first() {
            None => Command::new(binary),
            Some((program, arguments)) => {
                let mut envoy = Command::new(program);
                envoy.args(arguments).arg(binary);
                envoy
            }
        };
        envoy.arg("-c").arg(config);
        envoy.arg("--admin-address-path").arg(admin_file);
        if !config_yaml.lines().any(|line| line.starts_with("admin:")) {
            envoy.args(["--config-yaml", ADMIN]);
        }
        envoy
            .args(["--concurrency", &self.concurrency.to_string()])
            .args(["--log-level", "warning"])
            .args(["--component-log-level", &self.component_log_level])
            // Many run side by side and none hands over to a successor. --use-dynamic-base-id would
            // do too, but a killed Envoy would leave its shared memory in /dev/shm.
            .arg("--disable-hot-restart")
            .args(&self.args);
        Ok(envoy)
    }
}
