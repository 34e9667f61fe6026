//! A closed-loop load that judges every answer.
//!
//! Each connection is a thread that asks, waits, judges and asks again. What it asks has one right
//! answer, so an answer given to the wrong client is seen. Memory does not grow with the number of
//! requests.

mod ask;
mod client;
pub mod expected;
mod judge;
mod tally;
#[cfg(test)]
mod tests;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use ask::Asks;
use client::Client;

pub use ask::{Kind, Mix};
pub use judge::{Truth, is_documented};
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
    /// What counts may be.
    pub truth: Truth,
    /// How long each rests after an answer.
    pub pause: Duration,
    /// Ends by itself after this many requests.
    pub requests: Option<u64>,
}

/// Loads under way beside each other. Dropping them ends them.
#[derive(Debug)]
pub struct Running {
    loads: Vec<Arc<Shared>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// 16 connections without rest, until stopped.
    pub fn new(address: SocketAddr) -> Self {
        let (mix, truth, pause) = (Mix::default(), Truth::default(), Duration::ZERO);
        Self { address, connections: 16, mix, truth, pause, requests: None }
    }

    /// Starts it.
    pub fn start(self) -> Result<Running> {
        Running::start([self])
    }
}

/// Asks each count once, so that all are remembered where any is.
///
/// # Errors
/// If one is not counted.
pub fn ask_each_count(address: SocketAddr) -> Result<()> {
    let mut client = Client::open(address)?;
    for ask in Asks::default().counts() {
        let answer = client.ask(&ask.bytes).map_err(|failure| anyhow!("{failure:?}"))?;
        ensure!(answer.status == 200, "a count is answered {answer:?}");
    }
    Ok(())
}

impl Running {
    /// Starts loads beside each other.
    pub fn start(loads: impl IntoIterator<Item = Load>) -> Result<Self> {
        let mut running = Self { loads: Vec::new(), threads: Vec::new() };
        for load in loads {
            let shared = Arc::new(Shared::new(load));
            running.loads.push(Arc::clone(&shared));
            for number in 0..load.connections {
                let shared = Arc::clone(&shared);
                let thread = thread::Builder::new().name("load".to_owned()).stack_size(STACK);
                let thread = thread.spawn(move || shared.work(number));
                running.threads.push(thread.context("start a thread")?);
            }
        }
        Ok(running)
    }

    /// What came since the last call, or since the start. An answer counts when it has come.
    pub fn take(&self) -> Tally {
        let mut all = Tally::default();
        self.loads.iter().for_each(|load| all.merge(&load.take()));
        all
    }

    /// Lets them go on for a while, then takes what came.
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
        self.loads.iter().for_each(|load| load.ended.store(true, Ordering::Relaxed));
    }

    /// Ends them, waits for the requests under way, and takes what came since the last
    /// [`take`](Self::take).
    pub fn stop(mut self) -> Tally {
        self.end();
        self.join();
        self.take()
    }

    fn join(&mut self) {
        for thread in std::mem::take(&mut self.threads) {
            // A worker has no reason to panic; if one did, its thread said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
        self.join();
    }
}
