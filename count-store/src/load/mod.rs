//! `count-store load`: from a file of sharings to rows, all of them or none.
//!
//! [`source`] opens the file and tells its format; the formats ([`csv`], [`json`])
//! know where in it a value stands; a [`Loader`] stores what they read.

mod csv;
mod json;
mod source;

use std::fmt;
use std::io::{self, BufReader, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::task;
use tokio::time::timeout;

use crate::cli::{self, Database};
use crate::columns::Row;
use crate::engine::{self, Loader};
use crate::error::{Error, Result};
use crate::say::{self, say};
use crate::signals::Signals;
use crate::stop::{Stage, Stop};
use crate::{postgres, sqlite};
use source::{Format, Source};

/// What a row takes in a file, about: three UUIDs, two projects, three words.
const BYTES_OF_A_ROW: u64 = 200;

/// Takes a row, or says why not.
type Add<'a> = dyn FnMut(&Row) -> std::result::Result<(), String> + 'a;

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
    let runtime = Handle::current();
    let mut loading = task::spawn_blocking(move || load_all(arguments, &runtime, &heard));
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

fn load_all(arguments: cli::Load, runtime: &Handle, stop: &Stop) -> Result<()> {
    let start = Instant::now();
    // Before the database: a mistyped name must not leave an empty one behind.
    let source = Source::open(&arguments.sharings)?;
    let mut loader: Box<dyn Loader> = match arguments.database.database {
        Database::File(file) => Box::new(sqlite::Loader::open(file, stop)?),
        Database::Servers(url) => {
            let settings = url.settings(arguments.database.password_file.as_deref())?;
            Box::new(postgres::Loader::open(&settings, runtime, stop)?)
        }
    };
    let rows = loader.load(&mut File { source, stop }, stop)?;

    let unit = if rows == 1 { "row" } else { "rows" };
    let seconds = start.elapsed().as_secs_f64();
    // The rows are loaded; a closed standard output is no failure.
    let _ = writeln!(io::stdout(), "loaded {rows} {unit} in {seconds:.2} s");
    Ok(())
}

/// The rows of the file that is loaded.
struct File<'s> {
    source: Source,
    stop: &'s Stop,
}

impl engine::Rows for File<'_> {
    fn expected(&self) -> i64 {
        let rows = self.source.size().unwrap_or_default().div_euclid(BYTES_OF_A_ROW);
        i64::try_from(rows).unwrap_or(i64::MAX)
    }

    fn are_readable_again(&self) -> bool {
        self.source.is_readable_again()
    }

    fn read(
        &mut self,
        add: &mut dyn FnMut(&Row) -> std::result::Result<(), String>,
    ) -> Result<u64> {
        let (format, bar, file) = self.source.read()?;
        let complete = file.complete();
        let mut rows = 0_u64;
        let mut add = |row: &Row| {
            if self.stop.is_told() {
                return Err("interrupted".to_owned());
            }
            complete.row();
            rows = rows.saturating_add(1);
            add(row)
        };
        let file = BufReader::new(file);
        let read = match format {
            Format::Csv => csv::read(file, &mut add),
            Format::Json => json::read(file, &mut add),
        };
        bar.finish_and_clear();
        read.map_err(|Refusal { place, why }| {
            Error::new(format!("{}, {place}: {why}. Nothing was loaded.", self.source.name()))
        })?;
        Ok(rows)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Place::Line(line) => write!(f, "line {line}"),
            Place::Row { row, line } => write!(f, "row {row}, line {line}"),
        }
    }
}
