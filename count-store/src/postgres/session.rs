//! A connection to a server, and what a count takes of it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client};

use super::one_line;
use super::tls::Tls;
use super::url::Address;
use crate::sql::Statement;

/// The most warnings that are kept.
const WARNINGS: usize = 3;

/// An open connection. It is closed when it is dropped, whatever the server is doing.
pub(crate) struct Session {
    client: Client,
    /// What was asked before needs no second thought by the server.
    statements: HashMap<String, tokio_postgres::Statement>,
    io: JoinHandle<Result<(), tokio_postgres::Error>>,
    /// What the server warned of, the first few.
    warnings: Arc<Mutex<Vec<String>>>,
    /// Whether a question was left before its answer.
    is_left: bool,
}

/// Connects, as it is.
pub(crate) async fn connect(
    address: &Address,
    tls: &Tls,
) -> Result<Session, tokio_postgres::Error> {
    let (client, mut connection) = address.config.connect(tls.clone()).await?;
    let warnings: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&warnings);
    let io = tokio::spawn(async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notice(said) = message?
                && said.severity() == "WARNING"
                && let Ok(mut heard) = heard.lock()
                && heard.len() < WARNINGS
            {
                heard.push(one_line(said.message()));
            }
        }
        Ok(())
    });
    Ok(Session { client, statements: HashMap::new(), io, warnings, is_left: false })
}

impl Session {
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// What the server has warned of since this was last asked.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().map(|mut warnings| mem::take(&mut *warnings)).unwrap_or_default()
    }

    /// Whether another question may be asked.
    pub(crate) fn is_usable(&self) -> bool {
        !self.is_left && !self.client.is_closed()
    }

    /// Waits until the connection ends. Not to be called again after that.
    pub(crate) async fn ended(&mut self) {
        // However it does.
        let _ = (&mut self.io).await;
    }

    /// The one integer that a statement comes to.
    pub(crate) async fn ask(
        &mut self,
        statement: &Statement,
    ) -> Result<i64, tokio_postgres::Error> {
        self.is_left = true;
        let mut answer = self.answer(statement).await;
        if answer.as_ref().is_err_and(is_unwritable) && !self.holds(&statement.parameters).await? {
            // A text that the database's encoding cannot hold is in no row.
            answer = Ok(0);
        }
        self.is_left = false;
        answer
    }

    /// Whether the database's encoding can hold all texts. If so, it is a row that could not be read: a view's, or one that
    /// comes from another server.
    async fn holds(&self, texts: &[String]) -> Result<bool, tokio_postgres::Error> {
        match self.client.query_typed("SELECT $1", &[(&texts, Type::TEXT_ARRAY)]).await {
            Err(error) if is_unwritable(&error) => Ok(false),
            held => held.map(|_| true),
        }
    }

    async fn answer(&mut self, statement: &Statement) -> Result<i64, tokio_postgres::Error> {
        let Statement { text, parameters } = statement;
        let prepared = match self.statements.get(text) {
            Some(prepared) => prepared.clone(),
            None => {
                let types = vec![Type::TEXT; parameters.len()];
                let prepared = self.client.prepare_typed(text, &types).await?;
                self.statements.insert(text.clone(), prepared.clone());
                prepared
            }
        };
        let parameters: Vec<&(dyn ToSql + Sync)> =
            parameters.iter().map(|parameter| parameter as &(dyn ToSql + Sync)).collect();
        self.client.query_one(&prepared, &parameters).await?.try_get(0)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The driver would wait for an answer that is due, for as long as the server likes.
        self.io.abort();
    }
}

fn is_unwritable(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::UNTRANSLATABLE_CHARACTER)
        || code == Some(&SqlState::CHARACTER_NOT_IN_REPERTOIRE)
}
