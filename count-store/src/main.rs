//! The reference count store: the documented call, answered from SQLite.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | the arguments |
//! | [`database`] | how the file is opened, to load and to read |
//! | [`load`] | from a file of sharings to rows |
//! | [`serve`] | from a request to a count |
//!
//! What a request or a value means is not decided here: both come from the
//! library that the filter is made of.

mod cli;
mod database;
mod error;
mod load;
mod serve;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Load(arguments) => load::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("count-store: {error}");
            ExitCode::FAILURE
        }
    }
}
