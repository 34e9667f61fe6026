//! What the release module may cost: bytes, host calls, instructions, in the wasm host.
//!
//! `cargo test --test budgets -- --nocapture --test-threads 1` prints the figures of docs/performance.md.

// Clippy takes helpers outside `#[test]` functions for production code unless told otherwise.
#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

mod events;

use std::path::PathBuf;

use events::{COUNT, KNOWN, ask, callers, each, request};
use testkit::wasm::{Host, Step};
use testkit::workspace;

const PATH: &str = "/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/count";
const CONFIGURATION: &str = r#"{"store": {"cluster": "store", "timeout": "2s"}}"#;
const ANSWER: [(&[u8], &[u8]); 3] = [
    (b":status", b"200"),
    (b"content-type", b"application/json"),
    (b"x-envoy-upstream-service-time", b"1"),
];

fn module() -> PathBuf {
    workspace::filter_module().unwrap()
}

fn host() -> Host {
    Host::load(&module(), CONFIGURATION).unwrap()
}

/// The contract's: shown, and no goal of its own.
#[test]
fn the_module_has_400_kib_at_most() {
    let bytes = std::fs::metadata(module()).unwrap().len();
    println!("| module | {bytes} bytes |");
    assert!(bytes <= 400 << 10, "{bytes} bytes");
}

const VALUE: &str = "proxy_get_header_map_value";
const PAIRS: &str = "proxy_get_header_map_pairs";
const SEND: &str = "proxy_send_local_response";
const TIME: &str = "proxy_get_current_time_nanoseconds";
const CALL: &str = "proxy_http_call";
const COUNT_UP: &str = "proxy_increment_metric";
const RECORD: &str = "proxy_record_metric";
const CONTEXT: &str = "proxy_set_effective_context";
const BODY: &str = "proxy_get_buffer_bytes";

/// An event, its host calls, and its instructions, bytes in and bytes out. Instructions may be a fiftieth more.
type Budget = (&'static str, &'static [&'static str], [u64; 3]);

const BUDGETS: [Budget; 11] = [
    ("another path", &[PAIRS], [3_960, 374, 0]),
    ("another path, many headers", &[VALUE], [3_832, 60, 5]),
    ("disguise: 404", &[PAIRS, COUNT_UP, SEND], [37_015, 382, 125]),
    ("method: 405", &[PAIRS, COUNT_UP, SEND], [5_724, 382, 142]),
    ("method: 405, many headers", &[VALUE, PAIRS, COUNT_UP, SEND], [8_727, 3_629, 147]),
    ("accept: 406", &[PAIRS, COUNT_UP, SEND], [7_032, 387, 161]),
    ("filter: 400", &[PAIRS, COUNT_UP, SEND], [12_370, 399, 143]),
    ("count: request", &[PAIRS, TIME, CALL], [17_773, 428, 314]),
    ("count, all filters: request", &[PAIRS, TIME, CALL], [33_863, 602, 489]),
    ("count: answer", &[CONTEXT, TIME, RECORD, VALUE, BODY, COUNT_UP, SEND], [4_790, 14, 71]),
    ("end of a request", &[], [703, 0, 0]),
];

const KEYSTONE: &str = r#"{"store": {"cluster": "store", "timeout": "2s"},
    "auth": {"mode": "keystone", "keystone": {"cluster": "keystone", "roles": ["member"]}}}"#;

/// The same with `auth.mode` `keystone`, for requests of five headers with a token of 183 bytes.
const CALLERS: [Budget; 8] = [
    ("no token: 401", &[PAIRS, COUNT_UP, SEND], [12_290, 192, 163]),
    ("new token: request", &[PAIRS, TIME, CALL], [42_788, 375, 545]),
    (
        "new token: Keystone's answer",
        &[CONTEXT, TIME, RECORD, VALUE, BODY, CALL],
        [35_725, 588, 380],
    ),
    (
        "new token: the store's answer",
        &[CONTEXT, TIME, RECORD, VALUE, BODY, COUNT_UP, SEND],
        [5_404, 14, 71],
    ),
    ("known token: request", &[PAIRS, TIME, CALL], [38_879, 375, 373]),
    ("known token: answer", &[CONTEXT, TIME, RECORD, VALUE, BODY, COUNT_UP, SEND], [5_105, 14, 71]),
    ("known token, another project: 403", &[PAIRS, TIME, COUNT_UP, SEND], [36_364, 375, 129]),
    ("refused token: 401", &[PAIRS, TIME, COUNT_UP, SEND], [38_068, 375, 163]),
];

/// Where counts are remembered, of the same requests.
const REMEMBERED: [Budget; 3] = [
    ("new question: request", &[PAIRS, TIME, CALL], [21_749, 375, 373]),
    (
        "new question: answer",
        &[CONTEXT, TIME, RECORD, VALUE, PAIRS, BODY, COUNT_UP, SEND],
        [22_516, 116, 71],
    ),
    ("remembered count", &[PAIRS, TIME, COUNT_UP, SEND], [22_996, 375, 76]),
];
const KNOWN_TOO: Budget =
    ("remembered count, known token", &[PAIRS, TIME, COUNT_UP, SEND], [47_831, 375, 76]);

#[test]
fn each_kind_of_request_costs_what_it_did_and_no_more() {
    let mut host = host();
    // The first also make room for those to come, and begin the ticks.
    each(&mut host);
    check(&each(&mut host), &BUDGETS);
}

#[test]
fn who_the_caller_is_costs_what_it_did_and_no_more() {
    let mut host = Host::load(&module(), KEYSTONE).unwrap();
    callers(&mut host, '1');
    check(&callers(&mut host, '2'), &CALLERS);
}

#[test]
fn a_remembered_count_costs_what_it_did_and_no_more() {
    let with_cache =
        |configuration: &str| configuration.replacen('{', r#"{"cache": {"ttl": "60s"}, "#, 1);
    let new = ["new question: request", "new question: answer"];
    let mut host = Host::load(&module(), &with_cache(CONFIGURATION)).unwrap();
    let mut each = |token: char| {
        let token = token.to_string().repeat(183);
        let asked = ask(&mut host, PATH, &token, &[COUNT], &new);
        [asked, ask(&mut host, PATH, &token, &[], &["remembered count"])].concat()
    };
    each('1');
    check(&each('2'), &REMEMBERED);

    // The token is remembered too.
    let mut host = Host::load(&module(), &with_cache(KEYSTONE)).unwrap();
    let token = "1".repeat(183);
    ask(&mut host, PATH, &token, &[(200, KNOWN), COUNT], &[]);
    check(&ask(&mut host, PATH, &token, &[], &[KNOWN_TOO.0]), &[KNOWN_TOO]);
}

#[test]
fn without_metrics_nothing_is_done_for_them() {
    const OFF: &str = r#"{"store": {"cluster": "store", "timeout": "2s"}, "metrics": "off"}"#;
    let mut host = Host::load(&module(), OFF).unwrap();
    each(&mut host);
    assert!(host.metrics().is_empty(), "none is defined");
    for ((event, step), (_, calls, [instructions, ..])) in each(&mut host).iter().zip(&BUDGETS) {
        // The clock is asked for how long a callout took.
        let is_for_metrics = |call: &str| {
            [COUNT_UP, RECORD].contains(&call) || (calls[0] == CONTEXT && call == TIME)
        };
        let others = calls.iter().filter(|call| !is_for_metrics(call)).copied();
        assert_eq!(step.calls, others.collect::<Vec<_>>(), "{event}");
        // What is not counted is not looked up either.
        let spared = if calls.contains(&COUNT_UP) { 300 } else { 0 };
        assert!(step.fuel + spared <= instructions * 51 / 50, "{event}: {}", step.fuel);
    }
}

fn check(steps: &[(&str, Step)], budgets: &[Budget]) {
    println!("| event | host calls | instructions | bytes in | bytes out |");
    println!("|---|---:|---:|---:|---:|");
    for (what, Step { calls, fuel, bytes_in, bytes_out, .. }) in steps {
        println!("| {what} | {} | {fuel} | {bytes_in} | {bytes_out} |", calls.len());
    }
    let mut spent = Vec::new();
    assert_eq!(steps.len(), budgets.len());
    for ((event, step), (what, calls, [instructions, bytes_in, bytes_out])) in
        steps.iter().zip(budgets)
    {
        let Step { fuel, .. } = step;
        assert_eq!(event, what);
        assert_eq!(step.calls, *calls, "{what}");
        assert_eq!([step.bytes_in, step.bytes_out], [*bytes_in, *bytes_out], "{what}");
        if fuel * 50 > instructions * 51 {
            spent.push(format!("{what} took {instructions} instructions, takes {fuel}"));
        }
    }
    assert!(spent.is_empty(), "{}", spent.join("\n"));
}

#[test]
fn what_a_stranger_sends_costs_by_its_length() {
    let sixty = |piece: &str| piece.repeat(60_000 / piece.len());
    let (before, after) = ("/v2/p1/os-vendor-backup-sharing", "/count/x");
    let mut host = host();
    println!("| 60 KB of | instructions for a byte |");
    println!("|---|---:|");
    let mut most = 0;
    for piece in [
        "a", "/", "/.", "/x/..", "//", "/..", "%41", "%2F", "%2f..", "\\", ";", ";a", "/;%2F\\..",
        "/a;b\\%2e%2e",
    ] {
        let path = format!("{before}{}{after}", sixty(piece));
        let step = host.request(&request("GET", &path, "*/*")).unwrap();
        let each = step.fuel / 60_000;
        println!("| path `{piece}` | {each} |");
        most = most.max(each);
    }
    for piece in ["a", "&", "%41", "a=&", "name=", "%C3%A9", "+"] {
        let path = format!("{PATH}?name={}", sixty(piece));
        let step = host.request(&request("GET", &path, "*/*")).unwrap();
        let each = step.fuel / 60_000;
        println!("| query `{piece}` | {each} |");
        most = most.max(each);
    }
    for piece in ["a", ",", "a/b,", "a/b;c=d,", "*/*;q=0.001,", "\"", "a/b;c=\"\\", ";", " "] {
        let step = host.request(&request("GET", PATH, &sixty(piece))).unwrap();
        let each = step.fuel / 60_000;
        println!("| accept `{piece}` | {each} |");
        most = most.max(each);
    }
    assert!(most <= 350, "{most} instructions for a byte");

    // Short paths are read in every spelling there is.
    let mut most = 0;
    for piece in ["/a;b\\%2e%2e", "\\/..;", "//%5C;/..", "%2F..;a\\b"] {
        for times in [1, 3, 10, 30, 100, 300] {
            let path = format!("{before}{}/x", piece.repeat(times));
            let step = host.request(&request("GET", &path, "*/*")).unwrap();
            println!("| path of {} bytes, `{piece}`, in all | {} |", path.len(), step.fuel);
            most = most.max(step.fuel);
        }
    }
    assert!(most <= 2_000_000, "{most} instructions");
}
