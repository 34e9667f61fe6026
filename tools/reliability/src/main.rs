//! `cargo xtask reliability`.

use std::process::ExitCode;

use clap::Parser;
use reliability::command_line::CommandLine;
use reliability::{Scale, report};

fn main() -> ExitCode {
    let options = CommandLine::parse();
    let scale = if options.quick { Scale::Quick } else { Scale::Full };
    match report::run(scale, &options.experiments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error}");
            ExitCode::FAILURE
        }
    }
}
