//! The reference count store: the documented call, answered from SQLite or PostgreSQL.
//!
//! | module | holds |
//! |---|---|
//! | `cli` | the arguments |
//! | [`columns`] | the one list of columns |
//! | [`sql`] | what a call means to a database |
//! | `engine` | what the rest knows of a database |
//! | [`sqlite`] | an SQLite file |
//! | [`postgres`] | PostgreSQL, one server or several |
//! | `load` | from a file of sharings to rows |
//! | `serve` | from a request to a count |
//! | `limits` | how many connections, how much, how long |
//!
//! What a request or a value means is not decided here: both come from the
//! library that the filter is made of. It is a library for its tests and
//! the lab, which count without the service.

#![deny(missing_docs, clippy::print_stderr, clippy::print_stdout)]

mod cli;
pub mod columns;
mod engine;
mod error;
mod limits;
mod load;
pub mod postgres;
mod say;
mod serve;
mod signals;
pub mod sql;
pub mod sqlite;
mod stop;

use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, Error};

use cli::{Cli, Command};

/// What the program does: reads its arguments, does as they say, and reports a
/// failure as a sentence on standard error.
pub fn main() -> ExitCode {
    let outcome = match Cli::try_parse().unwrap_or_else(|error| discreet(error).exit()).command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Load(arguments) => load::run(arguments),
    };
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::say(error);
            ExitCode::FAILURE
        }
    };
    say::end();
    code
}

/// An error repeats the value that is wrong, and a URL may have a password in it.
fn discreet(mut error: Error) -> Error {
    let is_secret =
        |value: &ContextValue| ["://", "host="].iter().any(|it| value.to_string().contains(it));
    if error.get(ContextKind::InvalidValue).is_some_and(is_secret) {
        let hidden = ContextValue::String("postgres://...".to_owned());
        error.insert(ContextKind::InvalidValue, hidden);
    }
    error
}
