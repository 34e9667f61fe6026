//! The schema around a load: what stands in the way of many rows goes first and
//! comes back last.

use backup_sharing_count::sql::SCHEMA;
use rusqlite::{Connection, Transaction};

/// What the table of an earlier release is called until its rows have moved.
const OLD: &str = "backup_sharing_of_an_earlier_release";

/// When it is seen that an id is there twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// At its row, which can then be named. Costs a look into an index for each row.
    AtOnce,
    /// After all rows, when all ids are sorted.
    Later,
}

/// Makes the table ready for about `rows` more rows.
pub fn open(transaction: &Transaction, rows: i64, ids: Ids) -> rusqlite::Result<()> {
    let moves = is_of_an_earlier_release(transaction)?;
    if moves {
        transaction.execute_batch(&format!("ALTER TABLE backup_sharing RENAME TO {OLD}"))?;
    }
    transaction.execute_batch(SCHEMA)?;
    // To sort all entries at the end takes 16 µs for each row there will be; to put
    // each in its place, 100 µs for each that is added.
    if moves || rows >= rows_there(transaction)? / 5 {
        drop_indexes(transaction, ids)?;
    }
    if moves {
        transaction.execute_batch(&format!(
            "INSERT INTO backup_sharing SELECT id, backup_id, from_project_id, to_project_id,
             name, status, volume_id, availability_zone FROM {OLD};
             DROP TABLE {OLD}"
        ))?;
    }
    Ok(())
}

/// Makes the indexes that are not there. A constraint is violated if an id is there twice.
pub fn close(transaction: &Transaction) -> rusqlite::Result<()> {
    transaction.execute_batch(SCHEMA)
}

/// Until November 2026, the id was the table's key.
fn is_of_an_earlier_release(connection: &Connection) -> rusqlite::Result<bool> {
    let query = "SELECT EXISTS
        (SELECT 1 FROM pragma_table_list('backup_sharing') WHERE type = 'table' AND wr)";
    connection.query_row(query, [], |row| row.get(0))
}

/// No row is ever deleted, so the last number is as good as a count, which takes longer.
fn rows_there(connection: &Connection) -> rusqlite::Result<i64> {
    let query = "SELECT ifnull(max(rowid), 0) FROM backup_sharing";
    connection.query_row(query, [], |row| row.get(0))
}

fn drop_indexes(connection: &Connection, ids: Ids) -> rusqlite::Result<()> {
    let query = "SELECT name FROM sqlite_schema WHERE type = 'index' AND
                 tbl_name = 'backup_sharing' AND sql IS NOT NULL AND NOT (?1 AND
                 name = 'backup_sharing_by_id')";
    let mut query = connection.prepare(query)?;
    let names = query.query_map([ids == Ids::AtOnce], |row| row.get(0))?;
    let names: Vec<String> = names.collect::<rusqlite::Result<_>>()?;
    names.iter().try_for_each(|name| connection.execute_batch(&format!("DROP INDEX \"{name}\"")))
}
