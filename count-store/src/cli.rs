//! The arguments, and the help a person reads.

use std::path::PathBuf;
use std::str::FromStr;

use backup_sharing_count::values::ProjectId;
use clap::{Args, Parser, Subcommand};

/// Counts backup sharings in an SQLite database.
///
/// `load` fills the database from a file; `serve` answers
/// GET /v2/{project_id}/os-vendor-backup-sharing/count from it.
#[derive(Parser)]
#[command(version)]
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
/// database can be read, else 503. On SIGTERM or SIGINT, requests in flight
/// are answered before the program ends.
#[derive(Args)]
pub struct Serve {
    /// The SQLite file that `count-store load` made
    #[arg(long, value_name = "FILE")]
    pub database: PathBuf,
    /// Where to listen, such as 127.0.0.1:8080; port 0 takes any free port
    #[arg(long, value_name = "ADDR")]
    pub listen: String,
    /// Let TOKEN in x-auth-token ask about PROJECT; may be repeated
    ///
    /// With at least one of these, a request without a known token is answered
    /// 401, and one for the project of another token 403. Without any,
    /// everybody may ask about every project.
    #[arg(long, value_name = "TOKEN=PROJECT")]
    pub token: Vec<Token>,
}

/// Add the rows of a file to the database, all of them or none
///
/// The columns are id, backup_id, from_project_id, to_project_id, name,
/// status, volume_id and availability_zone, in any order. A .csv file begins
/// with a line of their names; a .json file is an array of objects. Only name
/// and availability_zone may be empty. The first bad row stops the load, and
/// nothing of the file is kept. `serve` may go on meanwhile: it counts the old
/// rows until the load is complete.
#[derive(Args)]
pub struct Load {
    /// The SQLite file; made if it does not exist
    #[arg(long, value_name = "FILE")]
    pub database: PathBuf,
    /// The rows: a .csv or .json file
    #[arg(value_name = "SHARINGS")]
    pub sharings: PathBuf,
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
        if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("expected a token of printable ASCII without spaces before the =");
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
        for bad in ["", "p1", "=p1", "a b=p1", "é=p1", "t=", "t=p.1"] {
            assert!(bad.parse::<Token>().is_err(), "{bad}");
        }
    }
}
