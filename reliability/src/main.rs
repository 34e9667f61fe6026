//! `cargo xtask reliability`.

use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use reliability::experiments::EXPERIMENTS;
use reliability::{Scale, report};

/// Run the experiments that show how the filter bears what production does
///
/// All of them write docs/reliability.md and take about an hour.
#[derive(Parser)]
#[command(bin_name = "cargo xtask reliability")]
struct Options {
    /// Run the short form, as `cargo test` does; writes nothing
    #[arg(long)]
    quick: bool,
    /// Only these experiments
    #[arg(value_name = "NAME", value_parser = names())]
    experiments: Vec<String>,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(EXPERIMENTS.iter().map(|experiment| experiment.name))
}

fn main() -> ExitCode {
    let options = Options::parse();
    let scale = if options.quick { Scale::Quick } else { Scale::Full };
    match report::run(scale, &options.experiments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error}");
            ExitCode::FAILURE
        }
    }
}
