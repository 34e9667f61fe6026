//! A table of so many rows in a file, and SQLite alone on it: as the store opens it, but in this
//! process and without a server around it.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, StatementStatus, params_from_iter};
use testkit::{Error, Progress, Result, count_store, workspace};

use super::queries;
use super::rows;

/// A loaded table. Dropping it deletes the file.
#[derive(Debug)]
pub struct Table {
    /// The file.
    pub file: PathBuf,
    /// How its load went.
    pub load: Load,
}

/// A load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How many rows.
    pub rows: u64,
    /// Bytes of the CSV file.
    pub csv: u64,
    /// Bytes of the database.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

/// SQLite alone, with one statement.
#[derive(Debug)]
pub struct Alone {
    connection: Connection,
    statement: ::count_store::sql::Statement,
}

impl Table {
    /// Writes the rows and lets the store load them.
    pub fn load(rows: u64) -> Result<Table> {
        let folder = workspace::target_dir().join("bench");
        let wrong = |what: &str| Error::while_doing(format!("{what} in {}", folder.display()));
        fs::create_dir_all(&folder).map_err(wrong("make a folder"))?;
        let file_of = |kind: &str| folder.join(format!("sharings-{rows}.{kind}"));
        let (csv, file) = (file_of("csv"), file_of("db"));
        delete(&file);
        // Rows, indexes, and what is sorted meanwhile.
        let free = rustix::fs::statvfs(&folder);
        let free = free.map_err(io::Error::from).map_err(wrong("see what is free"))?;
        if free.f_bavail * free.f_frsize < rows * 3_000 {
            return Err(Error::new(format!(
                "{} needs {} GB for {rows} rows. Make room, or name fewer with --case.",
                folder.display(),
                rows * 3_000 / 1_000_000_000
            )));
        }
        let mut writer = BufWriter::new(File::create(&csv).map_err(wrong("write"))?);
        rows::write(rows, &mut writer).map_err(wrong("write"))?;
        drop(writer);
        workspace::count_store_binary()?;
        let start = Instant::now();
        count_store::load(&file, &csv, Progress::Quiet)?;
        let seconds = start.elapsed().as_secs_f64();
        let size = |path: &Path| fs::metadata(path).map(|metadata| metadata.len());
        let load = Load {
            rows,
            csv: size(&csv).map_err(wrong("see sizes"))?,
            bytes: size(&file).map_err(wrong("see sizes"))?,
            seconds,
        };
        fs::remove_file(&csv).map_err(wrong("delete"))?;
        Ok(Table { file, load })
    }

    /// A connection of this process with the statement of a call.
    pub fn alone(&self, target: &str) -> Result<Alone> {
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&self.file, flags)?;
            // As in count-store/src/database.rs.
            connection.pragma_update(None, "cache_size", -16_384)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            Ok(connection)
        };
        let connection = open().map_err(|error: rusqlite::Error| failed(error))?;
        Ok(Alone { connection, statement: queries::statement(target)? })
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        delete(&self.file);
    }
}

/// The file and those beside it; what is not there need not be deleted.
fn delete(file: &Path) {
    for end in ["", "-wal", "-shm", "-journal"] {
        let mut path = file.as_os_str().to_owned();
        path.push(end);
        let _ = fs::remove_file(path);
    }
}

impl Alone {
    /// The count, and the steps of SQLite's virtual machine that it takes.
    pub fn count(&self) -> Result<(u64, i32)> {
        let mut statement = self.connection.prepare(&self.statement.text).map_err(failed)?;
        let parameters = params_from_iter(&self.statement.parameters);
        let count: i64 = statement.query_row(parameters, |row| row.get(0)).map_err(failed)?;
        let count = u64::try_from(count).map_err(failed)?;
        Ok((count, statement.get_status(StatementStatus::VmStep)))
    }

    /// Runs `measure` with what counts once, in a statement that was compiled before.
    pub fn with<T>(
        &self,
        measure: impl FnOnce(&mut dyn FnMut() -> Result<()>) -> Result<T>,
    ) -> Result<T> {
        let mut statement = self.connection.prepare(&self.statement.text).map_err(failed)?;
        let mut once = || {
            let parameters = params_from_iter(&self.statement.parameters);
            let count = statement.query_row(parameters, |row| row.get::<_, i64>(0));
            count.map(|_| ()).map_err(failed)
        };
        measure(&mut once)
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::while_doing("count without the store")(error)
}
