//! `cargo xtask bench`.

use std::process::ExitCode;

use bench::{command_line::CommandLine, report};
use clap::Parser;

fn main() -> ExitCode {
    let CommandLine { parts, options } = CommandLine::parse();
    match report::run(&options, &parts) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error}");
            ExitCode::FAILURE
        }
    }
}
