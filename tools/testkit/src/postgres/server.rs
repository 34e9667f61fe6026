//! One running PostgreSQL.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, anyhow, bail};
use postgres::{Client, Config, NoTls};

use super::Options;
use super::home::Home;
use super::processes;
use crate::ports::{self, DeadAddress};
use crate::{PATIENCE, Result, wait_for};

/// The user and the database that `initdb` makes.
const POSTGRES: &str = "postgres";

/// A PostgreSQL with data of its own. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    /// The postmaster, if it runs.
    process: Mutex<Option<Child>>,
    /// Nobody else is given the port, whether the server runs or not.
    port: DeadAddress,
    password: Option<String>,
    home: Home,
}

// === impl Server ===

impl Server {
    /// Starts one as it is by default. More choices: [`Server::options`].
    pub fn start() -> Result<Self> {
        Self::options().start()
    }

    /// Choices about how it runs.
    pub fn options() -> Options {
        Options::default()
    }

    /// Runs what is in the data folder.
    pub(super) fn launch(home: Home, password: Option<String>) -> Result<Self> {
        let port = ports::reserve()?;
        let server = Self { process: Mutex::default(), port, password, home };
        server.start_again()?;
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// `postgres://postgres@127.0.0.1:PORT/postgres`, with the password if there is one.
    pub fn url(&self) -> String {
        self.url_of(POSTGRES)
    }

    /// The same of another database.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{}@{}/{database}", self.user(), self.address())
    }

    /// What stands before the `@`.
    pub(super) fn user(&self) -> String {
        let password = self.password.as_ref().map(|password| format!(":{password}"));
        format!("{POSTGRES}{}", password.unwrap_or_default())
    }

    /// A client that needs neither password nor TLS: it comes by the server's socket. It blocks, and so panics in async code.
    pub fn client(&self) -> Result<Client> {
        self.client_of(POSTGRES)
    }

    /// The same of another database.
    pub fn client_of(&self, database: &str) -> Result<Client> {
        let mut config = Config::new();
        config.host_path(self.home.path()).port(self.address().port());
        config.user(POSTGRES).dbname(database).connect_timeout(PATIENCE);
        config.connect(NoTls).context("asking PostgreSQL")
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.home.log()
    }

    /// Its first process, the postmaster, for measuring it. The backends are that one's children.
    pub fn pid(&self) -> Result<u32> {
        self.process().as_ref().map(Child::id).context("PostgreSQL does not run.")
    }

    /// Ends it at once (SIGKILL), as if its machine had lost power: connections are reset or closed, its port refuses.
    /// Nothing, if it does not run.
    pub fn kill(&self) {
        if let Some(mut postmaster) = self.process().take() {
            processes::kill(&mut postmaster);
        }
    }

    /// Ends it in order: clients are told why, and replicas have got all there was.
    pub fn stop(&self) -> Result<()> {
        match self.process().take() {
            Some(mut postmaster) => processes::stop(&mut postmaster).inspect_err(|_| {
                processes::kill(&mut postmaster);
            }),
            None => Ok(()),
        }
    }

    /// Starts it at the same address with the same data, after [`Server::kill`] or [`Server::stop`].
    pub fn start_again(&self) -> Result<()> {
        let mut process = self.process();
        if process.is_some() {
            bail!("PostgreSQL runs already.");
        }
        let mut server = self.home.server()?;
        // Not in the configuration: a replica gets a copy of that.
        server.args(["-h", "127.0.0.1", "-p", &self.address().port().to_string()]);
        server.arg("-k").arg(self.home.path());
        // In a process group of its own: the terminal's Ctrl-C is for us, and we end it.
        let spawned = server.process_group(0).spawn().context("starting PostgreSQL")?;
        let postmaster = process.insert(spawned);
        let answers = || self.client().is_ok_and(|mut client| client.is_valid(PATIENCE).is_ok());
        let ready = wait_for("PostgreSQL to answer", PATIENCE, || match postmaster.try_wait() {
            Ok(None) => answers().then_some(Ok(())),
            left => Some(Err(anyhow!("PostgreSQL left before it was ready ({left:?})."))),
        });
        ready.flatten().map_err(|error| {
            process.take().iter_mut().for_each(processes::kill);
            anyhow!("{}\n{error}", self.log())
        })
    }

    /// [`Server::stop`] and [`Server::start_again`].
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.start_again()
    }

    /// Stops all its processes in their tracks (SIGSTOP): connections are accepted by the kernel and stay open, and nothing
    /// moves.
    pub fn pause(&self) -> Result<()> {
        self.with_process(processes::pause)
    }

    /// Lets them go on (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.with_process(processes::resume)
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    pub(super) fn password(&self) -> Option<String> {
        self.password.clone()
    }

    fn with_process(&self, act: impl Fn(&Child) -> Result<()>) -> Result<()> {
        act(self.process().as_ref().context("PostgreSQL does not run.")?)
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
