//! What the figures of `edge`, `instructions` and `envoy` rest on, without the load: all that are measured do
//! the same job.

#![cfg(test)]

use std::collections::BTreeSet;

use lab::cores::Cores;
use lab::edge::plan::Contender;
use lab::edge::requests::{CASES, HEADERS};
use lab::edge::testbed::Testbed;
use testkit::envoy::Envoy;

#[test]
fn every_contender_gives_the_same_answers() {
    let cores = Cores::new().unwrap();
    let statuses = CASES.map(|case| {
        // All of them compare their answers, `Routed` also in cases in which it is not measured.
        Testbed::start(&case, &Contender::ALL, Envoy::options(), &cores).unwrap().status()
    });
    assert_eq!(statuses, [405, 406, 400, 200, 200, 200]);
}

#[test]
fn behind_the_route_the_filter_counts_and_to_another_path_it_is_not_there() {
    let cores = Cores::new().unwrap();
    let entries = CASES.map(|case| {
        let options = Envoy::options().component_log_level("wasm:trace");
        let testbed = Testbed::start(&case, &[Contender::Routed], options, &cores).unwrap();
        let asked = |cluster| testbed.envoy.stat(&format!("cluster.{cluster}.upstream_rq_total"));
        let asked = (asked("store").unwrap(), asked("backend").unwrap());
        let log = testbed.envoy.stop().unwrap();
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
