//! One of the servers: its connections, and whether it is to be asked.

use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult, Timeouts,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::error::SqlState;

use super::lag::Measured;
use super::relation::{Relation, Unfit};
use super::session::{Session, connect};
use super::tls::Tls;
use super::url::Address;
use super::why;
use crate::engine::Failure;
use crate::error::{Error, Result};
use crate::sql::Statement;

/// For a connection to be made and made ready while a count waits.
const CONNECT: Duration = Duration::from_millis(200);

/// The same for the first one, on which the table is looked at, and for which no count waits.
const FIRST: Duration = Duration::from_secs(2);

/// For a server to say how far it is.
const MEASURE: Duration = Duration::from_secs(1);

/// Whether it is a standby, its position, and the timeline of a primary, which the name of a file of its log begins with.
const MEASURED: &str = "SELECT pg_is_in_recovery(), \
    (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0')::int8, \
    CASE WHEN NOT pg_is_in_recovery() THEN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END";

/// A server, and what is known of it.
pub(crate) struct Server {
    pool: Pool<Door>,
    /// A connection beside those for counts, to ask how far it is.
    watch: Mutex<Option<Session>>,
    /// One more, to ask whether it can be counted in.
    health: Mutex<Option<Session>>,
    /// Whether it let a count down, or ended a connection, since it was last measured.
    is_troubled: AtomicBool,
    is_standby: AtomicBool,
}

/// How connections to a server are made.
pub(crate) struct Door {
    address: Address,
    tls: Tls,
    /// How long a statement may take, so that none goes on for a client that has left it.
    limit: Duration,
    table: String,
    /// What all servers have to have; the first one that is looked at says it.
    relation: Arc<OnceLock<Relation>>,
    is_checked: AtomicBool,
}

/// What one server's connections take.
pub(crate) struct Limits {
    pub(crate) count: Duration,
    pub(crate) connections: usize,
}

/// Why there is no connection, or no answer on it.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It is the server's or the network's: it may work a little later.
    Server(String),
    /// It is the question's or the table's.
    Question(String),
}

// === impl Server ===

impl Server {
    pub(crate) fn new(
        address: Address,
        tls: Tls,
        table: &str,
        relation: &Arc<OnceLock<Relation>>,
        limits: &Limits,
    ) -> Result<Server> {
        let door = Door {
            address,
            tls,
            limit: limits.count,
            table: table.to_owned(),
            relation: Arc::clone(relation),
            is_checked: AtomicBool::new(false),
        };
        let pool = Pool::builder(door)
            .max_size(limits.connections)
            // The one used last has its statements at hand.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(Error::while_doing("make the connection pool"))?;
        Ok(Server {
            pool,
            watch: Mutex::new(None),
            health: Mutex::new(None),
            is_troubled: AtomicBool::new(false),
            is_standby: AtomicBool::new(false),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.pool.manager().address.name
    }

    pub(crate) fn is_troubled(&self) -> bool {
        self.is_troubled.load(Ordering::Relaxed)
    }

    pub(crate) fn is_standby(&self) -> bool {
        self.is_standby.load(Ordering::Relaxed)
    }

    /// What a statement comes to, by `until`.
    pub(crate) async fn ask(
        &self,
        statement: &Statement,
        until: Instant,
    ) -> std::result::Result<i64, Trouble> {
        loop {
            // A turn that comes too late to connect in would waste the connection that it begins: in a crowd every
            // turn does, and none would ever be made.
            let left = until.saturating_duration_since(Instant::now());
            let to_connect = CONNECT.min(left.checked_div(2).unwrap_or_default());
            let wait = Some(left.saturating_sub(to_connect));
            let limits = Timeouts { wait, ..Timeouts::default() };
            let Ok(session) = timeout_at(until, self.pool.timeout_get(&limits)).await else {
                return Err(self.trouble("no connection in time"));
            };
            let mut session = session.map_err(|error| self.no_session(error))?;
            let is_new = Object::metrics(&session).recycle_count == 0;
            let error = match timeout_at(until, session.ask(statement)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => {
                    // Its other connections go too, but for those at work: they may be answered still.
                    let session = Object::take(session);
                    self.cancel(&session);
                    drop(session);
                    self.pool.retain(|_, _| false);
                    self.is_troubled.store(true, Ordering::Relaxed);
                    return Err(self.trouble("it is silent"));
                }
            };
            if session.is_usable() {
                return Err(self.of_question(&error));
            }
            drop(Object::take(session));
            // The server was restarted, maybe, since the connection was made.
            self.pool.retain(|session, _| session.is_usable());
            if is_new {
                self.is_troubled.store(true, Ordering::Relaxed);
                return Err(self.trouble(&why(&error)));
            }
        }
    }

    /// Tells the server not to go on with what nobody waits for. It would end it by itself, but later.
    fn cancel(&self, session: &Session) {
        let (cancel, tls) = (session.client().cancel_token(), self.pool.manager().tls.clone());
        tokio::spawn(async move {
            let _ = timeout(CONNECT, cancel.cancel_query(tls)).await;
        });
    }

    /// The same on the connection that is kept for it.
    pub(crate) async fn ask_health(
        &self,
        statement: &Statement,
        until: Instant,
    ) -> std::result::Result<i64, Trouble> {
        let asked = timeout_at(until, async {
            let mut health = self.health.lock().await;
            let mut session = match health.take().filter(Session::is_usable) {
                Some(session) => session,
                None => self.pool.manager().create().await?,
            };
            let answer = session.ask(statement).await;
            let answer = answer.map_err(|error| self.of_question(&error))?;
            *health = Some(session);
            Ok(answer)
        });
        asked.await.unwrap_or_else(|_| Err(self.trouble("it is silent")))
    }

    fn of_question(&self, error: &tokio_postgres::Error) -> Trouble {
        let sentence = self.sentence(&why(error));
        match is_of_question(error) {
            true => Trouble::Question(sentence),
            false => Trouble::Server(sentence),
        }
    }

    fn no_session(&self, error: PoolError<Trouble>) -> Trouble {
        match error {
            PoolError::Backend(trouble) => {
                self.is_troubled.store(true, Ordering::Relaxed);
                trouble
            }
            PoolError::Timeout(_) => self.trouble("all connections to it are at work"),
            error => self.trouble(&error.to_string()),
        }
    }

    /// How far it is. An engine without a write-ahead log that it tells of is always at its beginning.
    pub(crate) async fn measure(&self) -> std::result::Result<Measured, Trouble> {
        let measured = timeout(MEASURE, self.position()).await;
        let measured = measured.unwrap_or_else(|_| Err(self.trouble("it is silent")));
        if measured.is_ok() {
            self.is_troubled.store(false, Ordering::Relaxed);
        }
        measured
    }

    /// Waits until the connection ends on which it was asked how far it is. The server may be back at once, with less than it
    /// had: until it has said how far it is, others are asked before it.
    pub(crate) async fn ended(&self) {
        let mut watch = self.watch.lock().await;
        match &mut *watch {
            Some(session) => session.ended().await,
            None => pending().await,
        }
        *watch = None;
        self.is_troubled.store(true, Ordering::Relaxed);
    }

    async fn position(&self) -> std::result::Result<Measured, Trouble> {
        let mut watch = self.watch.lock().await;
        // Taken, so that a connection on which this is given up is not used again.
        let session = match watch.take().filter(Session::is_usable) {
            Some(session) => session,
            None => self.pool.manager().session(MEASURE).await?,
        };
        let row = match session.client().query_typed_one(MEASURED, &[]).await {
            Ok(row) => Some(row),
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_FUNCTION) => None,
            Err(error) => return Err(self.trouble(&why(&error))),
        };
        let read =
            |row: tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        let read = row.map(read).transpose();
        let read = read.map_err(|error: tokio_postgres::Error| self.trouble(&why(&error)))?;
        let (is_standby, position, timeline): (bool, Option<i64>, Option<String>) =
            read.unwrap_or_default();
        self.is_standby.store(is_standby, Ordering::Relaxed);
        *watch = Some(session);
        Ok(Measured {
            position: position.unwrap_or_default().try_into().unwrap_or_default(),
            timeline: timeline.and_then(|digits| u32::from_str_radix(&digits, 16).ok()),
        })
    }

    /// Looks at it for the first time.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub(crate) async fn check(&self) -> std::result::Result<(), Trouble> {
        self.pool.manager().session(FIRST).await.map(|_| ())
    }

    fn trouble(&self, why: &str) -> Trouble {
        Trouble::Server(self.sentence(why))
    }

    fn sentence(&self, why: &str) -> String {
        format!("{}: {why}", self.name())
    }
}

/// Whether a statement would fail anywhere: neither the connection, the server's resources, a conflict with what it
/// replays, nor somebody who ends it is to blame
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn is_of_question(error: &tokio_postgres::Error) -> bool {
    let class = error.code().and_then(|code| code.code().get(..2));
    class.is_some_and(|class| !["08", "40", "53", "55", "57", "58", "XX"].contains(&class))
}

// === impl Door ===

impl Door {
    async fn open(&self) -> std::result::Result<Session, Unfit> {
        let session = connect(&self.address, &self.tls).await?;
        let client = session.client();
        // Not before: a pooler between us and the server may take no options of a session at its start.
        let limit = self.limit.as_millis();
        client
            .batch_execute(&format!(
                "SET default_transaction_read_only = on; SET statement_timeout = {limit}"
            ))
            .await?;
        if !self.is_checked.load(Ordering::Relaxed) {
            let relation = Relation::of(client, &self.table).await?;
            if *self.relation.get_or_init(|| relation.clone()) != relation {
                let why = format!("has another {} than the other servers", self.table);
                return Err(Unfit::Said(why));
            }
            self.is_checked.store(true, Ordering::Relaxed);
        }
        if let Some(relation) = self.relation.get() {
            client.batch_execute(relation.settings()).await?;
        }
        Ok(session)
    }

    async fn session(&self, within: Duration) -> std::result::Result<Session, Trouble> {
        let name = &self.address.name;
        match timeout(within, self.open()).await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(Unfit::Said(what))) => Err(Trouble::Server(format!("{name} {what}"))),
            Ok(Err(Unfit::Unseen(error))) => {
                Err(Trouble::Server(format!("{name}: {}", why(&error))))
            }
            Err(_) => Err(Trouble::Server(format!("{name}: no connection within {within:?}"))),
        }
    }
}

impl Manager for Door {
    type Type = Session;
    type Error = Trouble;

    async fn create(&self) -> std::result::Result<Session, Trouble> {
        self.session(CONNECT).await
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<Trouble> {
        match session.is_usable() {
            true => Ok(()),
            false => Err(RecycleError::message("the connection is gone")),
        }
    }
}

// === impl Trouble ===

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (Trouble::Server(sentence) | Trouble::Question(sentence)) = self;
        f.write_str(sentence)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Server(sentence) => Failure::Unavailable(format!("No count: {sentence}.")),
            Trouble::Question(sentence) => Failure::Broken(format!("No count: {sentence}.")),
        }
    }
}
