//! `cargo xtask lab`. The package `lab` is optimised, and takes longer to compile than a demo should, so it is no
//! dependency of this one. What it measures is the module that `cargo xtask dist` makes.

#[path = "../../lab/src/command_line.rs"]
#[allow(dead_code, reason = "lab reads it; here it is only checked")]
mod command_line;

use std::process::Command;

use anyhow::{Context, anyhow};
use testkit::Result;
use testkit::workspace::FILTER_MODULE;

use crate::dist;

pub use command_line::CommandLine;

/// Runs the lab with the arguments of this program's task, and with the module that `FILTER_MODULE` names if it does.
pub fn run() -> Result<()> {
    let module = match std::env::var_os(FILTER_MODULE) {
        Some(module) => module,
        None => {
            eprintln!("Building the filter …");
            dist::build(&dist::Options::default())?.join(dist::MODULE).into()
        }
    };
    eprintln!("Building `lab`, optimised; the first time takes minutes …");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--locked", "--profile", "tools", "--package", "lab", "--"]);
    // Behind this program's name and the task's.
    let status = command.args(std::env::args_os().skip(2)).env(FILTER_MODULE, module).status();
    match status.context("running cargo")? {
        status if status.success() => Ok(()),
        status => Err(anyhow!("`lab` failed ({status}).")),
    }
}
