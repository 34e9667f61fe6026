//! Packages that measure. They are optimised, and take longer to compile than a demo should, so
//! they are no dependencies of this one. What they measure is the module that is handed out.

use std::process::Command;

use anyhow::{Context, anyhow};
use testkit::Result;
use testkit::workspace::FILTER_MODULE;

use crate::dist;

/// Runs a package of the workspace in the profile `tools`, with the arguments of this program's task and the module that
/// `cargo xtask dist` makes unless `FILTER_MODULE` names another.
pub fn run(package: &str) -> Result<()> {
    let module = match std::env::var_os(FILTER_MODULE) {
        Some(module) => module,
        None => {
            eprintln!("Building the filter …");
            dist::build(&dist::folder())?.module.into()
        }
    };
    eprintln!("Building `{package}`, optimised; the first time takes minutes …");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--locked", "--profile", "tools", "--package", package, "--"]);
    // Behind this program's name and the task's.
    let status = command.args(std::env::args_os().skip(2)).env(FILTER_MODULE, module).status();
    match status.context("running cargo")? {
        status if status.success() => Ok(()),
        status => Err(anyhow!("`{package}` failed ({status}).")),
    }
}
