//! `cargo xtask bench`.

use std::process::ExitCode;

use bench::{Options, parts::PARTS, report};
use clap::Parser;
use clap::builder::PossibleValuesParser;

/// Measure what the filter and the count store cost
///
/// All parts in full write docs/performance.md and docs/performance.json.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench")]
struct Command {
    /// Only these parts
    #[arg(value_name = "NAME", value_parser = names())]
    parts: Vec<String>,
    #[command(flatten)]
    options: Options,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(PARTS.iter().map(|part| part.name))
}

fn main() -> ExitCode {
    let Command { parts, options } = Command::parse();
    match report::run(&options, &parts) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error}");
            ExitCode::FAILURE
        }
    }
}
