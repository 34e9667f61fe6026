//! What the figures rest on, without the load: everybody who is measured does the same job.

#![cfg(test)]

use std::collections::BTreeSet;

use bench::edge::bench::{Bench, Contender};
use bench::edge::cases::{CASES, HEADERS};
use bench::edge::variants::VARIANTS;
use bench::machine::Cores;
use testkit::envoy::Envoy;
use testkit::workspace;

#[test]
fn every_contender_gives_the_same_answers() {
    let cores = Cores::new().unwrap();
    let modules = [(Contender::Ours, workspace::filter_module().unwrap())];
    let all = [Contender::Native, Contender::Floor, Contender::Lua, Contender::Ours];
    let bench = Bench::start(Envoy::options(), &cores, &modules, &all).unwrap();
    bench.check_answers(&all).unwrap();
    let statuses = CASES.map(|case| bench.status(&case));
    assert_eq!(statuses, [405, 406, 400, 200, 200, 200]);
}

#[test]
fn requests_have_as_many_headers_as_they_say() {
    for headers in HEADERS {
        let request = CASES[0].request(headers);
        let names: BTreeSet<&str> = request.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), headers);
        assert!(names.contains("accept") && names.contains("user-agent"));
    }
}

#[test]
fn every_variant_still_fits_the_sources() {
    for variant in VARIANTS {
        variant.check().unwrap();
    }
}
