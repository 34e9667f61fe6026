//! How rows come into the file.

use std::path::PathBuf;

use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::{Connection, Statement, TransactionBehavior, params_from_iter};

use super::schema::{self, Ids};
use super::{empty_log, open_to_load, sentence};
use crate::columns::{Row, names};
use crate::engine::{self, Rows, id_twice};
use crate::error::{Error, Result};
use crate::stop::Stop;

/// A file that is open for a load.
pub(crate) struct Loader {
    file: PathBuf,
    connection: Connection,
}

/// Why nothing was loaded.
enum Failure {
    /// The rows' own fault, or the operator's wish.
    Said(Error),
    /// Some row has the id of another.
    IdTwice,
    /// The table there is none that rows can be added to.
    Foreign(String),
    /// Nothing was begun.
    Busy(rusqlite::Error),
    Database(rusqlite::Error),
}

impl Loader {
    /// Opens the file, makes it if need be.
    pub(crate) fn open(file: PathBuf, stop: &Stop) -> Result<Loader> {
        let connection = open_to_load(&file)?;
        let statement = connection.get_interrupt_handle();
        stop.calls(move || statement.interrupt());
        Ok(Loader { file, connection })
    }

    /// One transaction, from the schema to the last row.
    fn transaction(
        &mut self,
        rows: &mut dyn Rows,
        ids: Ids,
        stop: &Stop,
    ) -> std::result::Result<u64, Failure> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(Failure::Busy)?;
        schema::open(&transaction, rows.expected(), ids)?;
        let places = Row::default().map(|_| "?").join(", ");
        let insert = format!("INSERT INTO backup_sharing ({}) VALUES ({places})", names());
        let mut insert = transaction.prepare(&insert)?;
        let count = rows.read(&mut |row| add(&mut insert, row)).map_err(Failure::Said)?;
        drop(insert);
        schema::close(&transaction)?;
        if !stop.lets_commit() {
            return Err(Failure::Said(Error::new("Interrupted. Nothing was loaded.")));
        }
        transaction.commit()?;
        stop.loaded();
        Ok(count)
    }
}

impl engine::Loader for Loader {
    fn load(&mut self, rows: &mut dyn Rows, stop: &Stop) -> Result<u64> {
        let ids = if rows.are_readable_again() { Ids::Later } else { Ids::AtOnce };
        let loaded = match self.transaction(rows, ids, stop) {
            // Rare enough to read the file again for the line.
            Err(Failure::IdTwice) => self.transaction(rows, Ids::AtOnce, stop),
            loaded => loaded,
        };
        let file = &self.file;
        if !matches!(loaded, Err(Failure::Busy(_))) {
            empty_log(&self.connection, file, stop.is_told());
        }
        let name = file.display();
        loaded.map_err(|failure| match failure {
            Failure::Said(error) => error,
            Failure::IdTwice => {
                Error::new(format!("The database {name} has an id twice. Nothing was loaded."))
            }
            Failure::Foreign(why) => Error::new(format!(
                "{name} is of another release, and cannot be brought up to date: {why}. Nothing was \
                 loaded. Load into another database."
            )),
            Failure::Busy(error) | Failure::Database(error) => {
                let why = sentence(&error, file);
                Error::new(format!(
                    "Could not write to the database {name}: {why}. Nothing was loaded."
                ))
            }
        })
    }
}

/// Stores a row, or says why not.
fn add(insert: &mut Statement, row: &Row) -> std::result::Result<(), String> {
    let stored = insert.execute(params_from_iter(row));
    stored.map(|_| ()).map_err(|error| {
        let [id, ..] = row;
        match is_id_twice(&error) {
            true => id_twice(id),
            false => format!("the row could not be stored: {error}"),
        }
    })
}

/// Whether the id is there already. An operator's own index may demand other values to be unique.
fn is_id_twice(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY))
        && error.to_string().ends_with(" backup_sharing.id")
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        match is_id_twice(&error) {
            true => Failure::IdTwice,
            false => Failure::Database(error),
        }
    }
}

impl From<schema::Failure> for Failure {
    fn from(failure: schema::Failure) -> Failure {
        match failure {
            schema::Failure::Foreign(why) => Failure::Foreign(why),
            schema::Failure::Database(error) => error.into(),
        }
    }
}
