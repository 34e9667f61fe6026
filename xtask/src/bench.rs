//! `cargo xtask bench`: runs the package of that name.

use clap::Args;
use testkit::Result;

use crate::tools;

/// Measure what the filter and the count store cost
#[derive(Args)]
#[command(disable_help_flag = true)]
pub struct Options {
    /// See `cargo xtask bench --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs it.
pub fn run(options: &Options) -> Result<()> {
    tools::run("bench", &options.arguments)
}
