//! Packages that measure. They are optimised, and take longer to compile than a demo should, so
//! they are no dependencies of this one.

use std::process::Command;

use testkit::{Error, Result};

/// Runs a package of the workspace in the profile `tools`.
pub fn run(package: &str, arguments: &[String]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--locked", "--profile", "tools", "--package", package, "--"]);
    let status = command.args(arguments).status();
    match status.map_err(Error::while_doing("run cargo"))? {
        status if status.success() => Ok(()),
        status => Err(Error::new(format!("`{package}` failed ({status})."))),
    }
}
