//! One of the servers: its connections, and whether it is to be asked.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Manager, Object, Pool, PoolError, QueueMode, Timeouts};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::error::SqlState;

use super::door::{CONNECT, Door, FIRST, Trouble};
use super::lag::Measured;
use super::relation::Relation;
use super::session::Session;
use super::tls::Tls;
use super::url::Address;
use super::why;
use crate::error::{Error, Result};
use crate::sql::Statement;

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

/// What one server's connections take.
pub(crate) struct Limits {
    pub(crate) count: Duration,
    pub(crate) connections: usize,
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
        let door = Door::new(address, tls, table, Arc::clone(relation), limits.count);
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

    /// How many of its connections are counting.
    pub(crate) fn in_use(&self) -> usize {
        let status = self.pool.status();
        status.size.saturating_sub(status.available)
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
