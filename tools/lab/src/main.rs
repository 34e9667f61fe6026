//! `cargo xtask lab`.

use std::process::ExitCode;

use clap::Parser;
use lab::command_line::CommandLine;
use lab::{pages, run};

fn main() -> ExitCode {
    let CommandLine { names, render, options } = CommandLine::parse();
    let done = if render { pages::write() } else { run::run(&options, &names) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}
