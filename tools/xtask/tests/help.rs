//! What is asked of a task that compiles for minutes is answered at once if it can be.

#![cfg(test)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

/// A task on a machine where nothing can be built.
fn task(arguments: &[&str]) -> Output {
    let mut task = Command::new(env!("CARGO_BIN_EXE_xtask"));
    task.args(arguments).env("CARGO", "no/such/cargo").output().unwrap()
}

#[test]
fn help_builds_nothing() {
    let output = task(&["lab", "--help"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("wasm_host, fuzzing"), "{said}");
}

#[test]
fn a_wrong_name_is_refused_before_anything_is_built() {
    let output = task(&["lab", "nothing"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("possible values"), "{said}");
}

#[test]
fn arguments_reach_the_package_as_they_are_and_its_build_is_announced() {
    let folder = tempfile::tempdir().unwrap();
    let cargo = folder.path().join("cargo");
    fs::write(&cargo, "#!/bin/sh\necho \"$@\"\n").unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let mut task = Command::new(env!("CARGO_BIN_EXE_xtask"));
    task.args(["lab", "--rounds", "3", "cost"]).env("CARGO", cargo);
    let output = task.env("FILTER_MODULE", "given.wasm").output().unwrap();
    let cargo_was_told = String::from_utf8_lossy(&output.stdout);
    assert!(cargo_was_told.ends_with(" -- --rounds 3 cost\n"), "{cargo_was_told}");
    assert!(!cargo_was_told.contains("--quiet"), "{cargo_was_told}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Building `lab`"), "{said}");
}
