//! The engine: which server is asked, and which one after it.

use std::future::pending;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use backup_sharing_count::request::CountRequest;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

use super::lag::{Positions, Standing};
use super::relation::Relation;
use super::server::{Limits, Server};
use super::url::Settings;
use crate::engine::{Answer, Condition, Engine, Failure};
use crate::error::{Error, Result};
use crate::say::say;
use crate::sql::{self, Statement};

/// How often each server is asked how far it is.
const ROUND: Duration = Duration::from_secs(1);

/// How soon it is asked again when it could not be: it may be back.
const AGAIN: Duration = Duration::from_millis(200);

/// Into how many parts the time of a count is cut: a server that is silent for one is left.
const PARTS: u32 = 3;

/// What `serve` is told of PostgreSQL.
#[derive(Clone, Debug)]
pub(crate) struct Choices {
    /// The relation that is counted in, as SQL writes its name.
    pub(crate) table: String,
    /// The most that a count may take.
    pub(crate) timeout: Duration,
    /// How far behind a server may be and be asked.
    pub(crate) max_lag: Duration,
    /// The most connections to each server that count.
    pub(crate) connections: usize,
}

/// The engine that asks PostgreSQL.
pub(crate) struct Servers(Arc<Inner>);

/// What a question is for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Count,
    /// It has a connection of its own: however busy the others are, the store is well.
    Health,
}

struct Inner {
    servers: Vec<Server>,
    relation: Relation,
    choices: Choices,
    prefers_standby: bool,
    /// Whose turn it is.
    next: AtomicUsize,
    positions: Mutex<Positions>,
}

impl Servers {
    /// Looks at all servers.
    ///
    /// # Errors
    /// What is wrong with each of them, if none can be asked.
    pub(crate) async fn open(settings: Settings, choices: Choices) -> Result<Servers> {
        let limits = Limits { count: choices.timeout, connections: choices.connections };
        let found = Arc::new(OnceLock::new());
        let mut servers = Vec::new();
        for address in settings.servers {
            servers.push(Server::new(
                address,
                settings.tls.clone(),
                &choices.table,
                &found,
                &limits,
            )?);
        }
        let checks = join_all(servers.iter().map(Server::check)).await;
        let troubles = checks.into_iter().filter_map(|check| check.err());
        let troubles: Vec<String> = troubles.map(|trouble| trouble.to_string()).collect();
        let Some(relation) = found.get().cloned() else {
            return Err(Error::new(format!("No database to count in. {}.", troubles.join(". "))));
        };
        troubles.iter().for_each(|trouble| say(format_args!("{trouble}.")));
        relation.advice().iter().for_each(say);
        let positions = Mutex::new(Positions::new(servers.len()));
        let next = AtomicUsize::new(0);
        let prefers_standby = settings.prefers_standby;
        let inner = Inner { servers, relation, choices, prefers_standby, next, positions };
        let each = inner.servers.iter().enumerate();
        join_all(each.map(|(at, server)| inner.measure(at, server))).await;
        Ok(Servers(Arc::new(inner)))
    }

    /// Asks on a task of its own: a client that goes away must not cost a connection.
    fn ask(&self, statement: Statement, purpose: Purpose) -> Answer<'_, i64> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let asked = tokio::spawn(async move { inner.ask(&statement, purpose).await }).await;
            asked
                .unwrap_or_else(|error| Err(Failure::Broken(format!("The count failed: {error}."))))
        })
    }
}

impl Engine for Servers {
    fn count(&self, request: &CountRequest) -> Answer<'_, u64> {
        let asked = self.ask(sql::count(&self.0.relation, request), Purpose::Count);
        Box::pin(async {
            let count = asked.await?;
            u64::try_from(count).map_err(|_| Failure::Broken(format!("{count} is not a count")))
        })
    }

    fn check(&self) -> Answer<'_, ()> {
        let asked = self.ask(self.0.relation.check(), Purpose::Health);
        Box::pin(async { asked.await.map(|_| ()) })
    }

    fn keep(&self, is_watched: bool) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let servers = match &self.0.servers[..] {
            // There is nobody that it could be behind.
            [_] if !is_watched => &[],
            servers => servers,
        };
        let each = servers.iter().enumerate().map(|(at, server)| self.0.keep(at, server));
        let keeping = join_all(each.collect::<Vec<_>>());
        Box::pin(async {
            keeping.await;
            pending().await
        })
    }

    fn kind(&self) -> &'static str {
        "postgresql"
    }

    fn servers(&self) -> Vec<Condition> {
        let (positions, now) = (self.0.positions(), std::time::Instant::now());
        let each = self.0.servers.iter().enumerate().map(|(at, server)| {
            let standing = positions.standing(at, now);
            let lag = match standing {
                Standing::Behind(lag) if lag < Duration::MAX => Some(lag),
                _ => None,
            };
            let is_reachable = Some(standing != Standing::Lost);
            Condition { name: server.name().to_owned(), in_use: server.in_use(), is_reachable, lag }
        });
        each.collect()
    }

    fn files(&self) -> usize {
        let each = self.0.choices.connections.saturating_add(2);
        each.saturating_mul(self.0.servers.len())
    }
}

impl Inner {
    async fn ask(
        &self,
        statement: &Statement,
        purpose: Purpose,
    ) -> std::result::Result<i64, Failure> {
        let start = Instant::now();
        let end = later(start, self.choices.timeout);
        let order = self.order();
        let mut failure = None;
        for (at, server) in order.iter().enumerate() {
            let now = Instant::now();
            if now >= end {
                break;
            }
            let is_last = at.saturating_add(1) == order.len();
            let part = self.choices.timeout.checked_div(PARTS).unwrap_or_default();
            let until = if is_last { end } else { later(now, part).min(end) };
            let asked = match purpose {
                Purpose::Count => server.ask(statement, until).await,
                Purpose::Health => server.ask_health(statement, until).await,
            };
            match asked {
                Ok(answer) => return Ok(answer),
                // Even what is wrong with the table may be so on one server alone.
                Err(trouble) => failure = Some(trouble.into()),
            }
        }
        Err(failure.unwrap_or_else(|| self.nobody()))
    }

    /// The servers that may be asked: in turn, and those in trouble last.
    fn order(&self) -> Vec<&Server> {
        let mut order: Vec<&Server> = match &self.servers[..] {
            [_] => return self.servers.iter().collect(),
            servers => {
                let (positions, now) = (self.positions(), std::time::Instant::now());
                let may_be_asked = |at| self.why_not(positions.standing(at, now)).is_none();
                let asked = servers.iter().enumerate().filter(|(at, _)| may_be_asked(*at));
                asked.map(|(_, server)| server).collect()
            }
        };
        if let Some(turn) = self.next.fetch_add(1, Ordering::Relaxed).checked_rem(order.len()) {
            order.rotate_left(turn);
        }
        order.sort_by_key(|server| {
            (server.is_troubled(), self.prefers_standby && !server.is_standby())
        });
        order
    }

    /// Why a server is not asked, if so, after its name.
    fn why_not(&self, standing: Standing) -> Option<String> {
        match standing {
            Standing::Lost => Some("cannot be reached".to_owned()),
            Standing::Superseded => Some("is a primary over which another was promoted".to_owned()),
            Standing::Behind(Duration::MAX) => {
                Some("has not been level since this began".to_owned())
            }
            Standing::Behind(lag) => {
                (lag > self.choices.max_lag).then(|| format!("is {} s behind", lag.as_secs()))
            }
        }
    }

    /// Why there is no server to ask.
    fn nobody(&self) -> Failure {
        let positions = self.positions();
        let now = std::time::Instant::now();
        let servers = self.servers.iter().enumerate();
        let why = servers.filter_map(|(at, server)| {
            let why = self.why_not(positions.standing(at, now))?;
            Some(format!("{} {why}", server.name()))
        });
        let why = why.collect::<Vec<String>>().join(", ");
        Failure::Unavailable(format!("No count, for there is no server to ask: {why}."))
    }

    /// Measures a server every second, and says when it is no longer asked, and when it is again. One that is alone is
    /// asked whatever is measured.
    async fn keep(&self, at: usize, server: &Server) {
        let mut was_asked = true;
        loop {
            let start = Instant::now();
            let why_not = self.measure(at, server).await;
            match &why_not {
                _ if self.servers.len() == 1 => {}
                Some(why) if was_asked => say(format_args!("{why}: it is not asked.")),
                None if !was_asked => say(format_args!("{} is asked again.", server.name())),
                _ => {}
            }
            was_asked = why_not.is_none();
            let again = later(start, AGAIN);
            let next = if was_asked { later(start, ROUND) } else { again };
            tokio::select! {
                () = sleep_until(next) => {}
                () = server.ended() => sleep_until(again).await,
            }
        }
    }

    /// Asks a server how far it is: why it may not be asked to count, if so.
    async fn measure(&self, at: usize, server: &Server) -> Option<String> {
        // It is that far from some time after this on.
        let asked = std::time::Instant::now();
        let measured = server.measure().await;
        let now = std::time::Instant::now();
        let mut positions = self.positions();
        match measured {
            Ok(measured) => positions.measured(at, asked, measured),
            Err(trouble) => {
                positions.lost(at);
                return Some(trouble.to_string());
            }
        }
        let why = self.why_not(positions.standing(at, now))?;
        Some(format!("{} {why}", server.name()))
    }

    fn positions(&self) -> MutexGuard<'_, Positions> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Never as far as a time that there is not.
fn later(start: Instant, time: Duration) -> Instant {
    start.checked_add(time).unwrap_or(start)
}
