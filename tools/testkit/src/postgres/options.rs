//! Choices about how a server runs.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Server;
use super::home::{Home, place};
use super::provision::programs;
use crate::Result;

/// For tests: nothing survives the machine, but a killed server's data do (the operating system has them). Shared memory is
/// a file in the data folder, so that none stays behind. A replica looks for its primary often, and finds there what was
/// written since it was copied or cut off.
const SETTINGS: &str = "
fsync = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 200
dynamic_shared_memory_type = mmap
wal_keep_size = 1GB
wal_retrieve_retry_interval = 100ms
";

/// The encoding and locale, unless others are chosen: they are everywhere.
const INITDB: [&str; 2] = ["--encoding=UTF8", "--no-locale"];

/// Choices about how a server runs; [`Options::start`] ends them.
#[derive(Clone, Debug, Default)]
pub struct Options {
    settings: String,
    initdb: Vec<String>,
    tls: Option<(String, String)>,
    password: Option<String>,
    sql: Vec<String>,
    programs: Option<PathBuf>,
    on_disk: bool,
}

// === impl Options ===

impl Options {
    /// A line of `postgresql.conf`, such as `fsync = on`. It wins over what tests have by default.
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.push_str(line);
        self.settings.push('\n');
        self
    }

    /// An argument of `initdb`, such as `--encoding=LATIN1`, `--locale=C.UTF-8`, or with a PostgreSQL that has ICU
    /// `--locale-provider=icu`. By default UTF-8 and the locale `C`.
    pub fn initdb(mut self, argument: &str) -> Self {
        self.initdb.push(argument.to_owned());
        self
    }

    /// TLS with this certificate and key, both PEM. Connections by TCP without it are refused.
    pub fn tls(mut self, certificate: &str, key: &str) -> Self {
        self.tls = Some((certificate.to_owned(), key.to_owned()));
        self
    }

    /// The password of the user `postgres`, asked for by TCP (SCRAM-SHA-256); without it everybody is let in. It stands in
    /// [`Server::url`], so it is of characters that need no escape there.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// What the user `postgres` says to the database `postgres` first. Each call is a transaction of its own.
    pub fn sql(mut self, sql: &str) -> Self {
        self.sql.push(sql.to_owned());
        self
    }

    /// The folder with PostgreSQL's programs, for tests of several.
    pub fn programs(mut self, folder: &Path) -> Self {
        self.programs = Some(folder.to_owned());
        self
    }

    /// Keeps its data where temporary folders are, though memory has room for them: for much data, and for measurements.
    pub fn on_disk(mut self) -> Self {
        self.on_disk = true;
        self
    }

    /// Starts it on a free port of 127.0.0.1, and waits until it answers a query.
    pub fn start(self) -> Result<Server> {
        let programs = match &self.programs {
            Some(named) => named.clone(),
            None => programs()?,
        };
        let place = if self.on_disk { env::temp_dir() } else { place() };
        let home = Home::new(&programs, &place)?;
        let mut initdb = vec!["-D", "data", "--username=postgres", "--auth=trust", "--no-sync"];
        initdb.extend(INITDB);
        // The last one of a kind wins.
        initdb.extend(self.initdb.iter().map(String::as_str));
        home.run("initdb", &initdb).context("making a database cluster")?;
        home.write("postgresql.conf", true, &format!("{SETTINGS}{}", self.settings))?;
        if let Some((certificate, key)) = &self.tls {
            home.write("server.crt", false, certificate)?;
            home.write("server.key", false, key)?;
            home.write("postgresql.conf", true, "ssl = on\n")?;
        }
        home.write("pg_hba.conf", false, &self.host_based_authentication())?;
        let server = Server::launch(home, self.password.clone())?;
        let mut client = server.client()?;
        if let Some(password) = self.password {
            let quoted = password.replace('\'', "''");
            client.batch_execute(&format!("ALTER USER postgres PASSWORD '{quoted}'"))?;
        }
        for sql in &self.sql {
            client.batch_execute(sql).with_context(|| format!("running {sql}"))?;
        }
        Ok(server)
    }

    /// Who may come in, and how. By the socket, which only our servers and clients can reach, everybody.
    fn host_based_authentication(&self) -> String {
        let connection = if self.tls.is_some() { "hostssl" } else { "host" };
        let method = if self.password.is_some() { "scram-sha-256" } else { "trust" };
        let mut lines = String::new();
        for database in ["all", "replication"] {
            lines += &format!("local {database} all trust\n");
            lines += &format!("{connection} {database} all 127.0.0.1/32 {method}\n");
        }
        lines
    }
}
