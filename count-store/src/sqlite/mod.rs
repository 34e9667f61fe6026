//! The SQLite file: how one `load` opens it to write, and `serve` to read.
//!
//! Between loads it is one file without a log, which whoever may read it can serve,
//! from a read-only mount too. While a load writes it has a write-ahead log, so that
//! counts go on; a server that has read the log keeps that mode until the next load
//! after its end.

mod schema;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::ffi::{SQLITE_READONLY_DIRECTORY, SQLITE_READONLY_ROLLBACK};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Error, Result, say};
pub use schema::schema;
pub(crate) use schema::{Failure, Ids, close, open};
use schema::{Table, indexes};

/// How long a statement waits for another program's lock.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// How long a load that is done waits for a moment without counts, to empty its log.
const UNREAD: Duration = Duration::from_secs(30);

/// A call has 256 statement texts (see [`Statement`](crate::sql::Statement));
/// none of them need ever be prepared twice.
const STATEMENTS: usize = 512;

/// What a connection that counts keeps in memory, in KiB: all that the largest
/// projects have in one index (10^5 entries of 80 bytes). Not mmap_size, with which
/// a file that is cut short ends the whole program by SIGBUS.
const CACHE: i64 = 16_384;

/// Opens `file` to load into, makes it if need be, and lets readers go on
/// while we write.
pub(crate) fn open_to_load(file: &Path) -> Result<Connection> {
    let open = || {
        let connection = Connection::open(file)?;
        connection.busy_timeout(BUSY)?;
        // Nobody can serve what has no table yet, and a new file is written once
        // without a log, twice with one.
        if Table::of(&connection)?.is_some() {
            connection.pragma_update(None, "journal_mode", "wal")?;
        }
        // Rows come in any order, so the indexes are written all over: 256 MiB of
        // them are kept in memory, and as many are sorted at a time.
        connection.pragma_update(None, "cache_size", -262_144)?;
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| {
        Error::while_doing(format!("open the database {}", file.display()))(sentence(&error, file))
    })
}

/// Gives the space of the log back, after a load or one that failed, and leaves
/// the file without a log if nobody reads it now. What does not succeed is said: the
/// rows are where they belong all the same.
pub(crate) fn put_log_away(connection: &Connection, file: &Path) {
    let empty = || {
        connection.busy_timeout(UNREAD)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
    };
    let why = match empty() {
        Ok(false) => {
            // Refused while another program has the log open, and then it stays, empty.
            let _ = connection.pragma_update(None, "journal_mode", "delete");
            return;
        }
        Ok(true) => format!("it has been read all the time for {} s", UNREAD.as_secs()),
        Err(error) => sentence(&error, file),
    };
    let name = file.display();
    say(format_args!(
        "The log {name}-wal is as large as it was: {why}. The next load tries again."
    ));
}

/// Opens `file` to count in.
pub(crate) fn open_to_read(file: &Path) -> rusqlite::Result<Connection> {
    // Read-only, so that no request can write, and a file that is gone is an error.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "cache_size", CACHE.saturating_neg())?;
    // Otherwise, in a database that somebody ran ANALYZE in, statements are
    // compiled anew for each value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Refuses a file that `serve` could not answer from, and says so of one that it
/// could only answer from slowly.
pub(crate) fn check(file: &Path) -> Result<()> {
    let name = file.display();
    let load = format!("`count-store load --database {name} SHARINGS`");
    if !file.exists() {
        return Err(Error::new(format!("There is no database {name}. Make one with {load}.")));
    }
    let read = || {
        let expected = Connection::open_in_memory()?;
        expected.execute_batch(&schema())?;
        let connection = open_to_read(file)?;
        let is_fast = indexes(&connection)? == indexes(&expected)?;
        Ok((Table::of(&connection)?, is_fast))
    };
    let (table, is_fast) = read().map_err(|error: rusqlite::Error| {
        Error::while_doing(format!("read the database {name}"))(sentence(&error, file))
    })?;
    let Some(table) = table else {
        return Err(Error::new(format!(
            "{name} has no table of backup sharings. Make one with {load}."
        )));
    };
    let missing: Vec<&str> = table.lacks().map(|column| column.name).collect();
    if !missing.is_empty() {
        return Err(Error::new(format!(
            "{name} is of another release: its table backup_sharing lacks {}. {load} brings it \
             up to date, even with a file without rows, or says why it cannot.",
            missing.join(", ")
        )));
    }
    if !is_fast {
        say(format_args!(
            "{name} has other indexes than this release makes. Its counts are right, \
             but may be slow. The next `count-store load` mends that, even of a file without rows."
        ));
    }
    Ok(())
}

/// What an SQLite error about `file` means to the person who reads it.
pub(crate) fn sentence(error: &rusqlite::Error, file: &Path) -> String {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy) => "another program is writing to it".to_owned(),
        // Only who may write can take back what a load that was killed had written.
        _ if extended == Some(SQLITE_READONLY_ROLLBACK) => {
            "its first load was interrupted; load again".to_owned()
        }
        Some(ErrorCode::NotADatabase) => "it is not an SQLite database".to_owned(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) if needs_log(extended, file) => format!(
            "it has a write-ahead log, and this user may not make the files for it. Whoever may \
             write there can load into it again, even a file without rows: if nobody serves it \
             meanwhile, {} alone is left, which any user can serve",
            file.display()
        ),
        _ => error.to_string(),
    }
}

/// Whether a file can be read, but for the log that its header demands
/// (<https://sqlite.org/fileformat2.html#file_format_version_numbers>).
fn needs_log(extended: Option<i32>, file: &Path) -> bool {
    let mut header = [0; 20];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut header));
    let [.., _, read_version] = header;
    extended == Some(SQLITE_READONLY_DIRECTORY) || read.is_ok() && read_version == 2
}
