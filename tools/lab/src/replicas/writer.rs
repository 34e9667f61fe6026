//! One row after the other, and the history of it.
//!
//! A row that was not acknowledged is written again, under the same id, until it is. So there are always as many rows as were
//! acknowledged, and the next one, maybe.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use testkit::postgres::{Client, Cluster};

/// Who shares the rows, and with whom.
pub const FROM: &str = "writes";
pub const TO: &str = "reads";

/// How often a row is written.
pub const EVERY: Duration = Duration::from_millis(20);

/// Before the next try at a server that takes no rows.
const REFUSED: Duration = Duration::from_millis(50);

/// A row of [`FROM`]: the first time that its commit was begun, and when it was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Write {
    pub begun: Instant,
    pub acknowledged: Option<Instant>,
}

/// Writes at one of the servers. Dropping it kills them all, for it may wait for one that is silent.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    cluster: Arc<Cluster>,
    /// The number of the server that takes rows.
    server: AtomicUsize,
    history: Mutex<Vec<Write>>,
    ended: AtomicBool,
}

impl Writer {
    /// Begins, at the primary.
    pub fn start(cluster: Arc<Cluster>) -> Writer {
        let (server, history, ended) = Default::default();
        let shared = Arc::new(Shared { cluster, server, history, ended });
        let thread = Some(thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.write()
        }));
        Writer { shared, thread }
    }

    /// Goes on at the server of this number.
    pub fn go_to(&self, server: usize) {
        self.shared.server.store(server, Ordering::Relaxed);
    }

    /// All that was written so far.
    pub fn history(&self) -> Vec<Write> {
        self.shared.history().clone()
    }

    /// How many rows were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        let history = self.shared.history();
        history.iter().filter(|write| write.acknowledged.is_some()).count()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.shared.cluster.servers().for_each(testkit::postgres::Server::kill);
        // It has no reason to panic; if it did, its thread said so.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn history(&self) -> MutexGuard<'_, Vec<Write>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) {
        let mut connection = None;
        while !self.ended.load(Ordering::Relaxed) {
            connection = self.write_next(connection).ok();
            thread::sleep(if connection.is_some() { EVERY } else { REFUSED });
        }
    }

    /// Writes one row: the connection, and whose it is.
    fn write_next(&self, connection: Option<(usize, Client)>) -> Result<(usize, Client)> {
        let server = self.server.load(Ordering::Relaxed);
        let mut client = match connection {
            Some((of, client)) if of == server => client,
            _ => self.cluster.servers().nth(server).context("there is no such server")?.client()?,
        };
        let number = {
            let mut history = self.history();
            if history.last().is_none_or(|write| write.acknowledged.is_some()) {
                history.push(Write { begun: Instant::now(), acknowledged: None });
            }
            history.len()
        };
        let id = format!("{number:08x}-0000-4000-8000-000000000000");
        client.batch_execute(&format!(
            "INSERT INTO backup_sharing (id, backup_id, from_project_id, to_project_id, name, status, volume_id, \
             availability_zone) VALUES ('{id}', '{id}', '{FROM}', '{TO}', 'Row', 'available', '{id}', 'az-1') \
             ON CONFLICT (id) DO NOTHING"
        ))?;
        let mut history = self.history();
        let write = history.last_mut().ok_or_else(|| anyhow!("no row was begun"))?;
        write.acknowledged = Some(Instant::now());
        Ok((server, client))
    }
}
