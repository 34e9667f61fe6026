//! The experiments in their quick form, one after the other: they measure, so they want the machine for themselves.
//! Those that need programs which a test does not install (oha, valgrind, cargo-fuzz) are left out: `.ci/run` fuzzes, and
//! what the figures of the others rest on has tests of its own (`cost/testbed.rs`, `cost/lua_cases.rs`, `store/mod.rs`).

#![cfg(test)]

use std::process::Command;

use lab::command_line::NAMES;

#[test]
fn every_experiment_passes() {
    // The program, not the library: an experiment may run others with another module.
    const NEED_MORE: [&str; 5] = ["fuzzing", "cost", "instructions", "startup_memory", "store"];
    let names = NAMES.into_iter().filter(|name| !NEED_MORE.contains(name));
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
    let status = lab.arg("--quick").args(names).status().unwrap();
    assert!(status.success(), "it says why above");
}
