//! What is asked of a task that compiles for minutes is answered at once if it can be.

#![cfg(test)]

use std::process::{Command, Output};

/// A task on a machine where nothing can be built.
fn task(arguments: &[&str]) -> Output {
    let mut task = Command::new(env!("CARGO_BIN_EXE_xtask"));
    task.args(arguments).env("CARGO", "no/such/cargo").output().unwrap()
}

#[test]
fn help_builds_nothing() {
    for (name, words) in [("bench", "edge, instructions"), ("reliability", "vm, fuzz")] {
        let output = task(&[name, "--help"]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(words), "{said}");
    }
}

#[test]
fn a_wrong_name_is_refused_before_anything_is_built() {
    for name in ["bench", "reliability"] {
        let output = task(&[name, "nothing"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("possible values"), "{said}");
    }
}
