//! How connections to a server are made and made ready, within a time.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use tokio::time::timeout;

use super::relation::{Relation, Unfit};
use super::session::{Session, connect};
use super::tls::Tls;
use super::url::Address;
use super::why;
use crate::engine::Failure;

/// For a connection to be made and made ready while a count waits.
pub(crate) const CONNECT: Duration = Duration::from_millis(200);

/// The same for the first one, on which the table is looked at, and for which no count waits.
pub(crate) const FIRST: Duration = Duration::from_secs(2);

/// How connections to a server are made.
pub(crate) struct Door {
    pub(crate) address: Address,
    pub(crate) tls: Tls,
    /// How long a statement may take, so that none goes on for a client that has left it.
    limit: Duration,
    table: String,
    /// What all servers have to have; the first one that is looked at says it.
    relation: Arc<OnceLock<Relation>>,
    is_checked: AtomicBool,
}

/// Why there is no connection, or no answer on it.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It is the server's or the network's: it may work a little later.
    Server(String),
    /// It is the question's or the table's.
    Question(String),
}

// === impl Door ===

impl Door {
    pub(crate) fn new(
        address: Address,
        tls: Tls,
        table: &str,
        relation: Arc<OnceLock<Relation>>,
        limit: Duration,
    ) -> Door {
        let (table, is_checked) = (table.to_owned(), AtomicBool::new(false));
        Door { address, tls, limit, table, relation, is_checked }
    }

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

    /// A connection that is ready to count.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn session(&self, within: Duration) -> std::result::Result<Session, Trouble> {
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
