//! Every experiment in its quick form, one after the other: they measure, so they want the machine for themselves.
//! But for those of `docs/performance.md`: they need oha and valgrind, which a test does not install. What their figures
//! rest on has tests of its own (`edge/testbed.rs`, `edge/lua_cases.rs`, `store/mod.rs`).

#![cfg(test)]

use std::process::Command;

use lab::command_line::NAMES;

#[test]
fn every_experiment_passes() {
    // The program, not the library: an experiment may run others with another module.
    let needs_more = |name: &&str| ["edge", "instructions", "envoy", "store"].contains(name);
    let names = NAMES.into_iter().filter(|name| !needs_more(name));
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
    let status = lab.arg("--quick").args(names).status().unwrap();
    assert!(status.success(), "it says why above");
}
