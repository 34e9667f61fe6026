//! How the file is opened: by one `load` to write, by `serve` to read.

use std::path::Path;
use std::time::Duration;

use backup_sharing_count::sql::SCHEMA;
use rusqlite::config::DbConfig;
use rusqlite::ffi::SQLITE_READONLY_ROLLBACK;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Error, Result};

/// How long a statement waits for another program's lock.
pub const BUSY: Duration = Duration::from_secs(5);

/// A call has 256 statement texts (see [`backup_sharing_count::sql::Statement`]);
/// none of them need ever be prepared twice.
const STATEMENTS: usize = 512;

/// What a connection that counts keeps in memory, in KiB: all that the largest
/// projects have in one index (10^5 entries of 80 bytes). Not mmap_size, with which
/// a file that is cut short ends the whole program by SIGBUS.
const CACHE: i64 = 16_384;

/// Opens `file` to load into, makes it if need be, and lets readers go on
/// while we write.
pub fn open_to_load(file: &Path) -> Result<Connection> {
    let open = || {
        let connection = Connection::open(file)?;
        connection.busy_timeout(BUSY)?;
        // Nobody can serve what has no table yet, and a new file is written once
        // without a log, twice with one.
        if has_table(&connection)? {
            connection.pragma_update(None, "journal_mode", "wal")?;
        }
        // Rows come in any order, so the indexes are written all over: 256 MiB of
        // them are kept in memory, and as many are sorted at a time.
        connection.pragma_update(None, "cache_size", -262_144)?;
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| {
        Error::while_doing(format!("open the database {}", file.display()))(sentence(&error))
    })
}

/// Lets readers go on while the next load writes.
pub fn let_read(connection: &Connection, file: &Path) -> Result<()> {
    connection.pragma_update(None, "journal_mode", "wal").map_err(|error| {
        Error::while_doing(format!("share the database {}", file.display()))(sentence(&error))
    })
}

fn has_table(connection: &Connection) -> rusqlite::Result<bool> {
    let query = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'backup_sharing')";
    connection.query_row(query, [], |row| row.get(0))
}

/// Opens `file` to count in.
pub fn open_to_read(file: &Path) -> rusqlite::Result<Connection> {
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
pub fn check(file: &Path) -> Result<()> {
    let name = file.display();
    let advice = format!("Make one with `count-store load --database {name} SHARINGS`.");
    if !file.exists() {
        return Err(Error::new(format!("There is no database {name}. {advice}")));
    }
    let compare = |kind| {
        let expected = Connection::open_in_memory()?;
        expected.execute_batch(SCHEMA)?;
        Ok(names(&open_to_read(file)?, kind)? == names(&expected, kind)?)
    };
    let has_same = |kind| {
        compare(kind).map_err(|error: rusqlite::Error| {
            Error::while_doing(format!("read the database {name}"))(sentence(&error))
        })
    };
    if !has_same("table_info")? {
        return Err(Error::new(format!("{name} has no table of backup sharings. {advice}")));
    }
    if !has_same("index_list")? {
        eprintln!(
            "count-store: {name} has other indexes than this release makes. Its counts are right, \
             but may be slow. The next `count-store load` mends that, even of a file without rows."
        );
    }
    Ok(())
}

/// The names of the table's columns (`table_info`) or indexes (`index_list`).
fn names(connection: &Connection, kind: &str) -> rusqlite::Result<Vec<String>> {
    let query = format!("SELECT name FROM pragma_{kind}('backup_sharing') ORDER BY name");
    connection.prepare(&query)?.query_map([], |row| row.get(0))?.collect()
}

/// What an SQLite error means to the person who reads it.
pub fn sentence(error: &rusqlite::Error) -> String {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy) => "another program is writing to it".to_owned(),
        // Only who may write can take back what a load that was killed had written.
        _ if extended == Some(SQLITE_READONLY_ROLLBACK) => {
            "its first load was interrupted; load again".to_owned()
        }
        Some(ErrorCode::NotADatabase) => "it is not an SQLite database".to_owned(),
        _ => error.to_string(),
    }
}
