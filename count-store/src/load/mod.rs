//! `count-store load`: from a file of sharings to rows, all of them or none.
//!
//! The formats ([`csv`], [`json`]) know where in the file a value stands; what
//! a value must be is in [`row`]; [`schema`] makes many rows go fast.

mod csv;
mod json;
mod row;
mod schema;

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use crate::cli;
use crate::database;
use crate::error::{Error, Result};
use row::Rows;
use schema::Ids;

/// What a row takes in a file, about: three UUIDs, two projects, three words.
const BYTES_OF_A_ROW: u64 = 200;

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
    let metadata = file.metadata();
    let size = metadata.as_ref().map(fs::Metadata::len).unwrap_or_default();
    let twice_readable = metadata.is_ok_and(|metadata| metadata.is_file());

    let mut connection = database::open_to_load(&arguments.database)?;
    let mut read = |ids| {
        let bar = progress(size);
        let loaded = load(&mut connection, format, bar.wrap_read(&file), size, ids);
        bar.finish_and_clear();
        loaded
    };
    let loaded = match read(if twice_readable { Ids::Later } else { Ids::AtOnce }) {
        // Rare enough to read the file again for the line.
        Err(Failure::IdTwice) => {
            (&file).rewind().map_err(Error::while_doing(format!("read {}", sharings.display())))?;
            read(Ids::AtOnce)
        }
        loaded => loaded,
    };
    if loaded.is_ok() {
        database::let_read(&connection, &arguments.database)?;
    }
    let rows = loaded.map_err(|error| match error {
        Failure::Refused(Refusal { line, why }) => {
            Error::new(format!("{}, line {line}: {why}. Nothing was loaded.", sharings.display()))
        }
        Failure::IdTwice => Error::new(format!(
            "The database {} has an id twice. Nothing was loaded.",
            arguments.database.display()
        )),
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
    /// Some row has the id of another.
    IdTwice,
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
    size: u64,
    ids: Ids,
) -> std::result::Result<u64, Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let rows = i64::try_from(size.div_euclid(BYTES_OF_A_ROW)).unwrap_or(i64::MAX);
    schema::open(&transaction, rows, ids)?;
    let mut rows = Rows::new(&transaction)?;
    let file = BufReader::new(file);
    match format {
        Format::Csv => csv::read(file, &mut rows),
        Format::Json => json::read(file, &mut rows),
    }
    .map_err(Failure::Refused)?;
    let count = rows.finish();
    schema::close(&transaction).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => Failure::IdTwice,
        _ => error.into(),
    })?;
    transaction.commit()?;
    Ok(count)
}
