//! A table in a database, and the count store that serves it.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use testkit::count_store::{self as program, CountStore};
use testkit::{Progress, workspace};

use super::database::{Alone, Database, Engine};
use super::{calls, sharings};
use crate::{anywhere, machine};

/// A loaded table, and the store on it. Dropping it deletes the rows.
#[derive(Debug)]
pub struct Table {
    /// The store as a process.
    pub store: CountStore,
    /// How its load went.
    pub load: LoadCost,
    /// The rows.
    pub database: Database,
    folder: PathBuf,
}

/// What a load took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LoadCost {
    /// The number of rows.
    pub rows: u64,
    /// Of the whole `count-store load`.
    pub seconds: f64,
    csv_bytes: u64,
    database_bytes: u64,
}

/// A connection that asks the store one thing again and again.
///
/// It does no more than it must: what it takes is measured as the store's.
#[derive(Debug)]
pub struct Asking {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

// === impl Table ===

impl Table {
    /// Writes the rows, lets the store load them, and starts it.
    pub fn new(engine: Engine, rows: u64) -> Result<Table> {
        eprintln!("   {engine}, {rows} rows …");
        let folder = workspace::target_dir().join(format!("lab/sharings-{rows}"));
        let _ = fs::remove_dir_all(&folder); // Of a run that was killed.
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let csv = folder.join("csv");
        let mut writer = BufWriter::new(File::create(&csv)?);
        sharings::write(rows, &mut writer).context("writing the rows")?;
        writer.flush()?;
        workspace::count_store_binary()?;
        let database = Database::new(engine, &folder)?;
        let start = Instant::now();
        program::load(&database.name(), &csv, Progress::Quiet)?;
        let seconds = start.elapsed().as_secs_f64();
        let (csv_bytes, database_bytes) = (fs::metadata(&csv)?.len(), database.bytes()?);
        fs::remove_file(&csv)?;
        let load = LoadCost { rows, seconds, csv_bytes, database_bytes };
        Ok(Table { store: serve(&database)?, load, database, folder })
    }

    /// Another store on the same table.
    pub fn another_store(&self) -> Result<CountStore> {
        serve(&self.database)
    }

    /// The time that the store and the database's own processes have run, in µs.
    pub fn cpu_time(&self) -> Result<f64> {
        Ok(machine::cpu_time(self.store.pid())? + self.database.cpu_time()?)
    }

    /// A session of this process with the statement of a call.
    pub fn alone(&self, target: &str) -> Result<Alone> {
        self.database.alone(&calls::request(target)?)
    }
}

fn serve(database: &Database) -> Result<CountStore> {
    CountStore::start(&database.name(), anywhere())
}

impl Drop for Table {
    fn drop(&mut self) {
        // The store has it open, which deletes it all the same.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

// === impl Asking ===

impl Asking {
    /// Connects.
    pub fn new(address: SocketAddr, target: &str) -> Result<Asking> {
        let stream = TcpStream::connect(address).context("connecting to the store")?;
        stream.set_nodelay(true)?;
        let request =
            format!("GET {target} HTTP/1.1\r\nhost: store\r\naccept: application/json\r\n\r\n");
        Ok(Asking { stream, request: request.into_bytes(), answer: vec![0; 4096] })
    }

    /// Asks once, and returns the count.
    pub fn ask(&mut self) -> Result<u64> {
        self.stream.write_all(&self.request)?;
        let mut length = 0;
        // Every answer is an object, and no header has a brace.
        while length == 0 || self.answer.get(length - 1) != Some(&b'}') {
            let read = self.stream.read(self.answer.get_mut(length..).unwrap_or_default())?;
            ensure!(read > 0, "the store closed the connection");
            length += read;
        }
        let answer = std::str::from_utf8(self.answer.get(..length).unwrap_or_default())?;
        let number = answer.strip_prefix("HTTP/1.1 200 OK\r\n").and_then(|answer| {
            let (_, number) = answer.rsplit_once("\r\n\r\n{\"count\":")?;
            number.strip_suffix('}')?.parse().ok()
        });
        number.with_context(|| format!("the store answered {answer:?}"))
    }
}
