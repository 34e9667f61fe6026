//! How rows come into the table: one `COPY`, in one transaction.

use std::pin::pin;
use std::time::Duration;

use futures_util::SinkExt;
use hyper::body::Bytes;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, CopyInSink};

use super::relation::indexes_of;
use super::schema::{self, TABLE};
use super::session::{Session, connect};
use super::url::{Address, Settings};
use super::why;
use crate::columns::{Row, names};
use crate::engine::{self, Rows, id_twice};
use crate::error::{Error, Result};
use crate::say::say;
use crate::stop::Stop;

/// For a connection to be made: longer than for a count, for nobody else is there to be asked.
const CONNECT: Duration = Duration::from_secs(10);

/// How much is sent at a time, in bytes.
const PIECE: usize = 1 << 16;

/// A primary that is open for a load.
pub(crate) struct Loader {
    session: Session,
    runtime: Handle,
    name: String,
}

/// Why a load is no success.
enum Failure {
    /// A whole sentence: the rows' own fault, the operator's wish, or what no standby has confirmed.
    Said(Error),
    /// The database's word on a row, which is counted from 1; none if its id is that of another.
    Row(u64, Option<String>),
    Database(tokio_postgres::Error),
    /// Nobody knows whether something was.
    Unknown(tokio_postgres::Error),
}

impl Loader {
    /// Connects to the first server that takes writes.
    ///
    /// # Errors
    /// Why none of them does.
    pub(crate) fn open(settings: &Settings, runtime: &Handle, stop: &Stop) -> Result<Loader> {
        let mut troubles = Vec::new();
        for address in &settings.servers {
            let opened =
                runtime.block_on(async { timeout(CONNECT, open(address, settings)).await });
            match opened.unwrap_or_else(|_| {
                Err(format!("{}: no connection within {CONNECT:?}", address.name))
            }) {
                Ok(session) => {
                    let (cancel, tls) = (session.client().cancel_token(), settings.tls.clone());
                    let handle = runtime.clone();
                    stop.calls(move || {
                        let (cancel, tls) = (cancel.clone(), tls.clone());
                        // What cannot be cancelled ends with the connection.
                        handle.spawn(async move { cancel.cancel_query(tls).await });
                    });
                    let name = address.name.clone();
                    return Ok(Loader { session, runtime: runtime.clone(), name });
                }
                Err(why) => troubles.push(why),
            }
        }
        Err(Error::new(format!("No database to load into. {}.", troubles.join(". "))))
    }

    fn transaction(
        &mut self,
        rows: &mut dyn Rows,
        stop: &Stop,
    ) -> std::result::Result<u64, Failure> {
        let is_new = self.runtime.block_on(self.begin())?;
        // Whatever else goes on, rows of a table that nobody else knows yet need no second look.
        let freeze = if is_new { " (FREEZE)" } else { "" };
        let copy = format!("COPY {TABLE} ({}) FROM STDIN{freeze}", names());
        let sink = self.runtime.block_on(self.session.client().copy_in(&copy))?;
        let count = self.copy(sink, rows)?;
        let client = self.session.client();
        if is_new {
            self.runtime.block_on(make_indexes(client))?;
        }
        if !stop.lets_commit() {
            return Err(Failure::Said(Error::new("Interrupted. Nothing was loaded.")));
        }
        // What came before is no doubt about the commit.
        drop(self.session.warnings());
        // Who hears nothing of a commit does not know what became of it.
        let committed = self.runtime.block_on(client.batch_execute("COMMIT"));
        committed.map_err(|error| match error.as_db_error() {
            Some(_) => Failure::Database(error),
            None => Failure::Unknown(error),
        })?;
        stop.loaded();
        match &self.session.warnings()[..] {
            [] => Ok(count),
            // The wait for a standby was given up.
            warnings => Err(Failure::Said(Error::new(format!(
                "The rows are loaded at {}, but: {}.",
                self.name,
                warnings.join(". ")
            )))),
        }
    }

    /// Begins the transaction and makes the table ready: whether it is new.
    async fn begin(&self) -> std::result::Result<bool, Failure> {
        let client = self.session.client();
        client.batch_execute(schema::BEGIN).await?;
        let there =
            client.query_typed_one("SELECT to_regclass($1) IS NULL", &[(&TABLE, Type::TEXT)]);
        let is_new = there.await?.try_get(0)?;
        if is_new {
            client.batch_execute(&schema::table()).await?;
        } else if indexes_of(client, TABLE).await? < schema::indexes().len() {
            // Those that are there stay, and cost each row more, for counts go on meanwhile.
            make_indexes(client).await?;
        }
        Ok(is_new)
    }

    fn copy(
        &self,
        sink: CopyInSink<Bytes>,
        rows: &mut dyn Rows,
    ) -> std::result::Result<u64, Failure> {
        let mut sink = pin!(sink);
        let mut piece = Vec::with_capacity(PIECE);
        let mut lost = None;
        let mut send = |piece: &mut Vec<u8>| {
            let bytes = Bytes::from(std::mem::replace(piece, Vec::with_capacity(PIECE)));
            self.runtime.block_on(sink.send(bytes))
        };
        let read = rows.read(&mut |row| {
            write(&mut piece, row);
            if piece.len() < PIECE {
                return Ok(());
            }
            send(&mut piece).map_err(|error| {
                let why = format!("it could not be sent to the database: {}", why(&error));
                lost = Some(error);
                why
            })
        });
        if let Some(error) = lost {
            return Err(Failure::Database(error));
        }
        let count = read.map_err(Failure::Said)?;
        send(&mut piece)?;
        match self.runtime.block_on(sink.finish()) {
            Ok(stored) if stored == count => Ok(count),
            // A trigger or a rule may keep rows out.
            Ok(stored) => Err(Failure::Said(Error::new(format!(
                "The database took {stored} of {count} rows. Nothing was loaded."
            )))),
            Err(error) => Err(row_of(&error).unwrap_or(Failure::Database(error))),
        }
    }
}

async fn make_indexes(client: &Client) -> std::result::Result<(), tokio_postgres::Error> {
    let all: Vec<String> = schema::indexes().into_iter().map(|(_, make)| make).collect();
    client.batch_execute(&all.join("; ")).await
}

async fn open(address: &Address, settings: &Settings) -> std::result::Result<Session, String> {
    let name = &address.name;
    let said = |error: tokio_postgres::Error| format!("{name}: {}", why(&error));
    let session = connect(address, &settings.tls).await.map_err(said)?;
    let row =
        session.client().query_typed_one("SELECT pg_is_in_recovery()", &[]).await.map_err(said)?;
    match row.try_get(0).map_err(said)? {
        true => Err(format!("{name} is a standby, and takes no rows")),
        false => Ok(session),
    }
}

impl engine::Loader for Loader {
    fn load(&mut self, rows: &mut dyn Rows, stop: &Stop) -> Result<u64> {
        let name = self.name.clone();
        let loaded = self.transaction(rows, stop);
        // A transaction that failed ends with its connection.
        let count = loaded.map_err(|failure| match failure {
            Failure::Said(error) => error,
            Failure::Row(..) | Failure::Database(_) if stop.is_told() => {
                Error::new("Interrupted. Nothing was loaded.")
            }
            Failure::Row(number, why) => at_row(rows, number, why),
            Failure::Database(error) => Error::new(format!(
                "Could not write to the database at {name}: {}. Nothing was loaded.",
                why(&error)
            )),
            Failure::Unknown(error) => Error::new(format!(
                "The connection to the database at {name} was lost while the rows were committed: {}. \
                 Either all of them are loaded now, or none.",
                why(&error)
            )),
        })?;
        let tidied = self.runtime.block_on(self.session.client().batch_execute(&schema::tidy()));
        if let Err(error) = tidied {
            say(format_args!(
                "The rows are loaded, but {TABLE} could not be vacuumed: {}. Counts may be slow until it is.",
                why(&error)
            ));
        }
        Ok(count)
    }
}

/// Reads the rows again as far as one, for its place and its id.
fn at_row(rows: &mut dyn Rows, number: u64, why: Option<String>) -> Error {
    let mut read = 0_u64;
    let again = rows.are_readable_again().then(|| {
        rows.read(&mut |row| {
            read = read.saturating_add(1);
            let [id, ..] = row;
            match read == number {
                true => Err(why.clone().unwrap_or_else(|| id_twice(id))),
                false => Ok(()),
            }
        })
    });
    match again {
        Some(Err(error)) => error,
        _ => {
            let why = why.unwrap_or_else(|| "id: expected one that no other row has".to_owned());
            Error::new(format!("Row {number}: {why}. Nothing was loaded."))
        }
    }
}

/// The row that a `COPY` failed at, if it was at one: the outermost context, which is told last, begins with the table, a
/// comma and the line. Those before it are of functions that the row called.
fn row_of(error: &tokio_postgres::Error) -> Option<Failure> {
    let said = error.as_db_error()?;
    // Of a value, of a constraint, or what a trigger raised: nothing else is a row's fault.
    if !["22", "23", "P0"].iter().any(|class| said.code().code().starts_with(class)) {
        return None;
    }
    let (_, line) = said.where_()?.lines().last()?.split_once(", ")?;
    let digits: String =
        line.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let number = digits.parse().ok()?;
    let is_id_twice = said.constraint() == Some(schema::BY_ID);
    let why = (!is_id_twice).then(|| format!("the row could not be stored: {}", said.message()));
    Some(Failure::Row(number, why))
}

/// A row as `COPY` reads text: <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2>.
fn write(to: &mut Vec<u8>, row: &Row) {
    let mut separator: &[u8] = b"";
    for value in row {
        to.extend_from_slice(separator);
        for byte in value.bytes() {
            match byte {
                b'\\' => to.extend_from_slice(b"\\\\"),
                b'\t' => to.extend_from_slice(b"\\t"),
                b'\n' => to.extend_from_slice(b"\\n"),
                b'\r' => to.extend_from_slice(b"\\r"),
                byte => to.push(byte),
            }
        }
        separator = b"\t";
    }
    to.push(b'\n');
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Failure {
        Failure::Database(error)
    }
}
