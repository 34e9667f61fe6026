//! The tasks of a developer: `cargo demo`, and `cargo xtask` for all others.

mod check_config;
mod demo;
mod dist;
mod fuzz;
mod lab;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use testkit::Result;

/// Developer tasks
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    CheckConfig(check_config::Options),
    Demo(demo::Options),
    Dist(dist::Options),
    Fuzz(fuzz::Options),
    Lab(lab::CommandLine),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::CheckConfig(options) => return check_config::run(&options),
        Task::Demo(options) => return code(demo::run(&options)),
        Task::Dist(options) => dist::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Lab(_) => lab::run(),
    };
    code(done.map(|()| ExitCode::SUCCESS))
}

fn code(done: Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        say(&format!("\n{error:#}"));
        ExitCode::FAILURE
    })
}

/// On standard error, if anybody reads it.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
