//! What the figures rest on, without the load: everybody who is measured does the same job.

#![cfg(test)]

use std::collections::BTreeSet;

use bench::edge::bench::{Bench, Contender, Modules};
use bench::edge::cases::{CASES, HEADERS};
use bench::machine::Cores;
use testkit::envoy::Envoy;

#[test]
fn every_contender_gives_the_same_answers() {
    // `Routed` in every case, also where it is not measured.
    let all =
        [Contender::Native, Contender::Floor, Contender::Lua, Contender::Ours, Contender::Routed];
    let cores = Cores::new().unwrap();
    let modules = Modules::ours().unwrap();
    let statuses = CASES.map(|case| {
        let bench = Bench::start(&case, &all, &modules, Envoy::options(), &cores).unwrap();
        bench.check_answers().unwrap();
        bench.status()
    });
    assert_eq!(statuses, [405, 406, 400, 200, 200, 200]);
}

#[test]
fn behind_the_route_the_filter_counts_and_to_another_path_it_is_not_there() {
    let cores = Cores::new().unwrap();
    let modules = Modules::ours().unwrap();
    let entries = CASES.map(|case| {
        let options = Envoy::options().component_log_level("wasm:trace");
        let bench = Bench::start(&case, &[Contender::Routed], &modules, options, &cores).unwrap();
        bench.check_answers().unwrap();
        let asked = |cluster| bench.envoy.stat(&format!("cluster.{cluster}.upstream_rq_total"));
        let asked = (asked("store").unwrap(), asked("backend").unwrap());
        let log = bench.envoy.stop().unwrap();
        let entered = log.matches("[host->vm] proxy_on_request_headers(").count();
        (case.name, entered, asked)
    });
    // Each case with few headers and with many.
    let answered = |name| (name, 2, (0, 0));
    assert_eq!(
        entries,
        [
            answered("method"),
            answered("accept"),
            answered("filter"),
            ("count", 2, (2, 0)),
            ("count8", 2, (2, 0)),
            ("pass", 0, (0, 2)),
        ]
    );
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
