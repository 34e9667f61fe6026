//! `cases.toml` against the release module in a real Envoy.

#![cfg(test)]

use testkit::cases::envoy;
use testkit::envoy::Envoy;

#[test]
fn every_case_holds() {
    check(envoy::run(Envoy::options()));
}

#[test]
fn every_case_holds_behind_the_bypass_route() {
    check(envoy::run_with_bypass_route(Envoy::options()));
}

#[test]
fn every_case_holds_over_http2() {
    check(envoy::run_over_http2(Envoy::options()));
}

fn check(outcome: testkit::Result<envoy::Outcome>) {
    let envoy::Outcome { cases, failures } = outcome.unwrap();
    assert!(failures.is_empty(), "{} of {cases}:\n{}", failures.len(), failures.join("\n"));
    println!("{cases} cases");
}
