//! Choices about how Keystone runs.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Duration;

use anyhow::Context;

use super::Keystone;
use super::provision::copy_template;
use crate::Result;

/// Nobody but an administrator or a service may ask about a token, not even its owner.
const FORBIDDING: &str =
    "\"identity:validate_token\": \"rule:admin_required or rule:service_role\"\n";

/// Choices about how Keystone runs; [`Options::start`] ends them.
#[derive(Clone, Debug, Default)]
pub struct Options {
    token_expiration: Option<Duration>,
    forbid_self_validation: bool,
}

// === impl Options ===

impl Options {
    /// How long a token is good, in whole seconds; an hour by default.
    pub fn token_expiration(mut self, expiration: Duration) -> Self {
        self.token_expiration = Some(expiration);
        self
    }

    /// A token may not ask about itself: Keystone answers 403.
    pub fn forbid_self_validation(mut self) -> Self {
        self.forbid_self_validation = true;
        self
    }

    /// Starts it on a port of the system's choice on 127.0.0.1, and waits until it answers.
    ///
    /// Its users are those of `keystone-manage bootstrap`: `admin`, with the role of this name on the system and
    /// in the project of this name.
    pub fn start(self) -> Result<Keystone> {
        let folder = tempfile::Builder::new().prefix("keystone-").tempdir();
        let folder = folder.context("making a temporary folder")?;
        copy_template(folder.path())?;
        let configure = || format!("configuring Keystone in {}", folder.path().display());
        if let Some(expiration) = self.token_expiration {
            let seconds = expiration.as_secs();
            OpenOptions::new()
                .append(true)
                .open(folder.path().join("keystone.conf"))
                .and_then(|mut file| writeln!(file, "\n[token]\nexpiration = {seconds}"))
                .with_context(configure)?;
        }
        if self.forbid_self_validation {
            let policy = folder.path().join("policy.yaml");
            fs::write(policy, FORBIDDING).with_context(configure)?;
        }
        Keystone::spawn(folder)
    }
}
