//! Where checked rows go.

use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::{Statement, Transaction, params_from_iter};

use super::source::Complete;
use super::stop::Stop;
use crate::columns::{Row, names};

/// The rows of one load.
pub struct Rows<'t> {
    insert: Statement<'t>,
    count: u64,
    complete: Complete,
    stop: &'t Stop,
}

impl<'t> Rows<'t> {
    pub fn new(
        transaction: &'t Transaction,
        complete: Complete,
        stop: &'t Stop,
    ) -> rusqlite::Result<Rows<'t>> {
        let places = Row::default().map(|_| "?").join(", ");
        let insert = format!("INSERT INTO backup_sharing ({}) VALUES ({places})", names());
        Ok(Rows { insert: transaction.prepare(&insert)?, count: 0, complete, stop })
    }

    /// Stores a row, or says why not.
    pub fn add(&mut self, row: &Row) -> Result<(), String> {
        if self.stop.is_told() {
            return Err("interrupted".to_owned());
        }
        self.complete.row();
        self.insert.execute(params_from_iter(row)).map_err(|error| {
            let [id, ..] = row;
            match is_id_twice(&error) {
                true => format!("id: expected one that no other row has, got \"{id}\""),
                false => format!("the row could not be stored: {error}"),
            }
        })?;
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// How many rows were stored.
    pub fn finish(self) -> u64 {
        self.count
    }
}

/// Whether the id is there already. An operator's own index may demand other values to be unique.
pub fn is_id_twice(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY))
        && error.to_string().ends_with(" backup_sharing.id")
}
