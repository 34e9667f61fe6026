//! The SQLite file: how one `load` opens it to write, and `serve` to read.
//!
//! It has a write-ahead log, so that counts go on while a load writes. The log and its
//! index are files beside it, FILE-wal and FILE-shm; SQLite makes them anew for whoever
//! opens FILE, and deletes them after the last one. Here they stay, made by the
//! loader, for a server that may only read could not make them.

mod counts;
mod load;
mod schema;
mod sql;

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use backup_sharing_count::filters::FILTERS;
use rusqlite::config::DbConfig;
use rusqlite::ffi::{
    self, SQLITE_READONLY, SQLITE_READONLY_CANTINIT, SQLITE_READONLY_DIRECTORY,
    SQLITE_READONLY_RECOVERY, SQLITE_READONLY_ROLLBACK,
};
use rusqlite::{Connection, ErrorCode, FileControl, OpenFlags};

use crate::error::{Error, Result};
use crate::say::say;
pub(crate) use counts::Counts;
pub(crate) use load::Loader;
pub use schema::schema;
use schema::{Table, expected_indexes, indexes};
pub use sql::count;

/// How long a count waits for another program's lock.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// How long a load waits for another program: to begin, and for a moment without
/// counts to empty its log.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it does so if it was told to stop.
const HURRIED: Duration = Duration::from_secs(1);

/// More than there are statement texts (see [`Statement`](crate::sql::Statement)): none of
/// them need ever be prepared twice.
const STATEMENTS: usize = 2 << FILTERS.len();

/// What a connection that counts keeps in memory, in KiB: all that the largest
/// projects have in one index (10^5 entries of 80 bytes). Not mmap_size, with which
/// a file that is cut short ends the whole program by SIGBUS.
const CACHE: i64 = 16_384;

/// Opens `file` to load into, makes it if need be, and lets readers go on
/// while we write.
pub(crate) fn open_to_load(file: &Path) -> Result<Connection> {
    let open = || {
        let connection = Connection::open(file)?;
        connection.busy_timeout(PATIENCE)?;
        // A file without a table is not being served, and a new file is written once
        // without a log, twice with one.
        if Table::of(&connection)?.is_some() {
            keep_log(&connection)?;
        }
        // Rows come in any order, so the indexes are written all over: 256 MiB of
        // them are kept in memory, and as many are sorted at a time.
        connection.pragma_update(None, "cache_size", -262_144)?;
        // A view goes on to mean the table of this name, when an older one is renamed.
        connection.pragma_update(None, "legacy_alter_table", true)?;
        // So does a table that refers to it, whose rows must not go with the older one.
        connection.pragma_update(None, "foreign_keys", false)?;
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| {
        Error::while_doing(format!("open the database {}", file.display()))(sentence(&error, file))
    })
}

/// Makes the log, if there is none yet, and leaves it there at the end.
fn keep_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.file_control::<&str>(None, FileControl::PersistWal(&mut 1))
}

/// Gives the space of the log back, after a load or one that failed. What does not succeed
/// is said: the rows are where they belong all the same.
pub(crate) fn empty_log(connection: &Connection, file: &Path, is_hurried: bool) {
    let empty = || {
        if is_hurried {
            connection.busy_timeout(HURRIED)?;
        }
        // A first load that failed leaves nothing that could be served.
        if Table::of(connection)?.is_none() {
            return Ok(false);
        }
        keep_log(connection)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
    };
    let why = match empty() {
        Ok(false) => return,
        _ if fs::metadata(beside(file, "-wal")).is_ok_and(|log| log.len() == 0) => return,
        Ok(true) => "it is being read all the time".to_owned(),
        Err(error) => sentence(&error, file),
    };
    say(format_args!(
        "{} keeps its size for now: {why}. The next load that can, even of a file without rows, \
         empties it.",
        beside(file, "-wal").display()
    ));
}

/// Opens `file` to count in.
pub(crate) fn open_to_read(file: &Path) -> rusqlite::Result<Connection> {
    if lacks_log(file) && !is_own(file) {
        // We might be allowed to make the log, and the loader could not write to it.
        let error = ffi::Error::new(SQLITE_READONLY_DIRECTORY);
        return Err(rusqlite::Error::SqliteFailure(error, None));
    }
    // Read-only, so that no request can write, and a file that is gone is an error.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "cache_size", CACHE.saturating_neg())?;
    // Otherwise, in a database with the figures of ANALYZE, statements are
    // compiled anew for each value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// A user who may not write to the log's index cannot read at some moments of a load. SQLite
/// waits for none of them.
pub(crate) fn is_being_written(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(SQLITE_READONLY_CANTINIT | SQLITE_READONLY_RECOVERY))
}

/// Does something again at those moments.
pub(crate) fn patiently<T>(work: impl Fn() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let start = Instant::now();
    loop {
        match work() {
            Err(error) if is_being_written(&error) && start.elapsed() < BUSY => {
                thread::sleep(Duration::from_millis(2));
            }
            done => return done,
        }
    }
}

/// Refuses a file that `serve` could not answer from, and says so of one that it
/// could only answer from slowly.
pub(crate) fn check(file: &Path) -> Result<()> {
    let name = file.display();
    let load = format!("`count-store load --database {name} SHARINGS`");
    let unread = |why: String| Error::while_doing(format!("read the database {name}"))(why);
    match fs::metadata(file) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Error::new(format!("There is no database {name}. Make one with {load}.")));
        }
        Err(error) => return Err(unread(error.to_string())),
    }
    let read = || {
        let connection = patiently(|| open_to_read(file))?;
        let found = indexes(&connection)?;
        let is_fast = expected_indexes()?.iter().all(|index| found.contains(index));
        Ok((Table::of(&connection)?, is_fast))
    };
    let (table, is_fast) =
        read().map_err(|error: rusqlite::Error| unread(sentence(&error, file)))?;
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
    if !is_fast && table.is_table {
        say(format_args!(
            "{name} lacks indexes that this release makes. Its counts are right, but may be slow. \
             The next `count-store load` mends that, even of a file without rows."
        ));
    }
    Ok(())
}

/// What an SQLite error about `file` means, for an operator.
pub(crate) fn sentence(error: &rusqlite::Error, file: &Path) -> String {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy) => "another program is using it".to_owned(),
        // Only a user who may write can take back what a load that was killed had written.
        _ if extended == Some(SQLITE_READONLY_ROLLBACK) => {
            "a load was interrupted; load again, even a file without rows".to_owned()
        }
        Some(ErrorCode::NotADatabase) => "it is not an SQLite database".to_owned(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            denied(file).unwrap_or_else(|| match lacks_log(file) {
                true => "the files -wal and -shm, which it needs, are not beside it, and are not \
                         made by this user. Its owner can load into it again, even a file without \
                         rows, which makes them"
                    .to_owned(),
                false if extended == Some(SQLITE_READONLY) => {
                    "this user may not write to it".to_owned()
                }
                false => error.to_string(),
            })
        }
        _ => error.to_string(),
    }
}

/// Which of the files may not be read, if one may not.
fn denied(file: &Path) -> Option<String> {
    let files = [file.to_owned(), beside(file, "-wal"), beside(file, "-shm")];
    let is_denied = |file: &&PathBuf| {
        File::open(file).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    };
    let denied = files.iter().find(is_denied)?;
    Some(format!("this user may not read {}", denied.display()))
}

/// Whether a file's header demands a log that is not there
/// (<https://sqlite.org/fileformat2.html#file_format_version_numbers>).
fn lacks_log(file: &Path) -> bool {
    let mut header = [0; 20];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut header));
    let [.., read_version] = header;
    let is_there = |end| beside(file, end).exists();
    read.is_ok() && read_version == 2 && !(is_there("-wal") && is_there("-shm"))
}

/// Whether files beside this one belong to its owner if we make them: SQLite sees to
/// that where we are root.
fn is_own(file: &Path) -> bool {
    let user = rustix::process::geteuid();
    user.is_root() || fs::metadata(file).is_ok_and(|file| file.uid() == user.as_raw())
}

/// SQLite puts its files beside what a link leads to.
fn beside(file: &Path, end: &str) -> PathBuf {
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut name = file.into_os_string();
    name.push(end);
    name.into()
}
