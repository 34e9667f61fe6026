//! A primary and its streaming replicas.

use std::ops::Deref;
use std::thread;

use anyhow::{Context, anyhow, ensure};

use super::{Options, Server};
use crate::{PATIENCE, Result, wait_for};

/// A primary and replicas that stream from it. Dropping it kills them all.
#[derive(Debug)]
pub struct Cluster {
    // First: replicas that die before their primary complain of nothing.
    replicas: Vec<Replica>,
    primary: Server,
}

/// A hot standby: a [`Server`] that answers what only reads, with the rows of another one.
#[derive(Debug)]
pub struct Replica {
    server: Server,
    /// The primary it was made from.
    primary: Source,
}

/// Whom a replica receives from: by its socket, which asks for neither password nor TLS.
#[derive(Debug)]
struct Source {
    connection: String,
    port: u16,
}

// === impl Cluster ===

impl Cluster {
    /// Starts a primary and as many replicas, each of them level with it.
    pub fn start(replicas: usize) -> Result<Self> {
        Self::start_with(Server::options(), replicas)
    }

    /// The same, with choices for all of them.
    pub fn start_with(options: Options, replicas: usize) -> Result<Self> {
        let primary = options.start()?;
        let replicas = thread::scope(|scope| {
            let copies = (0..replicas).map(|_| scope.spawn(|| Replica::of(&primary)));
            let copies: Vec<_> = copies.collect();
            let joined = copies
                .into_iter()
                .map(|copy| copy.join().map_err(|_| anyhow!("A copy panicked."))?);
            joined.collect::<Result<_>>()
        })?;
        let cluster = Self { replicas, primary };
        cluster.wait_until_level()?;
        Ok(cluster)
    }

    /// The server that was the primary at first.
    pub fn primary(&self) -> &Server {
        &self.primary
    }

    /// The others.
    pub fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// All of them, the primary first.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        [&self.primary].into_iter().chain(self.replicas.iter().map(Deref::deref))
    }

    /// The URL with all hosts, the primary first: `postgres://postgres@127.0.0.1:P1,127.0.0.1:P2/postgres`.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.servers().map(|server| server.address().to_string()).collect();
        format!("postgres://{}@{}/postgres", self.primary.user(), hosts.join(","))
    }

    /// Waits until every replica shows all that was committed at the primary before.
    pub fn wait_until_level(&self) -> Result<()> {
        self.replicas.iter().try_for_each(|replica| replica.wait_until_level_with(&self.primary))
    }
}

// === impl Replica ===

impl Replica {
    fn of(primary: &Server) -> Result<Self> {
        let (home, password) = (primary.home().another()?, primary.password());
        let (socket, port) = (primary.home().path(), primary.address().port().to_string());
        let socket = socket.to_str().context("The temporary folder's name is no text.")?;
        let backup = ["-D", "data", "-U", "postgres", "-h", socket, "-p", &port];
        let quick = ["--checkpoint=fast", "--no-sync", "--no-manifest"];
        home.run("pg_basebackup", &[&backup[..], &quick].concat()).context("copying a primary")?;
        let primary = Source::of(primary);
        let setting = format!("primary_conninfo = {}\n", quoted(&primary.connection));
        home.write("standby.signal", false, "")?;
        home.write("postgresql.auto.conf", true, &setting)?;
        Ok(Self { server: Server::launch(home, password)?, primary })
    }

    /// Makes it a primary, and waits until it is.
    pub fn promote(&self) -> Result<()> {
        let promoted: bool = self.client()?.query_one("SELECT pg_promote()", &[])?.get(0);
        ensure!(promoted, "The replica did not become a primary.");
        Ok(())
    }

    /// What it receives is not shown from now on.
    pub fn pause_replay(&self) -> Result<()> {
        let mut client = self.client()?;
        client.batch_execute("SELECT pg_wal_replay_pause()")?;
        let paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'";
        self.wait_until("the replay to pause", paused)
    }

    /// Shows what was held back, and what comes.
    pub fn resume_replay(&self) -> Result<()> {
        Ok(self.client()?.batch_execute("SELECT pg_wal_replay_resume()")?)
    }

    /// Cuts it off from the primary: it goes on with the rows it has, and tries to reach the primary in vain.
    pub fn cut_off(&self) -> Result<()> {
        let nowhere = self.home().path().join("nowhere");
        self.connect_to(&format!("host='{}'", nowhere.display()))?;
        let alone = "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)";
        self.wait_until("the replica to be cut off", alone)
    }

    /// Lets it reach the primary again that it was made from, and waits until it does.
    pub fn join(&self) -> Result<()> {
        self.receive_from(&self.primary)
    }

    /// Makes it the replica of another one's rows: of a replica that was promoted, or of a replica.
    pub fn follow(&self, other: &Server) -> Result<()> {
        self.receive_from(&Source::of(other))
    }

    /// Waits until it shows all that was committed at `other` before.
    pub fn wait_until_level_with(&self, other: &Server) -> Result<()> {
        let position = "SELECT pg_current_wal_flush_lsn()::text";
        let position: String = other.client()?.query_one(position, &[])?.get(0);
        let level = format!("SELECT coalesce(pg_last_wal_replay_lsn() >= '{position}', false)");
        self.wait_until("the replica to be level", &level)
    }

    fn receive_from(&self, source: &Source) -> Result<()> {
        self.connect_to(&source.connection)?;
        let from = format!("WHERE status = 'streaming' AND sender_port = {}", source.port);
        let streams = format!("SELECT EXISTS (SELECT FROM pg_stat_wal_receiver {from})");
        self.wait_until("the replica to stream", &streams)
    }

    fn connect_to(&self, primary: &str) -> Result<()> {
        let mut client = self.client()?;
        // Each on its own: together they would be a transaction, which the first refuses.
        client
            .batch_execute(&format!("ALTER SYSTEM SET primary_conninfo = {}", quoted(primary)))?;
        Ok(client.batch_execute("SELECT pg_reload_conf()")?)
    }

    fn wait_until(&self, what: &str, question: &str) -> Result<()> {
        let mut client = self.client()?;
        wait_for(what, PATIENCE, || match client.query_one(question, &[]) {
            Ok(row) => row.get::<_, bool>(0).then_some(Ok(())),
            Err(error) => Some(Err(error).with_context(|| format!("waiting for {what}"))),
        })?
    }
}

impl Deref for Replica {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

// === impl Source ===

impl Source {
    fn of(server: &Server) -> Self {
        let (socket, port) = (server.home().path().display(), server.address().port());
        Self { connection: format!("user=postgres host='{socket}' port={port}"), port }
    }
}

/// A literal of SQL, and of a configuration.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
