//! The real program, run by a test.

// Each test program uses its own part of this.
#![allow(dead_code)]

pub mod sizes;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use backup_sharing_count::filters::FilterRules;
use backup_sharing_count::request::{CountRequest, Validator};
use count_store::columns::{COLUMNS, Column, names};
use count_store::sql::Statement;
use count_store::sqlite;
use rusqlite::{Connection, params_from_iter};
use tempfile::TempDir;
use testkit::http::{self, Response};
use testkit::wait_for;

/// Ten times the longest that the server waits for a client.
pub const LONG: Duration = Duration::from_secs(100);

/// The path that counts what `p1` shares.
pub const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";

/// A view of PostgreSQL that sleeps for as long as each row's name says, in ms, if it is asked for the name.
pub const SLOW: &str = "CREATE FUNCTION slow(name text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN
        PERFORM pg_sleep(regexp_replace(name, 'backup ', '')::float / 1000); RETURN name; END $$;
    CREATE VIEW slow AS SELECT id, backup_id, from_project_id, to_project_id, slow(name) AS name, status,
        volume_id, availability_zone FROM backup_sharing";

/// Loads good rows into PostgreSQL.
pub fn fill(url: &str, rows: &str) {
    let folder = Folder::new();
    let output = loading(url, &folder.write("rows.csv", rows)).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

/// All rows of a database, as CSV.
pub fn rows(folder: &Folder) -> Vec<String> {
    let database = Connection::open(folder.database()).unwrap();
    let query = format!("SELECT {} FROM backup_sharing", names().replace(", ", "||','||"));
    let mut query = database.prepare(&query).unwrap();
    let rows = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|row| row.unwrap() + "\n").collect()
}

/// Adds a row, of which `value` tells each column.
pub fn insert(database: &Connection, value: impl Fn(&str) -> String) {
    let values = COLUMNS.each_ref().map(|column| value(column.name));
    let places = values.each_ref().map(|_| "?").join(", ");
    let insert = format!("INSERT INTO backup_sharing VALUES ({places})");
    database.prepare_cached(&insert).unwrap().execute(params_from_iter(values)).unwrap();
}

/// The statement of SQLite for a call that is valid.
pub fn statement(target: &str) -> Statement {
    sqlite::count(&request(target))
}

/// A call that is valid.
pub fn request(target: &str) -> CountRequest {
    let validator = Validator::new(FilterRules::default()).unwrap();
    let located = validator.locate(target.as_bytes()).unwrap();
    let request = validator.check(located, [(&b":method"[..], &b"GET"[..])].into_iter());
    request.map_err(|reply| reply.body).unwrap()
}

/// The program, ready for arguments.
pub fn count_store() -> Command {
    Command::new(env!("CARGO_BIN_EXE_count-store"))
}

/// The command that loads a file into a database.
pub fn loading(database: impl AsRef<OsStr>, sharings: &Path) -> Command {
    let mut command = count_store();
    command.args(["load", "--database"]).arg(database).arg(sharings);
    command
}

/// The command that serves a database on any free port.
pub fn serving(database: impl AsRef<OsStr>) -> Command {
    let mut command = count_store();
    command.args(["serve", "--listen", "127.0.0.1:0", "--database"]).arg(database);
    command
}

/// The `number`th UUID.
pub fn uuid(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// The value of a column in the `number`th backup that `p1` shares to `p2`.
fn value(column: &Column, number: u32) -> String {
    match column.name {
        "from_project_id" => "p1".to_owned(),
        "to_project_id" => "p2".to_owned(),
        "name" => format!("backup {number}"),
        "status" => "available".to_owned(),
        "availability_zone" => "eu-de-01".to_owned(),
        _ if column.may_be_empty => String::new(),
        _ => uuid(number),
    }
}

/// A CSV line of a backup that `p1` shares to `p2`.
pub fn line(number: u32) -> String {
    COLUMNS.each_ref().map(|column| value(column, number)).join(",") + "\n"
}

/// The same as a JSON object, in three lines.
pub fn object(number: u32) -> String {
    let members = COLUMNS.each_ref().map(|column| {
        let is_next = ["to_project_id", "volume_id"].contains(&column.name);
        let line = if is_next { "\n" } else { "" };
        format!("{line}\"{}\": \"{}\"", column.name, value(column, number))
    });
    format!("{{{}}}", members.join(", "))
}

/// The line that a CSV file begins with.
pub fn header() -> String {
    names().replace(", ", ",") + "\n"
}

/// The whole CSV file of rows `from..to`.
pub fn csv(from: u32, to: u32) -> String {
    (from..to).fold(header(), |csv, number| csv + &line(number))
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
        loading(self.database(), sharings)
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
        serving(self.database())
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
    /// Where its metrics are, with `--metrics`.
    pub metrics: Option<SocketAddr>,
    child: Child,
}

impl Server {
    /// Starts a command that serves, and waits until it listens.
    pub fn start(mut command: Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut says = |what| -> SocketAddr {
            let line = lines.next().unwrap().unwrap();
            line.strip_prefix(what).expect("the server says where it is").parse().unwrap()
        };
        let address = says("listening on ");
        let has_metrics = command.get_args().any(|argument| argument == "--metrics");
        let metrics = has_metrics.then(|| says("metrics on "));
        Server { address, metrics, child }
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
