//! The tasks of a developer: `cargo demo`, and `cargo xtask` for all others.

mod demo;

use std::process::ExitCode;

use clap::Parser;

/// Developer tasks
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    Demo(demo::Options),
}

fn main() -> ExitCode {
    let Task::Demo(options) = Task::parse();
    match demo::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error}");
            ExitCode::FAILURE
        }
    }
}
