//! `cargo xtask reliability`: runs the package of that name.

use clap::Args;
use testkit::Result;

use crate::tools;

/// Run the experiments that show how the filter bears what production does
#[derive(Args)]
#[command(disable_help_flag = true)]
pub struct Options {
    /// See `cargo xtask reliability --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs it.
pub fn run(options: &Options) -> Result<()> {
    tools::run("reliability", &options.arguments)
}
