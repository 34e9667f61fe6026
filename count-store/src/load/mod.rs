//! `count-store load`: from a file of sharings to rows, all of them or none.
//!
//! [`source`] opens the file and tells its format; the formats ([`csv`], [`json`])
//! know where in it a value stands; [`rows`] stores what they read.

mod csv;
mod json;
mod rows;
mod source;
mod stop;

use std::fmt;
use std::io::{self, BufReader, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::runtime::Builder;
use tokio::task;
use tokio::time::timeout;

use crate::cli;
use crate::error::{Error, Result};
use crate::say::{self, say};
use crate::signals::Signals;
use crate::sqlite::{self, Ids};
use rows::{Rows, is_id_twice};
use source::{Format, Source};
use stop::{Stage, Stop};

/// What a row takes in a file, about: three UUIDs, two projects, three words.
const BYTES_OF_A_ROW: u64 = 200;

/// Why a file was refused, and where.
#[derive(Debug)]
struct Refusal {
    place: Place,
    why: String,
}

/// Where in a file something stands, each number from 1.
#[derive(Clone, Copy, Debug)]
enum Place {
    Line(u64),
    /// For JSON, which may be all in one line.
    Row {
        row: u64,
        line: u64,
    },
}

/// How long a load that is told to stop may take for it. One that waits for its input
/// does not hear of it.
const STOPPING: Duration = Duration::from_secs(5);

/// Loads a file and says how many rows it had. SIGINT or SIGTERM ends it as a bad row does.
pub fn run(arguments: cli::Load) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::while_doing("listen for signals"))?;
    let outcome = runtime.block_on(until_stopped(arguments));
    runtime.shutdown_background();
    outcome
}

async fn until_stopped(arguments: cli::Load) -> Result<()> {
    say::without_waiting();
    let mut signals = Signals::new()?;
    let stop = Arc::new(Stop::default());
    let heard = Arc::clone(&stop);
    let mut loading = task::spawn_blocking(move || load_all(&arguments, &heard));
    let loaded = tokio::select! {
        loaded = &mut loading => loaded,
        () = signals.any() => {
            stop.tell();
            match (timeout(STOPPING, &mut loading).await, stop.stage()) {
                (Ok(loaded), _) => loaded,
                (Err(_), Stage::Reading) => {
                    return Err(Error::new("Interrupted. Nothing was loaded."));
                }
                (Err(_), Stage::Committing) => loading.await,
                (Err(_), Stage::Loaded) => {
                    say("Interrupted after the rows were loaded.");
                    return Ok(());
                }
            }
        }
    };
    loaded.map_err(Error::while_doing("load"))?
}

fn load_all(arguments: &cli::Load, stop: &Stop) -> Result<()> {
    let start = Instant::now();
    // Before the database: a mistyped name must not leave an empty one behind.
    let mut source = Source::open(&arguments.sharings)?;
    let database = &arguments.database;
    let mut connection = sqlite::open_to_load(database)?;
    stop.ends(&connection);
    let ids = if source.is_readable_again() { Ids::Later } else { Ids::AtOnce };
    let loaded = match load(&mut connection, &mut source, ids, stop) {
        // Rare enough to read the file again for the line.
        Err(Failure::IdTwice) => load(&mut connection, &mut source, Ids::AtOnce, stop),
        loaded => loaded,
    };
    if !matches!(loaded, Err(Failure::Busy(_))) {
        sqlite::empty_log(&connection, database, stop.is_told());
    }
    let name = database.display();
    let rows = loaded.map_err(|failure| match failure {
        Failure::Unread(error) => error,
        Failure::Refused(Refusal { place, why }) => {
            Error::new(format!("{}, {place}: {why}. Nothing was loaded.", source.name()))
        }
        Failure::Interrupted => Error::new("Interrupted. Nothing was loaded."),
        Failure::IdTwice => {
            Error::new(format!("The database {name} has an id twice. Nothing was loaded."))
        }
        Failure::Foreign(why) => Error::new(format!(
            "{name} is of another release, and cannot be brought up to date: {why}. Nothing was \
             loaded. Load into another database."
        )),
        Failure::Busy(error) | Failure::Database(error) => {
            let why = sqlite::sentence(&error, database);
            Error::new(format!(
                "Could not write to the database {name}: {why}. Nothing was loaded."
            ))
        }
    })?;

    let unit = if rows == 1 { "row" } else { "rows" };
    let seconds = start.elapsed().as_secs_f64();
    // The rows are loaded; a closed standard output is no failure.
    let _ = writeln!(io::stdout(), "loaded {rows} {unit} in {seconds:.2} s");
    Ok(())
}

enum Failure {
    /// The file could not be read.
    Unread(Error),
    Refused(Refusal),
    /// Some row has the id of another.
    IdTwice,
    /// The table there is none that rows can be added to.
    Foreign(String),
    /// After the last row.
    Interrupted,
    /// Nothing was begun.
    Busy(rusqlite::Error),
    Database(rusqlite::Error),
}

/// One transaction, from the schema to the last row.
fn load(
    connection: &mut Connection,
    source: &mut Source,
    ids: Ids,
    stop: &Stop,
) -> std::result::Result<u64, Failure> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(Failure::Busy)?;
    let rows = source.size().unwrap_or_default().div_euclid(BYTES_OF_A_ROW);
    sqlite::open(&transaction, i64::try_from(rows).unwrap_or(i64::MAX), ids)?;
    let (format, bar, file) = source.read().map_err(Failure::Unread)?;
    let mut rows = Rows::new(&transaction, file.complete(), stop)?;
    let file = BufReader::new(file);
    let read = match format {
        Format::Csv => csv::read(file, &mut rows),
        Format::Json => json::read(file, &mut rows),
    };
    bar.finish_and_clear();
    read.map_err(Failure::Refused)?;
    let count = rows.finish();
    sqlite::close(&transaction).map_err(|error| match is_id_twice(&error) {
        true => Failure::IdTwice,
        false => error.into(),
    })?;
    if !stop.lets_commit() {
        return Err(Failure::Interrupted);
    }
    transaction.commit()?;
    stop.loaded();
    Ok(count)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Place::Line(line) => write!(f, "line {line}"),
            Place::Row { row, line } => write!(f, "row {row}, line {line}"),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        Failure::Database(error)
    }
}

impl From<sqlite::Failure> for Failure {
    fn from(failure: sqlite::Failure) -> Failure {
        match failure {
            sqlite::Failure::Foreign(why) => Failure::Foreign(why),
            sqlite::Failure::Database(error) if is_id_twice(&error) => Failure::IdTwice,
            sqlite::Failure::Database(error) => Failure::Database(error),
        }
    }
}
