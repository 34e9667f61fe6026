//! `cargo xtask dist` as somebody runs it. `.ci/run` holds what it makes to the contract's cases.

#![cfg(test)]

use std::fs;
use std::process::Command;

use testkit::workspace;
use wasmparser::{Parser, Payload};

/// The names of a module's custom sections, and the bytes of its code.
fn read(wasm: &[u8]) -> (Vec<String>, Vec<u8>) {
    let (mut custom, mut code) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.unwrap() {
            Payload::CustomSection(section) => custom.push(section.name().to_owned()),
            Payload::CodeSectionStart { range, .. } => code = wasm[range].to_vec(),
            _ => {}
        }
    }
    (custom, code)
}

#[test]
fn the_module_to_hand_out_has_a_sum_and_a_copy_with_names() {
    let status = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("dist").status().unwrap();
    assert!(status.success());

    let folder = workspace::target_dir().join("dist");
    let file = |name: &str| fs::read(folder.join(format!("backup_sharing_count.{name}"))).unwrap();
    let (custom, code) = read(&file("wasm"));
    assert_eq!(custom, [""; 0]);
    let (named, same_code) = read(&file("debug.wasm"));
    assert!(named.contains(&"name".to_owned()), "{named:?}");
    assert!(!code.is_empty() && code == same_code, "the named copy has other code");

    let mut check = Command::new("sha256sum");
    check.args(["--check", "backup_sharing_count.wasm.sha256"]).current_dir(folder);
    assert!(check.status().unwrap().success());
}
