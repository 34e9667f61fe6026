//! Where the rows are, and a database without the store.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use backup_sharing_count::request::CountRequest;
use count_store::sql::Statement;
use count_store::{postgres as postgresql, sqlite};
use postgres::types::{ToSql, Type};
use postgres::{Client, NoTls};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, StatementStatus, params_from_iter};
use rustix::time::{ClockId, clock_gettime};
use testkit::postgres::Server;

use crate::machine;

/// What keeps the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// In a file, in the process that counts.
    Sqlite,
    /// In processes of its own.
    Postgres,
}

/// A database of one of them.
#[derive(Debug)]
pub enum Database {
    /// Its file.
    Sqlite(PathBuf),
    /// Its server, which has no other.
    Postgres(Server),
}

/// A session of ours, with the statement of a call.
pub enum Alone {
    /// In this process.
    Sqlite(Connection, Statement),
    /// By TCP, as the store does.
    Postgres(Client, postgres::Statement, Vec<String>),
}

/// What counts once.
pub type Once<'a> = &'a mut dyn FnMut() -> Result<u64>;

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Engine::Sqlite => "SQLite",
            Engine::Postgres => "PostgreSQL",
        })
    }
}

// === impl Database ===

impl Database {
    /// One without rows. A file is made in this folder.
    pub fn new(engine: Engine, folder: &Path) -> Result<Database> {
        Ok(match engine {
            Engine::Sqlite => Database::Sqlite(folder.join("db")),
            Engine::Postgres => {
                let options = Server::options().on_disk().setting("shared_buffers = 512MB");
                Database::Postgres(options.start()?)
            }
        })
    }

    /// What `count-store --database` is told.
    pub fn name(&self) -> PathBuf {
        match self {
            Database::Sqlite(file) => file.clone(),
            Database::Postgres(server) => server.url().into(),
        }
    }

    /// How large the table is, with its indexes.
    pub fn bytes(&self) -> Result<u64> {
        match self {
            Database::Sqlite(file) => Ok(fs::metadata(file)?.len()),
            Database::Postgres(server) => {
                let size = "SELECT pg_total_relation_size('backup_sharing')";
                Ok(server.client()?.query_one(size, &[])?.try_get::<_, i64>(0)?.try_into()?)
            }
        }
    }

    /// The time that its own processes have run, in µs.
    pub fn cpu_time(&self) -> Result<f64> {
        match self {
            Database::Sqlite(_) => Ok(0.0),
            Database::Postgres(server) => machine::cpu_time_of_children(server.pid()?),
        }
    }

    /// A session of ours with what the store asks when it is asked for this.
    pub fn alone(&self, request: &CountRequest) -> Result<Alone> {
        match self {
            Database::Sqlite(file) => {
                // As count-store/src/sqlite opens it to read.
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(file, flags)?;
                connection.pragma_update(None, "cache_size", -16_384)?;
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
                Ok(Alone::Sqlite(connection, sqlite::count(request)))
            }
            Database::Postgres(server) => {
                let mut client = Client::connect(&server.url(), NoTls)?;
                client.batch_execute(postgresql::SETTINGS)?;
                let Statement { text, parameters } = postgresql::count(request);
                let prepared = client.prepare_typed(&text, &vec![Type::TEXT; parameters.len()])?;
                Ok(Alone::Postgres(client, prepared, parameters))
            }
        }
    }
}

// === impl Alone ===

impl Alone {
    /// Runs `measure` with what counts once, in a statement that was prepared before.
    pub fn with<T>(&mut self, measure: impl FnOnce(Once) -> Result<T>) -> Result<T> {
        match self {
            Alone::Sqlite(connection, Statement { text, parameters }) => {
                let mut prepared = connection.prepare(text)?;
                measure(&mut || {
                    let parameters = params_from_iter(parameters.iter());
                    let count: i64 = prepared.query_row(parameters, |row| row.get(0))?;
                    Ok(count.try_into()?)
                })
            }
            Alone::Postgres(client, prepared, parameters) => {
                let parameters: Vec<&(dyn ToSql + Sync)> =
                    parameters.iter().map(|it| it as &(dyn ToSql + Sync)).collect();
                measure(&mut || {
                    let count: i64 = client.query_one(prepared, &parameters)?.try_get(0)?;
                    Ok(count.try_into()?)
                })
            }
        }
    }

    /// How many steps of SQLite's virtual machine it takes. PostgreSQL has none.
    pub fn steps(&self) -> Result<Option<u64>> {
        let Alone::Sqlite(connection, Statement { text, parameters }) = self else {
            return Ok(None);
        };
        let mut statement = connection.prepare(text)?;
        statement.query_row(params_from_iter(parameters), |_| Ok(()))?;
        Ok(Some(statement.get_status(StatementStatus::VmStep).try_into()?))
    }

    /// The time that the database has run, in µs: its processes, or this thread.
    pub fn cpu_time(&self, database: &Database) -> Result<f64> {
        match self {
            Alone::Sqlite(..) => {
                let time = clock_gettime(ClockId::ThreadCPUTime);
                Ok(time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3)
            }
            Alone::Postgres(..) => database.cpu_time(),
        }
    }
}
