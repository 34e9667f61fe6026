//! What `cargo xtask bench` takes. xtask includes this file, so that help and a wrong argument are answered before anything is
//! built: clap is all it may use.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::PossibleValuesParser;

/// The names of the parts, in the order of the report.
pub const NAMES: [&str; 5] = ["edge", "instructions", "envoy", "store", "capacity"];

/// Measure what the filter and the count store cost
///
/// All parts in full write docs/performance.md and docs/performance.json.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench")]
pub struct CommandLine {
    /// Only these parts
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(NAMES))]
    pub parts: Vec<String>,
    #[command(flatten)]
    pub options: Options,
}

/// What is measured, and how long. All of it by default; less of it is a quick look, which is
/// printed and not kept.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// The short form: to see that it works, not to see figures
    #[arg(long)]
    pub quick: bool,
    /// Rounds of each [default: 40 of a case; 2 counts in `instructions`]
    #[arg(long)]
    pub rounds: Option<usize>,
    /// Seconds for each contender in each round [default: 0.2 in `edge`]
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Only this case of `edge` and `instructions`, as `count`, or `count/40` with 40 headers alone; may be repeated
    #[arg(long = "case", value_name = "NAME")]
    pub cases: Vec<String>,
    /// Only this contender of the same, or this build; may be repeated
    #[arg(long = "contender", value_name = "NAME")]
    pub contenders: Vec<String>,
    /// Another build of the filter, beside the one that is handed out; may be repeated
    #[arg(long = "build", value_name = "NAME=MODULE", value_parser = build)]
    pub builds: Vec<(String, PathBuf)>,
}

fn build(argument: &str) -> std::result::Result<(String, PathBuf), &'static str> {
    let (name, module) = argument.split_once('=').ok_or("expected NAME=MODULE")?;
    Ok((name.to_owned(), PathBuf::from(module)))
}
