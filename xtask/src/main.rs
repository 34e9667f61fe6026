//! The tasks of a developer: `cargo demo`, and `cargo xtask` for all others.

mod bench;
mod demo;
mod dist;
mod fuzz;
mod reliability;
mod tools;

use std::process::ExitCode;

use clap::Parser;

/// Developer tasks
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    Bench(bench::Options),
    Demo(demo::Options),
    Dist(dist::Options),
    Fuzz(fuzz::Options),
    Reliability(reliability::Options),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Bench(options) => bench::run(&options),
        Task::Demo(options) => demo::run(&options),
        Task::Dist(options) => dist::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Reliability(options) => reliability::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error}");
            ExitCode::FAILURE
        }
    }
}
