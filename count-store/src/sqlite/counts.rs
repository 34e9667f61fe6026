//! Counts in the file: a few connections, each used by one request
//! at a time. A count begins on the thread that serves; what takes longer is done on
//! a thread where it may block.

use std::fs;
use std::io;
use std::mem;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::thread;
use std::time::Duration;

use backup_sharing_count::request::CountRequest;
use deadpool::Runtime;
use deadpool::managed::{
    Manager, Metrics, Pool, PoolError, QueueMode, RecycleError, RecycleResult,
};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params_from_iter};
use tokio::task;
use tokio::time::sleep;

use super::sql;
use crate::engine::{Answer, Condition, Engine, Failure};
use crate::error::{Error, Result};
use crate::sql::Statement;
use crate::sqlite;

/// How long a request waits for a connection. Longer than this, its client has
/// most likely given up, and Envoy's health check should hear of it.
const WAIT: Duration = Duration::from_secs(5);

/// In steps of SQLite's virtual machine: what takes no more is done on the thread that
/// serves, what takes twice as many is not. They take about 20 µs, which is what the
/// way to another thread and back takes.
const QUICK: i32 = 2_500;

/// How often it is looked whether the file was replaced.
const LOOK: Duration = Duration::from_secs(1);

/// The engine that counts in an SQLite file.
pub(crate) struct Counts {
    pool: Pool<File>,
}

impl Counts {
    pub(crate) fn new(file: PathBuf) -> Result<Counts> {
        let pool = Pool::builder(File(file))
            .max_size(connections())
            // The one used last has its pages and statements at hand.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(WAIT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(Error::while_doing("make the connection pool"))?;
        Ok(Counts { pool })
    }

    /// Gives up resting connections to a file that was deleted or replaced: they would hold
    /// its log, which is taken for that of the new one.
    fn forget_replaced(&self) {
        let (device, inode, ..) = self.pool.manager().identity().unwrap_or_default();
        self.pool.retain(|reader, _| {
            let (its_device, its_inode, ..) = reader.identity;
            (its_device, its_inode) == (device, inode)
        });
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> std::result::Result<T, Failure> {
        let mut reader = self.pool.get().await?;
        let file = &self.pool.manager().0;
        match reader.at_once(&work) {
            Ok(Some(done)) => Ok(done),
            // The reader goes along: a client that goes away does not end its count, and
            // the next request must not be given a connection that is still counting.
            Ok(None) => {
                may_block(file, move || sqlite::patiently(|| work(&reader.connection))).await
            }
            Err(error) => Err(failure(&error, file)),
        }
    }
}

impl Engine for Counts {
    fn count(&self, request: &CountRequest) -> Answer<'_, u64> {
        let Statement { text, parameters } = sql::count(request);
        Box::pin(async {
            let count = self.run(move |connection| {
                let mut statement = connection.prepare_cached(&text)?;
                statement.query_row(params_from_iter(&parameters), |row| row.get(0))
            });
            let count: i64 = count.await?;
            u64::try_from(count).map_err(|_| Failure::Broken(format!("{count} is not a count")))
        })
    }

    fn check(&self) -> Answer<'_, ()> {
        Box::pin(self.run(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT 1 FROM backup_sharing LIMIT 1")?;
            statement.query_row([], |_| Ok(())).optional().map(|_| ())
        }))
    }

    fn keep(&self, _: bool) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            loop {
                sleep(LOOK).await;
                self.forget_replaced();
            }
        })
    }

    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn servers(&self) -> Vec<Condition> {
        let status = self.pool.status();
        let in_use = status.size.saturating_sub(status.available);
        vec![Condition { name: self.kind().to_owned(), in_use, is_reachable: None, lag: None }]
    }

    fn files(&self) -> usize {
        // The database, its log, and the log's index.
        connections().saturating_mul(3)
    }
}

/// A count is all computing, so more connections than cores gain little; twice as
/// many fill the gaps when one waits for the disk.
fn connections() -> usize {
    thread::available_parallelism().map_or(4, usize::from).saturating_mul(2)
}

/// Does something on a thread made for waiting.
async fn may_block<T: Send + 'static>(
    file: &Path,
    work: impl FnOnce() -> rusqlite::Result<T> + Send + 'static,
) -> std::result::Result<T, Failure> {
    let done = task::spawn_blocking(work).await;
    let done =
        done.map_err(|error| Failure::Broken(format!("The database thread failed: {error}.")))?;
    done.map_err(|error| failure(&error, file))
}

fn failure(error: &rusqlite::Error, file: &Path) -> Failure {
    let sentence = format!("Could not read the database: {}.", sqlite::sentence(error, file));
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory,
        ) => Failure::Unavailable(sentence),
        _ => Failure::Broken(sentence),
    }
}

impl From<PoolError<Failure>> for Failure {
    fn from(error: PoolError<Failure>) -> Failure {
        match error {
            PoolError::Backend(failure) => failure,
            error => Failure::Unavailable(format!("No connection to the database: {error}.")),
        }
    }
}

/// The file, and how the pool opens it.
#[derive(Debug)]
struct File(PathBuf);

/// An open connection, and which file it is of.
struct Reader {
    connection: Connection,
    identity: Identity,
}

/// The device, the inode, the size and the time of the last change, in s and ns, that the
/// path led to. A file that is written over keeps its inode.
type Identity = (u64, u64, u64, i64, i64);

// === impl Reader ===

impl Reader {
    /// What `work` comes to, if it takes no time to speak of; nothing if it would have
    /// taken longer, or waited for another program's lock.
    fn at_once<T>(
        &mut self,
        work: impl Fn(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        let connection = &mut self.connection;
        connection.busy_timeout(Duration::ZERO)?;
        // SQLite reckons a statement's steps over all its runs. So it asks for the first
        // time after any number of this run's up to QUICK, and then after QUICK more.
        let mut was_asked = false;
        let is_enough = move || mem::replace(&mut was_asked, true);
        connection.progress_handler(QUICK, Some(is_enough))?;
        let done = work(connection);
        // As it was opened, for work that may take its time.
        connection.progress_handler(0, None::<fn() -> bool>)?;
        connection.busy_timeout(sqlite::BUSY)?;
        match done {
            Err(error) if is_too_slow(&error) => Ok(None),
            done => done.map(Some),
        }
    }
}

fn is_too_slow(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::OperationInterrupted | ErrorCode::DatabaseBusy))
        || sqlite::is_being_written(error)
}

// === impl File ===

impl File {
    fn identity(&self) -> io::Result<Identity> {
        let file = fs::metadata(&self.0)?;
        Ok((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
    }
}

impl Manager for File {
    type Type = Reader;
    type Error = Failure;

    async fn create(&self) -> std::result::Result<Reader, Failure> {
        // Before it is opened: a file replaced in between is noticed at the next use.
        let identity = self.identity().unwrap_or_default();
        let path = self.0.clone();
        let connection =
            may_block(&self.0, move || sqlite::patiently(|| sqlite::open_to_read(&path))).await?;
        Ok(Reader { connection, identity })
    }

    /// Gives up a connection to a file that was changed from outside, deleted or replaced.
    /// SQLite would go on counting the rows of the old one, for as long as we run. Loads
    /// that are complete change the file too.
    async fn recycle(&self, reader: &mut Reader, _: &Metrics) -> RecycleResult<Failure> {
        match self.identity() {
            Ok(identity) if identity == reader.identity => Ok(()),
            _ => Err(RecycleError::message("the database is another file now")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, mpsc};
    use std::thread::ThreadId;

    use tempfile::TempDir;
    use tokio::time;

    use super::*;

    fn counts() -> (TempDir, Counts) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("count.db");
        Connection::open(&file).unwrap().execute_batch(&sqlite::schema()).unwrap();
        (folder, Counts::new(file).unwrap())
    }

    /// Counts to a number, in about 15 steps for each: the count, and who counted.
    fn count_to(number: i64) -> impl Fn(&Connection) -> rusqlite::Result<(i64, ThreadId)> {
        let text = "WITH RECURSIVE numbers(n) AS
            (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT ?1) SELECT count(*) FROM numbers";
        move |connection| {
            let count = connection.prepare_cached(text)?.query_row([number], |row| row.get(0))?;
            Ok((count, thread::current().id()))
        }
    }

    #[tokio::test]
    async fn what_takes_longer_is_done_on_another_thread_and_in_whole() {
        let (_folder, counts) = counts();
        // In turn, on one connection with one statement: what one run leaves behind
        // must not matter to the next.
        for round in 0..100 {
            for (number, is_quick) in [(10, true), (100, true), (1_000, false), (10_000, false)] {
                let (count, thread) = counts.run(count_to(number)).await.unwrap();
                assert_eq!(count, number);
                assert_eq!(thread == thread::current().id(), is_quick, "{number} in {round}");
            }
        }
        assert_eq!(counts.pool.status().size, 1);
    }

    #[tokio::test]
    async fn a_count_whose_client_is_gone_delays_no_other() {
        let (_folder, counts) = counts();
        let (end, wait) = mpsc::channel::<()>();
        let has_ended = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&has_ended);
        let slow = counts.run(move |connection| {
            count_to(10_000)(connection)?;
            let _ = wait.recv_timeout(Duration::from_secs(10));
            ended.store(true, Ordering::SeqCst);
            Ok(())
        });
        assert!(time::timeout(Duration::from_millis(100), slow).await.is_err());
        let (count, thread) = counts.run(count_to(10)).await.unwrap();
        assert_eq!((count, thread), (10, thread::current().id()));
        assert!(!has_ended.load(Ordering::SeqCst), "it was waited for");
        drop(end);
    }
}
