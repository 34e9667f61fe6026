//! The arguments, and the help a person reads.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use backup_sharing_count::values::{ProjectId, StatusWord};
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use crate::columns::{COLUMNS, names};
use crate::limits;
use crate::postgres::{self, Choices, Url, is_url};

/// Counts backup sharings in an SQLite file or in PostgreSQL.
///
/// `load` fills the database from a file; `serve` answers
/// GET /v2/{project_id}/os-vendor-backup-sharing/count from it.
#[derive(Parser)]
#[command(version, after_long_help = example())]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    Serve(Serve),
    Load(Load),
}

/// Answer the call over HTTP/1.1 until SIGTERM or SIGINT
///
/// Prints `listening on ADDR` when ready. GET /healthz answers 200 while the
/// database can be read, else 503. The database is never written to.
#[derive(Args)]
#[command(after_long_help = limits::text())]
pub struct Serve {
    #[command(flatten)]
    pub database: Where,
    /// Where to listen, such as 127.0.0.1:8080; :8080 is every local
    /// address, and port 0 any free port
    #[arg(long, value_name = "ADDR")]
    pub listen: String,
    /// Where Prometheus may ask GET /metrics, such as 127.0.0.1:9102 [default: nowhere]
    ///
    /// A second line, `metrics on ADDR`, says where that is. No token is asked for: let nobody
    /// else reach it.
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<String>,
    /// Tokens, one TOKEN=PROJECT a line; empty lines and those that begin with # do not count
    ///
    /// A TOKEN in x-auth-token may ask about PROJECT. With tokens, a request
    /// without a known one is answered 401, and one for the project of another
    /// token 403. Without any, everybody may ask about every project. The
    /// variable COUNT_STORE_TOKENS holds tokens too, with spaces or line ends
    /// between them. What is given in several ways adds up.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// One more token; may be repeated. Every local user can see it in `ps`
    #[arg(long, value_name = "TOKEN=PROJECT")]
    pub token: Vec<String>,
    /// A status that requests may name; may be repeated, and replaces the documented ones
    #[arg(long, value_name = "WORD", value_parser = status)]
    pub status: Vec<StatusWord>,
    #[command(flatten, next_help_heading = "PostgreSQL only")]
    pub postgres: OfPostgres,
}

/// Which database.
#[derive(Args)]
pub struct Where {
    /// The SQLite file that `count-store load` makes, or PostgreSQL:
    /// postgres://USER@HOST:PORT,HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE
    ///
    /// The hosts are a primary and its standbys: `serve` asks each in turn and leaves one that fails within the same
    /// request, `load` takes the first that takes writes. The password comes from --password-file, else from the
    /// variable PGPASSWORD. sslmode is disable, prefer (if nothing is said), require, verify-ca or verify-full; with
    /// target_session_attrs=prefer-standby, a primary counts only when there is no standby.
    #[arg(long, value_name = "FILE|URL", value_parser = database())]
    pub database: Database,
    /// The first line of this file is PostgreSQL's password
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// What a database is.
#[derive(Clone, Debug)]
pub enum Database {
    /// Of SQLite.
    File(PathBuf),
    /// PostgreSQL's.
    Servers(Box<Url>),
}

/// What has no meaning to SQLite.
#[derive(Args)]
pub struct OfPostgres {
    /// A table or view with the columns of our own, in place of it
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// The most that a count may take (10ms to 1h); of several servers, one that is silent for a third of
    /// it is left. Should be less than the `store.timeout` of the filter [default: 900ms]
    #[arg(long, value_name = "TIME", value_parser = time::<10, 3_600_000>)]
    timeout: Option<Duration>,
    /// How far a server may be behind the others and be asked (1s to 1h) [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = time::<1_000, 3_600_000>)]
    max_lag: Option<Duration>,
    /// The most connections to each server that count (1 to 1000); two more ask how far and how well it is [default: 8]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: Option<u16>,
}

impl OfPostgres {
    /// Whether something was said.
    pub fn is_given(&self) -> bool {
        let OfPostgres { table, timeout, max_lag, connections } = self;
        table.is_some() || timeout.is_some() || max_lag.is_some() || connections.is_some()
    }

    /// What was said, and what holds if nothing was.
    pub fn choices(self) -> Choices {
        Choices {
            table: self.table.unwrap_or_else(|| postgres::TABLE.to_owned()),
            timeout: self.timeout.unwrap_or(Duration::from_millis(900)),
            max_lag: self.max_lag.unwrap_or(Duration::from_secs(10)),
            connections: self.connections.unwrap_or(8).into(),
        }
    }
}

/// A time between two, in ms.
fn time<const LEAST: u64, const MOST: u64>(text: &str) -> Result<Duration, String> {
    let between = Duration::from_millis(LEAST)..=Duration::from_millis(MOST);
    let time = humantime::parse_duration(text).ok().filter(|time| between.contains(time));
    time.ok_or_else(|| {
        let [least, most] = [between.start(), between.end()].map(|time| format!("{time:?}"));
        format!("expected a time such as 500ms or 5s, from {least} to {most}")
    })
}

fn status(word: &str) -> Result<StatusWord, &'static str> {
    StatusWord::parse(word).ok_or("expected a lower-case word")
}

/// Add the rows of a file to the database, all of them or none
///
/// A CSV file begins with a line of the columns' names, in any order; a JSON file
/// is an array of objects with the columns as members. The first bad row stops the
/// load, and nothing of the file is kept. `serve` may go on meanwhile: it counts the
/// old rows until the load is complete.
#[derive(Args)]
#[command(after_long_help = columns() + "\n\n" + &example())]
pub struct Load {
    #[command(flatten)]
    pub database: Where,
    /// The rows: a .csv or .json file, or - for either on standard input
    #[arg(value_name = "SHARINGS")]
    pub sharings: PathBuf,
}

/// What a file of rows holds.
fn columns() -> String {
    let optional = COLUMNS.iter().filter(|column| column.may_be_empty);
    let optional: Vec<&str> = optional.map(|column| column.name).collect();
    format!(
        "The columns: {}. Of these, {} may be empty (in JSON also null) or left out.",
        names(),
        optional.join(", ")
    )
}

/// Two rows that can be pasted into a shell, and what counts them.
fn example() -> String {
    const ROWS: &str = "\
id,backup_id,from_project_id,to_project_id,name,status,volume_id,availability_zone
4d3a6a1c-1a7f-4b1e-9a52-0c2f5a6b7c01,b5b7a0de-5f0c-4b7a-8d0e-6c1f2a3b4c01,p1,p2,db daily,available,0f1e2d3c-4b5a-4678-8796-a5b4c3d2e101,eu-de-01
4d3a6a1c-1a7f-4b1e-9a52-0c2f5a6b7c02,b5b7a0de-5f0c-4b7a-8d0e-6c1f2a3b4c02,p1,p3,,error,0f1e2d3c-4b5a-4678-8796-a5b4c3d2e102,";
    format!(
        "Example:\n\ncount-store load --database sharings.db - <<END\n{ROWS}\nEND\n\
         count-store serve --database sharings.db --listen 127.0.0.1:8080 &\n\
         curl 'http://127.0.0.1:8080/v2/p1/os-vendor-backup-sharing/count?status=available'"
    )
}

/// A URL of PostgreSQL, or the path of a file, and not a name that means something else to SQLite
/// (<https://sqlite.org/uri.html>, <https://sqlite.org/inmemorydb.html>).
fn database() -> impl TypedValueParser<Value = Database> {
    PathBufValueParser::new().try_map(|path| match path.as_os_str().as_encoded_bytes() {
        _ if path.to_str().is_some_and(is_url) => {
            path.to_str().unwrap_or_default().parse().map(Box::new).map(Database::Servers)
        }
        // Not repeated: it may have a password in it.
        bytes if bytes.windows(3).any(|three| three == b"://") || bytes.starts_with(b"host=") => {
            Err("expected the path of a file, or postgres://USER@HOST/DATABASE".to_owned())
        }
        [b':', ..] | [b'f', b'i', b'l', b'e', b':', ..] => Err(format!(
            "expected the path of a file, and this is no path to SQLite; ./{} is one",
            path.display()
        )),
        [.., b'/'] => Err("expected a file".to_owned()),
        _ if path.exists() && !path.is_file() => Err("expected a file".to_owned()),
        _ => Ok(Database::File(path)),
    })
}

/// Who may ask about what.
#[derive(Clone)]
pub struct Token {
    pub secret: String,
    pub project: ProjectId,
}

impl FromStr for Token {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Token, &'static str> {
        // The last one, for tokens in base64 end with `=` and project ids have none.
        let (secret, project) = text.rsplit_once('=').ok_or("expected TOKEN=PROJECT")?;
        let is_fit = |byte: u8| byte.is_ascii_graphic() && byte != b',';
        if secret.is_empty() || !secret.bytes().all(is_fit) {
            return Err(
                "expected a token of printable ASCII without spaces and commas before the =",
            );
        }
        let project = ProjectId::parse(project)
            .ok_or("expected a project id after the =: 1 to 64 of 0-9 A-Z a-z _ -")?;
        Ok(Token { secret: secret.to_owned(), project })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn tokens_may_hold_equals_signs() {
        let token: Token = "YQ===p1".parse().unwrap();
        assert_eq!((token.secret.as_str(), token.project.as_str()), ("YQ==", "p1"));
        for bad in ["", "p1", "=p1", "a b=p1", "a=p1,b=p1", "é=p1", "t=", "t=p.1"] {
            assert!(bad.parse::<Token>().is_err(), "{bad}");
        }
    }
}
