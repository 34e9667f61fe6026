//! The experiments in their quick form, as many at once as there are cores: it judges no times, and much of it is waiting.
//! Those that need programs which a test does not install (oha, valgrind, cargo-fuzz) are left out: `.ci/run` fuzzes, and
//! what the figures of the others rest on has tests of its own (`cost/testbed.rs`, `cost/lua_cases.rs`, `store/mod.rs`).

#![cfg(test)]

use std::process::Command;
use std::sync::Mutex;
use std::thread::{self, available_parallelism};

use lab::command_line::NAMES;

#[test]
fn every_experiment_passes() {
    const NEED_MORE: [&str; 5] = ["fuzzing", "cost", "instructions", "startup_memory", "store"];
    let names = Mutex::new(NAMES.into_iter().filter(|name| !NEED_MORE.contains(name)));
    let next = || names.lock().unwrap().next();
    let run = || {
        let mut failures = Vec::new();
        while let Some(name) = next() {
            // The program, not the library: an experiment may run others with another module.
            let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
            let output = lab.args(["--quick", name]).output().unwrap();
            println!("{}", String::from_utf8_lossy(&output.stdout));
            let said = String::from_utf8_lossy(&output.stderr);
            failures.extend((!output.status.success()).then(|| format!("{name}:\n{said}")));
        }
        failures
    };
    let failures: Vec<String> = thread::scope(|scope| {
        let cores = available_parallelism().unwrap().get();
        let running: Vec<_> = (0..cores).map(|_| scope.spawn(run)).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
