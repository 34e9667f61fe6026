//! A scripted service that dies, and is started again where it was.

use std::cell::Cell;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use testkit::store::{Behaviour, ScriptedStore};
use testkit::{PATIENCE, wait_for};

use crate::load::expected;

/// It, dead or alive.
pub struct Mortal {
    running: Cell<Option<ScriptedStore>>,
    pub address: SocketAddr,
}

impl Mortal {
    /// Alive.
    pub fn start(behaviour: Behaviour) -> Result<Mortal> {
        let running = expected::scripted(behaviour)?;
        let address = running.address();
        Ok(Mortal { running: Cell::new(Some(running)), address })
    }

    /// Lets it behave otherwise.
    pub fn set(&self, behaviour: Behaviour) -> Result<()> {
        let running = self.running.take().context("it is alive")?;
        running.set(behaviour);
        self.running.set(Some(running));
        Ok(())
    }

    /// Ends it.
    pub fn kill(&self) -> Result<()> {
        drop(self.running.take());
        Ok(())
    }

    /// Starts it again.
    pub fn restart(&self, behaviour: Behaviour) -> Result<()> {
        let port = || ScriptedStore::start_at(self.address).ok();
        let started = wait_for("the service's port", PATIENCE, port)?;
        started.forget_requests();
        self.running.set(Some(started));
        self.set(behaviour)
    }
}
