//! What the rest knows of a database: that it counts, and that rows can be loaded into it. Each kind of
//! database has an [`Engine`] and a [`Loader`].

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use backup_sharing_count::request::CountRequest;

use crate::columns::Row;
use crate::error::Result;
use crate::stop::Stop;

/// What an engine comes to in a while.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = std::result::Result<T, Failure>> + Send + 'a>>;

/// Counts, and says whether it could.
pub trait Engine: Send + Sync {
    /// The answer to a call, from one snapshot of the rows.
    fn count(&self, request: &CountRequest) -> Answer<'_, u64>;

    /// Whether a count would have rows to look at.
    fn check(&self) -> Answer<'_, ()>;

    /// What is to be done beside the counts, for as long as there are some: it never ends. `is_watched`
    /// if somebody reads [`servers`](Engine::servers).
    fn keep(&self, is_watched: bool) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Which kind of database it is, in a word.
    fn kind(&self) -> &'static str;

    /// What is known of its servers: none is asked for it.
    fn servers(&self) -> Vec<Condition>;

    /// How many files and sockets it has open at most.
    fn files(&self) -> usize;
}

/// How a server is.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Its host and port; of a file, which has none, the kind of database.
    pub name: String,
    /// How many connections to it are counting.
    pub in_use: usize,
    /// Whether it answers; nothing of a file.
    pub is_reachable: Option<bool>,
    /// How far it is behind others; nothing if nobody can say.
    pub lag: Option<Duration>,
}

/// Why there is no count: a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may work a little later.
    Unavailable(String),
    /// It will not work until the database is repaired.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (Failure::Unavailable(sentence) | Failure::Broken(sentence)) = self;
        f.write_str(sentence)
    }
}

/// What rows are loaded into.
pub trait Loader {
    /// Adds all rows in one transaction: how many there were.
    ///
    /// # Errors
    /// The sentence for the operator, which says whether something was loaded.
    fn load(&mut self, rows: &mut dyn Rows, stop: &Stop) -> Result<u64>;
}

/// The rows of a file.
pub trait Rows {
    /// How many there are, about.
    fn expected(&self) -> i64;

    /// Whether they can be read a second time.
    fn are_readable_again(&self) -> bool;

    /// Reads them from the first to the last and gives each to `add`: how many there were.
    ///
    /// # Errors
    /// A sentence that names the place: of a bad row, or of one that `add` refused.
    fn read(&mut self, add: &mut dyn FnMut(&Row) -> std::result::Result<(), String>)
    -> Result<u64>;
}

/// Why a row is refused whose id is there already.
pub(crate) fn id_twice(id: &str) -> String {
    format!("id: expected one that no other row has, got \"{id}\"")
}
