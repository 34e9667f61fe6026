//! `cargo xtask reliability`: runs the package of that name, which takes longer to compile than
//! a demo should.

use std::process::Command;

use clap::Args;
use testkit::{Error, Result};

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
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "run",
        "--quiet",
        "--locked",
        "--profile",
        "tools",
        "--package",
        "reliability",
        "--",
    ]);
    let status = command.args(&options.arguments).status();
    match status.map_err(Error::while_doing("run cargo"))? {
        status if status.success() => Ok(()),
        status => Err(Error::new(format!("The experiments failed ({status})."))),
    }
}
