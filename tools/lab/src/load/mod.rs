//! A closed-loop load that judges every answer.
//!
//! Each connection is a thread that asks, waits, judges and asks again. What it asks has one right
//! answer, so an answer given to the wrong client is seen. Memory does not grow with the number of
//! requests.
//!
//! | module | holds |
//! |---|---|
//! | [`expected`] | the counts a store owes, as rows and as a behaviour of the scripted store |
//! | [`ask`] | the requests, and what each must get |
//! | [`client`] | a connection that knows how it ended |
//! | [`judge`] | whether an answer is right |
//! | [`tally`] | what came of it |

pub mod ask;
pub mod client;
pub mod expected;
pub mod judge;
pub mod tally;
#[cfg(test)]
mod tests;
mod worker;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

pub use ask::{Asks, Kind, Mix};
pub use tally::{HALF, Judged, Latencies, P99, Quantiles, SLOWEST, Tally};
use worker::Shared;

/// A thread of the load needs little, and there may be hundreds.
const STACK: usize = 256 * 1024;

/// A load to be put on an address.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Where Envoy listens.
    pub address: SocketAddr,
    /// How many connections ask at once.
    pub connections: usize,
    /// What they ask.
    pub mix: Mix,
    /// How long each rests after an answer.
    pub pause: Duration,
    /// Ends by itself after so many requests.
    pub requests: Option<u64>,
}

/// A load under way. Dropping it ends it.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// 16 connections without rest, until stopped.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connections: 16,
            mix: Mix::default(),
            pause: Duration::ZERO,
            requests: None,
        }
    }

    /// Starts it.
    pub fn start(self) -> Result<Running> {
        let shared = Arc::new(Shared {
            load: self,
            asks: Asks::default(),
            ended: AtomicBool::new(false),
            left: AtomicU64::new(self.requests.unwrap_or(u64::MAX)),
            tallies: (0..self.connections).map(|_| Mutex::default()).collect(),
        });
        let mut running = Running { shared, threads: Vec::new() };
        for number in 0..self.connections {
            let shared = Arc::clone(&running.shared);
            let thread = thread::Builder::new().name("load".to_owned()).stack_size(STACK);
            let thread = thread.spawn(move || worker::work(&shared, number));
            running.threads.push(thread.context("start a thread")?);
        }
        Ok(running)
    }
}

impl Running {
    /// What came since the last call, or since the start. An answer counts when it has come.
    pub fn take(&self) -> Tally {
        let mut all = Tally::default();
        for tally in &self.shared.tallies {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            all.merge(&std::mem::take(&mut *tally));
        }
        all
    }

    /// Lets it go on for a while, then takes what came.
    pub fn run_for(&self, time: Duration) -> Tally {
        thread::sleep(time);
        self.take()
    }

    /// Whether requests are still being sent: false once the given number is reached.
    pub fn is_busy(&self) -> bool {
        self.threads.iter().any(|thread| !thread.is_finished())
    }

    /// No new request is sent from now on. Does not wait for those under way.
    pub fn end(&self) {
        self.shared.ended.store(true, Ordering::Relaxed);
    }

    /// Ends it, waits for the requests under way, and takes what came since the last
    /// [`take`](Self::take).
    pub fn stop(mut self) -> Tally {
        self.join();
        self.take()
    }

    /// Waits for the given number of requests, then takes what came.
    pub fn wait(mut self) -> Tally {
        for thread in std::mem::take(&mut self.threads) {
            // A worker has no reason to panic; if one did, its thread said so.
            let _ = thread.join();
        }
        self.take()
    }

    fn join(&mut self) {
        self.end();
        for thread in std::mem::take(&mut self.threads) {
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.join();
    }
}
