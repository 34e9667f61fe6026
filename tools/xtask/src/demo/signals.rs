//! Ctrl-C and its like. A child in the terminal's process group hears them as well; one that was not told is ended, so that the
//! step the demo is at fails, and all of it is cleaned up on the way out.

use std::cell::Cell;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use testkit::Result;

/// The signals that end the demo.
pub struct Signals {
    coming: Receiver<i32>,
    /// The one that ended a sleep.
    came: Cell<Option<i32>>,
}

// === impl Signals ===

impl Signals {
    /// Listens for them from now on.
    pub fn listen() -> Result<Signals> {
        let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])
            .context("listening for Ctrl-C")?;
        let (send, received) = mpsc::channel();
        thread::spawn(move || {
            for signal in signals.forever() {
                let _ = send.send(signal);
                testkit::stop();
            }
        });
        Ok(Signals { coming: received, came: Cell::default() })
    }

    /// Waits for one.
    pub fn wait(&self) {
        // An error means that the listener is gone, which ends the demo too.
        let _ = self.coming.recv();
    }

    /// Waits for so long; an error if one comes.
    pub fn sleep(&self, time: Duration) -> Result<()> {
        self.came.set(self.coming.recv_timeout(time).ok());
        match self.came.get() {
            Some(_) => bail!("Interrupted."),
            None => Ok(()),
        }
    }

    /// If one has come: the exit code of a program that it ended. Waits a little, for a child in the process group may have had it
    /// first, and failed.
    pub fn exit_code(&self) -> Option<ExitCode> {
        let next = || self.coming.recv_timeout(Duration::from_millis(100)).ok();
        let signal = self.came.get().or_else(next)?;
        u8::try_from(128 + signal).ok().map(ExitCode::from)
    }
}
