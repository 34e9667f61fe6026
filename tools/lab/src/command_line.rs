//! What `cargo xtask lab` takes. xtask includes this file, so that help and a wrong argument are answered before
//! anything is built: clap is all it may use.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::PossibleValuesParser;

/// The names of the experiments, in the order of the pages.
pub const NAMES: [&str; 14] = [
    "wasm_host", "fuzzing", "clients", "faults", "overload", "replicas", "versions", "soak",
    "planted", "cost", "instructions", "callouts", "startup_memory", "store",
];

/// Run experiments: what the filter bears, and what it and the count store cost
///
/// In full they keep what they measured in tools/lab/results and write docs/reliability.md, performance.md and capacity.md.
/// All of them take hours. Anything shorter is printed and not kept.
#[derive(Parser)]
#[command(bin_name = "cargo xtask lab")]
pub struct CommandLine {
    /// Only these experiments
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(NAMES))]
    pub names: Vec<String>,
    /// Run nothing: write the pages again from the results that are kept
    #[arg(long)]
    pub render: bool,
    #[command(flatten)]
    pub options: Options,
}

/// How much of an experiment is run: all of it by default.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// The short form: to see that it works, not to see figures
    #[arg(long)]
    pub quick: bool,
    /// Rounds of each measurement
    #[arg(long)]
    pub rounds: Option<usize>,
    /// Seconds for each contender in each round
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Only this case of `cost` and `instructions`, as `count`, or `count/40` with 40 headers alone; may be repeated
    #[arg(long = "case", value_name = "NAME")]
    pub cases: Vec<String>,
    /// Only this contender of the same, or this build; may be repeated
    #[arg(long = "contender", value_name = "NAME")]
    pub contenders: Vec<String>,
    /// Another build of the filter, beside the one that is handed out; may be repeated
    #[arg(long = "build", value_name = "NAME=MODULE", value_parser = build)]
    pub builds: Vec<(String, PathBuf)>,
    /// Only this table of `store`, as `10^5` rows; may be repeated
    #[arg(long = "table", value_name = "ROWS")]
    pub tables: Vec<String>,
}

fn build(argument: &str) -> Result<(String, PathBuf), &'static str> {
    let (name, module) = argument.split_once('=').ok_or("expected NAME=MODULE")?;
    Ok((name.to_owned(), PathBuf::from(module)))
}
