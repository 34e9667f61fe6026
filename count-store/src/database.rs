//! How the file is opened: by one `load` to write, by `serve` to read.

use std::path::Path;
use std::time::Duration;

use backup_sharing_count::sql::SCHEMA;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Error, Result};

/// How long a statement waits for another program's lock.
const BUSY: Duration = Duration::from_secs(5);

/// A call has 256 statement texts (see [`backup_sharing_count::sql::Statement`]);
/// none of them need ever be prepared twice.
const STATEMENTS: usize = 512;

/// Opens `file` to load into, makes it if need be, and lets readers go on
/// while we write.
pub fn open_to_load(file: &Path) -> Result<Connection> {
    let open = || {
        let connection = Connection::open(file)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // Rows come in any order, so the indexes are written all over: 256 MiB of
        // them are kept in memory.
        connection.pragma_update(None, "cache_size", -262_144)?;
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| {
        Error::while_doing(format!("open the database {}", file.display()))(sentence(&error))
    })
}

/// Opens `file` to count in.
pub fn open_to_read(file: &Path) -> rusqlite::Result<Connection> {
    // Read-only, so that no request can write, and a file that is gone is an error.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Refuses a file that `serve` could not answer from.
pub fn check(file: &Path) -> Result<()> {
    let name = file.display();
    let advice = format!("Make one with `count-store load --database {name} SHARINGS`.");
    if !file.exists() {
        return Err(Error::new(format!("There is no database {name}. {advice}")));
    }
    let has_schema = || {
        let expected = Connection::open_in_memory()?;
        expected.execute_batch(SCHEMA)?;
        Ok(columns(&open_to_read(file)?)? == columns(&expected)?)
    };
    let has_schema = has_schema().map_err(|error: rusqlite::Error| {
        Error::while_doing(format!("read the database {name}"))(sentence(&error))
    })?;
    if !has_schema {
        return Err(Error::new(format!("{name} has no table of backup sharings. {advice}")));
    }
    Ok(())
}

fn columns(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let query = "SELECT name FROM pragma_table_info('backup_sharing') ORDER BY name";
    connection.prepare(query)?.query_map([], |row| row.get(0))?.collect()
}

/// What an SQLite error means to the person who reads it.
pub fn sentence(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy) => "another program is writing to it".to_owned(),
        Some(ErrorCode::NotADatabase) => "it is not an SQLite database".to_owned(),
        _ => error.to_string(),
    }
}
