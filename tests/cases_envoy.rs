//! `cases.toml` against the release module in a real Envoy.

#![cfg(test)]

use testkit::cases::envoy;
use testkit::envoy::Envoy;

#[test]
fn every_case_holds() {
    let envoy::Outcome { cases, failures } = envoy::run(Envoy::options()).unwrap();
    assert!(failures.is_empty(), "{} of {cases}:\n{}", failures.len(), failures.join("\n"));
    println!("{cases} cases");
}
