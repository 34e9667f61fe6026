//! The schema: what this release makes, what an older one has made, and what is
//! done around a load, so that many rows go fast.

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::columns::{COLUMNS, Column, Index, found_by, names};

/// What an older table is called until its rows have moved.
const OLD: &str = "backup_sharing_of_another_release";

/// How the names of our indexes begin, in all releases.
const OURS: &str = "backup_sharing_";

const BY_ID: &str = "backup_sharing_by_id";

/// When it is seen that an id is there twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    /// At its row, which can then be named. Costs a look into an index for each row.
    AtOnce,
    /// After all rows, when all ids are sorted.
    Later,
}

/// The table `backup_sharing` that a database has.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<String>,
    /// And no view.
    pub(crate) is_table: bool,
    /// Until November 2026, the id was the table's key.
    is_without_rowid: bool,
}

/// Why a load could not make the table ready.
pub(crate) enum Failure {
    /// It is of another release, and this is why it cannot become one of ours.
    Foreign(String),
    Database(rusqlite::Error),
}

/// The statements that make the table and its indexes, those that are not there yet.
///
/// A count reads the rows that match, or those that match the one filter that leaves the fewest:
/// few rows are looked up in the table, many are told from the index alone.
pub fn schema() -> String {
    let columns = COLUMNS.each_ref().map(|column| format!("{} TEXT NOT NULL", column.name));
    let mut schema = format!("CREATE TABLE IF NOT EXISTS backup_sharing ({})", columns.join(", "));
    let mut add = |unique: &str, name: &str, columns: &[&str]| {
        let columns = columns.join(", ");
        schema += &format!(
            "; CREATE {unique}INDEX IF NOT EXISTS {OURS}{name} ON backup_sharing ({columns})"
        );
    };
    // Not the primary key: an index can be made once all rows are there, which is faster, and the
    // table is in the order of its rows, which makes entries of the other indexes 33 bytes shorter.
    add("UNIQUE ", "by_id", &["id"]);
    let parts: Vec<String> =
        found_by(Index::Part).map(|column| format!("lower({column})")).collect();
    let mut many: Vec<&str> = found_by(Index::ManyRows).collect();
    many.extend(parts.iter().map(String::as_str));
    add("", "by_projects", &[&["from_project_id", "to_project_id"], &many[..]].concat());
    for (side, prefix) in [("from_project_id", "from_by"), ("to_project_id", "to_by")] {
        for column in found_by(Index::FewRows) {
            add("", &format!("{prefix}_{}", Column::short(column)), &[side, column]);
        }
        for (at, column) in found_by(Index::ManyRows).enumerate() {
            let rest = many.get(at..).unwrap_or_default();
            add("", &format!("{prefix}_{}", Column::short(column)), &[&[side], rest].concat());
        }
    }
    schema
}

/// Makes the table ready for about `rows` more rows.
pub(crate) fn open(transaction: &Transaction, rows: i64, ids: Ids) -> Result<(), Failure> {
    let old = Table::of(transaction)?.filter(|table| !table.is_ours());
    if let Some(old) = &old {
        old.can_move(transaction)?;
        transaction.execute_batch(&format!("ALTER TABLE backup_sharing RENAME TO {OLD}"))?;
    }
    transaction.execute_batch(&schema())?;
    // To sort all entries at the end takes 16 µs for each row there will be; to put
    // each in its place, 100 µs for each that is added.
    let is_faster = old.is_some() || rows >= rows_there(transaction)? / 5;
    let expected = expected_indexes()?;
    for index in indexes(transaction)? {
        let (name, _) = &index;
        // An operator's own indexes stay.
        let is_ours = name.starts_with(OURS) && (ids == Ids::Later || name != BY_ID);
        if is_ours && (is_faster || !expected.contains(&index)) {
            transaction.execute_batch(&format!("DROP INDEX \"{}\"", name.replace('"', "\"\"")))?;
        }
    }
    if let Some(old) = old {
        let value = |column: &Column| if old.has(column) { column.name } else { "''" };
        let values = COLUMNS.each_ref().map(value).join(", ");
        transaction.execute_batch(&format!(
            "INSERT INTO backup_sharing ({}) SELECT {values} FROM {OLD}; DROP TABLE {OLD}",
            names()
        ))?;
    }
    Ok(())
}

/// Makes the indexes that are not there. A constraint is violated if an id is there twice.
pub(crate) fn close(transaction: &Transaction) -> rusqlite::Result<()> {
    transaction.execute_batch(&schema())
}

/// No row is ever deleted, so the last number is as good as a count, which takes longer.
fn rows_there(connection: &Connection) -> rusqlite::Result<i64> {
    let query = "SELECT ifnull(max(rowid), 0) FROM backup_sharing";
    connection.query_row(query, [], |row| row.get(0))
}

/// The indexes of `backup_sharing`: the name of each, and the statement that made it.
pub(crate) fn indexes(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let query = "SELECT name, replace(replace(sql, char(10), ''), ' ', '') FROM sqlite_schema
                 WHERE type = 'index' AND lower(tbl_name) = 'backup_sharing' AND sql IS NOT NULL";
    connection.prepare(query)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The indexes that [`schema`] makes.
pub(crate) fn expected_indexes() -> rusqlite::Result<Vec<(String, String)>> {
    let empty = Connection::open_in_memory()?;
    empty.execute_batch(&schema())?;
    indexes(&empty)
}

fn strings(connection: &Connection, query: &str) -> rusqlite::Result<Vec<String>> {
    connection.prepare(query)?.query_map([], |row| row.get(0))?.collect()
}

// === impl Table ===

impl Table {
    /// Nothing if the database has no such table.
    pub(crate) fn of(connection: &Connection) -> rusqlite::Result<Option<Table>> {
        let query = "SELECT type = 'table', wr FROM pragma_table_list('backup_sharing')
                     WHERE schema = 'main'";
        let kind = connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)));
        let Some((is_table, is_without_rowid)) = kind.optional()? else { return Ok(None) };
        let columns = strings(connection, "SELECT name FROM pragma_table_info('backup_sharing')")?;
        Ok(Some(Table { columns, is_table, is_without_rowid }))
    }

    fn has(&self, column: &Column) -> bool {
        self.columns.iter().any(|name| is_named(column, name))
    }

    /// The columns that it would need and does not have.
    pub(crate) fn lacks(&self) -> impl Iterator<Item = &'static Column> {
        COLUMNS.iter().filter(|column| !self.has(column))
    }

    /// Whether rows can be added to it as it is.
    fn is_ours(&self) -> bool {
        self.is_table && !self.is_without_rowid && self.lacks().next().is_none()
    }

    /// Whether its rows can move into a table of ours and nothing be lost.
    fn can_move(&self, connection: &Connection) -> Result<(), Failure> {
        if !self.is_table {
            return Err(Failure::Foreign("its backup_sharing is no table".to_owned()));
        }
        let others = format!(
            "SELECT type || ' ' || name FROM sqlite_schema WHERE tbl_name = 'backup_sharing' AND
             type <> 'table' AND sql IS NOT NULL AND name NOT GLOB '{OURS}*'"
        );
        if let Some(other) = strings(connection, &others)?.first() {
            return Err(Failure::Foreign(format!("its {other} would be lost")));
        }
        let query = "SELECT EXISTS (SELECT 1 FROM backup_sharing)";
        if !connection.query_row(query, [], |row| row.get(0))? {
            return Ok(());
        }
        let is_known = |name: &String| COLUMNS.iter().any(|column| is_named(column, name));
        let missing = self.lacks().find(|column| !column.may_be_empty);
        let unknown = self.columns.iter().find(|name| !is_known(name));
        let why = match (missing, unknown) {
            (Some(column), _) => {
                format!("its rows lack the column {}, which no row may be without", column.name)
            }
            (None, Some(name)) => {
                format!("its column {name} is not known here, and would be lost")
            }
            (None, None) => return Ok(()),
        };
        Err(Failure::Foreign(why))
    }
}

/// As SQLite compares names.
fn is_named(column: &Column, name: &str) -> bool {
    column.name.eq_ignore_ascii_case(name)
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        Failure::Database(error)
    }
}
