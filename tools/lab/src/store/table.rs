//! A table in a file, the count store that serves it, and SQLite alone on it.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use count_store::sql::Statement;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, StatementStatus, params_from_iter};
use serde::Serialize;
use testkit::count_store::{self as program, CountStore};
use testkit::{Progress, workspace};

use super::{calls, sharings};
use crate::anywhere;

/// A loaded table, and the store on it. Dropping it deletes the file.
#[derive(Debug)]
pub struct Table {
    /// The store as a process.
    pub store: CountStore,
    /// How its load went.
    pub load: LoadCost,
    folder: PathBuf,
}

/// What a load took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LoadCost {
    /// The number of rows.
    pub rows: u64,
    seconds: f64,
    csv_bytes: u64,
    database_bytes: u64,
}

/// SQLite without the store, with the statement of a call.
#[derive(Debug)]
pub struct Alone {
    connection: Connection,
    statement: Statement,
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
    pub fn new(rows: u64) -> Result<Table> {
        eprintln!("   {rows} rows …");
        let folder = workspace::target_dir().join(format!("lab/sharings-{rows}"));
        let _ = fs::remove_dir_all(&folder); // Of a run that was killed.
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let (csv, file) = (folder.join("csv"), folder.join("db"));
        let mut writer = BufWriter::new(File::create(&csv)?);
        sharings::write(rows, &mut writer).context("writing the rows")?;
        writer.flush()?;
        workspace::count_store_binary()?;
        let start = Instant::now();
        program::load(&file, &csv, Progress::Quiet)?;
        let seconds = start.elapsed().as_secs_f64();
        let [csv_bytes, database_bytes] = [fs::metadata(&csv)?.len(), fs::metadata(&file)?.len()];
        fs::remove_file(&csv)?;
        let load = LoadCost { rows, seconds, csv_bytes, database_bytes };
        Ok(Table { store: serve(&folder)?, load, folder })
    }

    /// Another store on the same table.
    pub fn another_store(&self) -> Result<CountStore> {
        serve(&self.folder)
    }

    /// A connection of this process with the statement of a call.
    pub fn alone(&self, target: &str) -> Result<Alone> {
        // As count-store/src/sqlite opens it to read.
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(self.folder.join("db"), flags)?;
        connection.pragma_update(None, "cache_size", -16_384)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(Alone { connection, statement: calls::statement(target)? })
    }
}

fn serve(folder: &Path) -> Result<CountStore> {
    CountStore::start(&folder.join("db"), anywhere())
}

impl Drop for Table {
    fn drop(&mut self) {
        // The store has it open, which deletes it all the same.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

// === impl Alone ===

impl Alone {
    /// The count, and the steps of SQLite's virtual machine that it takes.
    pub fn count(&self) -> Result<(u64, u64)> {
        let mut statement = self.connection.prepare(&self.statement.text)?;
        let parameters = params_from_iter(&self.statement.parameters);
        let count: i64 = statement.query_row(parameters, |row| row.get(0))?;
        Ok((count.try_into()?, statement.get_status(StatementStatus::VmStep).try_into()?))
    }

    /// Runs `measure` with what counts once, in a statement that was compiled before.
    pub fn with<T>(
        &self,
        measure: impl FnOnce(&mut dyn FnMut() -> Result<()>) -> Result<T>,
    ) -> Result<T> {
        let mut statement = self.connection.prepare(&self.statement.text)?;
        measure(&mut || {
            let parameters = params_from_iter(&self.statement.parameters);
            statement.query_row(parameters, |row| row.get::<_, i64>(0))?;
            Ok(())
        })
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
