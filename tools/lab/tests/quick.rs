//! Every experiment in its quick form, one after the other: they measure, so they want the machine for themselves.

#![cfg(test)]

use std::process::Command;

#[test]
fn every_experiment_passes() {
    // The program, not the library: an experiment may run others with another module.
    let status = Command::new(env!("CARGO_BIN_EXE_lab")).arg("--quick").status().unwrap();
    assert!(status.success(), "it says why above");
}
