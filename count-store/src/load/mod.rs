//! `count-store load`: from a file of sharings to rows, all of them or none.
//!
//! The formats ([`csv`], [`json`]) know where in the file a value stands; what
//! a value must be is in [`row`].

mod csv;
mod json;
mod row;

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::time::Instant;

use backup_sharing_count::sql::SCHEMA;
use indicatif::{ProgressBar, ProgressStyle};
use rusqlite::{Connection, TransactionBehavior};

use crate::cli;
use crate::database;
use crate::error::{Error, Result};
use row::Rows;

/// Why a file was refused, and where.
#[derive(Debug)]
struct Refusal {
    line: u64,
    why: String,
}

#[derive(Clone, Copy)]
enum Format {
    Csv,
    Json,
}

/// Loads a file and says how many rows it had.
pub fn run(arguments: &cli::Load) -> Result<()> {
    let start = Instant::now();
    let sharings = &arguments.sharings;
    // Before the database: a mistyped name shall not leave an empty one behind.
    let format = format(sharings)?;
    let file =
        File::open(sharings).map_err(Error::while_doing(format!("open {}", sharings.display())))?;
    let size = file.metadata().map(|metadata| metadata.len()).unwrap_or_default();

    let mut connection = database::open_to_load(&arguments.database)?;
    let bar = progress(size);
    let loaded = load(&mut connection, format, BufReader::new(bar.wrap_read(file)));
    bar.finish_and_clear();
    let rows = loaded.map_err(|error| match error {
        Failure::Refused(Refusal { line, why }) => {
            Error::new(format!("{}, line {line}: {why}. Nothing was loaded.", sharings.display()))
        }
        Failure::Database(error) => {
            let what = format!("write to the database {}", arguments.database.display());
            Error::while_doing(what)(database::sentence(&error))
        }
    })?;

    let unit = if rows == 1 { "row" } else { "rows" };
    let seconds = start.elapsed().as_secs_f64();
    // The rows are in; that nobody reads about it is no failure.
    let _ = writeln!(io::stdout(), "loaded {rows} {unit} in {seconds:.2} s");
    Ok(())
}

fn format(sharings: &Path) -> Result<Format> {
    let extension = sharings.extension().unwrap_or_default();
    if extension.eq_ignore_ascii_case("csv") {
        Ok(Format::Csv)
    } else if extension.eq_ignore_ascii_case("json") {
        Ok(Format::Json)
    } else {
        let name = sharings.display();
        Err(Error::new(format!("{name} should have a name that ends in .csv or .json.")))
    }
}

/// Drawn on standard error, and only if that is a terminal.
fn progress(size: u64) -> ProgressBar {
    let template = "{wide_bar} {binary_bytes} of {binary_total_bytes}, {eta} left";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(size).with_style(style)
}

enum Failure {
    Refused(Refusal),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        Failure::Database(error)
    }
}

/// One transaction, from the schema to the last row.
fn load(
    connection: &mut Connection,
    format: Format,
    file: impl Read,
) -> std::result::Result<u64, Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(SCHEMA)?;
    // To sort all rows at the end is several times faster than to put each in
    // its place; not so if there are more rows already than are added.
    if is_empty(&transaction)? {
        drop_indexes(&transaction)?;
    }
    let mut rows = Rows::new(&transaction)?;
    match format {
        Format::Csv => csv::read(file, &mut rows),
        Format::Json => json::read(file, &mut rows),
    }
    .map_err(Failure::Refused)?;
    let count = rows.finish();
    transaction.execute_batch(SCHEMA)?;
    transaction.commit()?;
    Ok(count)
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    let query = "SELECT NOT EXISTS (SELECT 1 FROM backup_sharing)";
    connection.query_row(query, [], |row| row.get(0))
}

/// Drops the indexes that the schema creates; the primary key has no `sql`.
fn drop_indexes(connection: &Connection) -> rusqlite::Result<()> {
    let query = "SELECT name FROM sqlite_schema
                 WHERE type = 'index' AND tbl_name = 'backup_sharing' AND sql IS NOT NULL";
    let mut query = connection.prepare(query)?;
    let names: Vec<String> =
        query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    names.iter().try_for_each(|name| connection.execute_batch(&format!("DROP INDEX \"{name}\"")))
}
