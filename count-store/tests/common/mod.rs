//! The real program, run by a test.

// Each test program uses its own part of this.
#![allow(dead_code)]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use testkit::http::{self, Response};
use testkit::wait_for;

pub const HEADER: &str =
    "id,backup_id,from_project_id,to_project_id,name,status,volume_id,availability_zone\n";

/// Ten times the longest that the server waits for anybody.
pub const LONG: Duration = Duration::from_secs(100);

/// The path that counts what `p1` shares.
pub const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";

/// The columns, as sentences name them.
pub const COLUMNS: &str = "id, backup_id, from_project_id, to_project_id, name, status, volume_id, \
                       availability_zone";

/// All rows of a database, as CSV.
pub fn rows(folder: &Folder) -> Vec<String> {
    let database = Connection::open(folder.database()).unwrap();
    let query = format!("SELECT {} FROM backup_sharing", COLUMNS.replace(", ", "||','||"));
    let mut query = database.prepare(&query).unwrap();
    let rows = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|row| row.unwrap() + "\n").collect()
}

/// The program, ready for arguments.
pub fn count_store() -> Command {
    Command::new(env!("CARGO_BIN_EXE_count-store"))
}

/// The `number`th UUID.
pub fn uuid(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// A CSV line of a backup that `p1` shares to `p2`.
pub fn line(number: u32) -> String {
    let uuid = uuid(number);
    format!("{uuid},{uuid},p1,p2,backup {number},available,{uuid},eu-de-01\n")
}

/// The whole CSV file of rows `from..to`.
pub fn csv(from: u32, to: u32) -> String {
    (from..to).fold(HEADER.to_owned(), |csv, number| csv + &line(number))
}

/// A folder with a database in it, or not yet.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    /// A folder whose database has the first rows of [`csv`].
    pub fn with_rows(count: u32) -> Folder {
        let folder = Folder::new();
        folder.fill(&csv(0, count));
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn database(&self) -> PathBuf {
        self.path("count.db")
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The command that loads a file.
    pub fn loading(&self, sharings: &Path) -> Command {
        let mut command = count_store();
        command.arg("load").arg("--database").arg(self.database()).arg(sharings);
        command
    }

    /// Writes a file and loads it.
    pub fn load(&self, name: &str, content: impl AsRef<[u8]>) -> Output {
        self.loading(&self.write(name, content)).output().unwrap()
    }

    /// Loads a CSV file that is good.
    pub fn fill(&self, csv: &str) {
        let output = self.load("good.csv", csv);
        assert!(output.status.success(), "{}", said(&output));
    }

    /// Starts a server on any free port.
    pub fn serve(&self, arguments: &[&str]) -> Server {
        let mut command = self.serving();
        command.args(arguments);
        Server::start(command)
    }

    /// The command that serves on any free port.
    pub fn serving(&self) -> Command {
        let mut command = count_store();
        command.arg("serve").arg("--database").arg(self.database());
        command.args(["--listen", "127.0.0.1:0"]);
        command
    }
}

/// What a finished program said on standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Sends a signal to a program that runs.
pub fn signal(child: &Child, name: &str) {
    let kill = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}

/// A running server; killed when dropped.
pub struct Server {
    pub address: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts a command that serves, and waits until it listens.
    pub fn start(mut command: Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on ").expect("the server says where it is");
        Server { address: address.trim().parse().unwrap(), child }
    }

    pub fn get(&self, target: impl AsRef<[u8]>, headers: &[(&str, &[u8])]) -> Response {
        http::request(self.address, "GET", target, headers).unwrap()
    }

    /// What `p1` shares.
    pub fn count(&self) -> u64 {
        count_in(&self.get(PATH, &[]))
    }

    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Closes the other end of its standard error.
    pub fn stop_listening(&mut self) {
        drop(self.child.stderr.take());
    }

    /// Waits for the end: how it ended, and what was said on standard error.
    pub fn end(mut self) -> (ExitStatus, String) {
        let ended = || self.child.try_wait().unwrap();
        let status = wait_for("the server to end", LONG, ended).unwrap();
        let stderr = std::io::read_to_string(self.child.stderr.take().unwrap()).unwrap();
        (status, stderr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number in a 200, whose body is exact.
pub fn count_in(response: &Response) -> u64 {
    let body = response.text();
    assert_eq!(response.status, 200, "{body}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    let number = body.strip_prefix("{\"count\":").and_then(|rest| rest.strip_suffix('}'));
    number.expect(&body).parse().unwrap()
}
