//! What `cargo xtask reliability` takes. xtask includes this file, so that help and a wrong argument are answered before anything
//! is built: clap is all it may use.

use clap::Parser;
use clap::builder::PossibleValuesParser;

/// The names of the experiments, in the order of the report.
pub const NAMES: [&str; 8] =
    ["vm", "fuzz", "outsiders", "faults", "overload", "versions", "soak", "instruments"];

/// Run the experiments that show how the filter bears what production does
///
/// All of them write docs/reliability.md and take about an hour.
#[derive(Parser)]
#[command(bin_name = "cargo xtask reliability")]
pub struct CommandLine {
    /// Run the short form, as `cargo test` does; writes nothing
    #[arg(long)]
    pub quick: bool,
    /// Only these experiments
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(NAMES))]
    pub experiments: Vec<String>,
}
