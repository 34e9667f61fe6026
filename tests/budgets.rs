//! What the release module may cost: imports, bytes, host calls. Run in the wasm host,
//! which also runs `cases.toml`, the glue included.
//!
//! `cargo test --test budgets -- --nocapture --test-threads 1` prints the figures for the README.

// Clippy takes helpers outside `#[test]` functions for production code unless told otherwise.
#![cfg(test)]

mod events;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use testkit::cases::{Case, Cases, Unsent};
use testkit::wasm::{DispatchResult, End, Host, Module, Step};
use testkit::workspace;

use events::{CONFIGURATION, PATH, each, kinds, reply, request};

/// The module's size and a few KiB: panic messages hold the paths of sources, so a longer
/// `CARGO_HOME` makes a larger module.
const MODULE_BYTES: u64 = 136 * 1024;

/// All that the module may ask of its host: `capability_restriction_config.allowed_capabilities`
/// without the part before the dot.
const IMPORTS: [&str; 9] = [
    "env.proxy_close_stream",
    "env.proxy_get_buffer_bytes",
    "env.proxy_get_current_time_nanoseconds",
    "env.proxy_get_header_map_pairs",
    "env.proxy_get_header_map_value",
    "env.proxy_http_call",
    "env.proxy_log",
    "env.proxy_send_local_response",
    "env.proxy_set_effective_context",
];

/// What Envoy finds in the module. Entering a callback costs, so there is none to spare.
const EXPORTS: [&str; 9] = [
    "_initialize",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_http_call_response",
    "proxy_on_memory_allocate",
    "proxy_on_request_headers",
];

fn module() -> PathBuf {
    workspace::filter_module().unwrap()
}

fn host() -> Host {
    Host::load(&module(), CONFIGURATION).unwrap()
}

#[test]
fn the_module_asks_for_what_is_published_and_offers_what_it_needs() {
    let module = Module::load(&module()).unwrap();
    assert_eq!(module.imports(), IMPORTS);
    assert_eq!(module.exports(), EXPORTS);
}

#[test]
fn the_module_is_no_larger_than_it_was() {
    let bytes = std::fs::metadata(module()).unwrap().len();
    println!("| module | {bytes} bytes |");
    assert!(bytes <= MODULE_BYTES, "the module grew from {MODULE_BYTES} to {bytes} bytes");
}

const VALUE: &str = "proxy_get_header_map_value";
const PAIRS: &str = "proxy_get_header_map_pairs";
const SEND: &str = "proxy_send_local_response";
const TIME: &str = "proxy_get_current_time_nanoseconds";
const CALL: &str = "proxy_http_call";
const CONTEXT: &str = "proxy_set_effective_context";
const BODY: &str = "proxy_get_buffer_bytes";

/// What an event may cost. Who spends less writes the new figure down.
struct Budget {
    what: &'static str,
    calls: &'static [&'static str],
    instructions: u64,
    bytes_in: u64,
    bytes_out: u64,
}

const fn budget(
    what: &'static str,
    calls: &'static [&'static str],
    [instructions, bytes_in, bytes_out]: [u64; 3],
) -> Budget {
    Budget { what, calls, instructions, bytes_in, bytes_out }
}

const BUDGETS: [Budget; 11] = [
    budget("another path", &[PAIRS], [2_310, 374, 0]),
    budget("another path, large head", &[VALUE], [2_165, 60, 5]),
    budget("disguise: 404", &[PAIRS, SEND], [29_690, 382, 125]),
    budget("method: 405", &[PAIRS, SEND], [1_840, 382, 142]),
    budget("method: 405, large head", &[VALUE, PAIRS, SEND], [2_350, 3_629, 147]),
    budget("accept: 406", &[PAIRS, SEND], [3_160, 387, 161]),
    budget("filter: 400", &[PAIRS, SEND], [7_835, 389, 248]),
    budget("count: request", &[PAIRS, TIME, CALL], [15_740, 428, 314]),
    budget("count, all filters: request", &[PAIRS, TIME, CALL], [29_830, 602, 489]),
    budget("count: answer", &[CONTEXT, VALUE, BODY, SEND], [1_710, 14, 71]),
    budget("end of a request", &[], [190, 0, 0]),
];

#[test]
fn each_kind_of_request_costs_what_it_did_and_no_more() {
    let mut host = host();
    // The first request also makes room for those to come.
    kinds()[0].run(&mut host, &mut |_, _| ());
    let steps = each(&mut host, |_, step| step);

    println!("| event | host calls | instructions | bytes in | bytes out |");
    println!("|---|---:|---:|---:|---:|");
    let mut spent = Vec::new();
    assert_eq!(steps.len(), BUDGETS.len());
    for ((what, step), budget) in steps.iter().zip(&BUDGETS) {
        assert_eq!(*what, budget.what);
        let Step { calls, fuel, bytes_in, bytes_out, .. } = step;
        println!("| {} | {} | {fuel} | {bytes_in} | {bytes_out} |", budget.what, calls.len());
        assert_eq!(calls, budget.calls, "{}", budget.what);
        for (what, old, new) in [
            ("instructions", budget.instructions, *fuel),
            ("bytes in", budget.bytes_in, *bytes_in),
            ("bytes out", budget.bytes_out, *bytes_out),
        ] {
            if new > old {
                spent.push(format!("{}: {what} were {old}, are {new}", budget.what));
            }
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
    let mut dearest = 0;
    for piece in [
        "a",
        "/",
        "/.",
        "/x/..",
        "//",
        "/..",
        "%41",
        "%2F",
        "%2f..",
        "\\",
        ";",
        ";a",
        "/;%2F\\..",
        "/a;b\\%2e%2e",
    ] {
        let path = format!("{before}{}{after}", sixty(piece));
        let step = host.request(&request("GET", &path, "*/*")).unwrap();
        let each = step.fuel / 60_000;
        println!("| path `{piece}` | {each} |");
        dearest = dearest.max(each);
    }
    for piece in ["a", "&", "%41", "a=&", "name=", "%C3%A9", "+"] {
        let path = format!("{PATH}?name={}", sixty(piece));
        let step = host.request(&request("GET", &path, "*/*")).unwrap();
        let each = step.fuel / 60_000;
        println!("| query `{piece}` | {each} |");
        dearest = dearest.max(each);
    }
    for piece in ["a", ",", "a/b,", "a/b;c=d,", "*/*;q=0.001,", "\"", "a/b;c=\"\\", ";", " "] {
        let step = host.request(&request("GET", PATH, &sixty(piece))).unwrap();
        let each = step.fuel / 60_000;
        println!("| accept `{piece}` | {each} |");
        dearest = dearest.max(each);
    }
    assert!(dearest <= 350, "{dearest} instructions for a byte");

    // Short paths are read in every spelling there is.
    let mut dearest = 0;
    for piece in ["/a;b\\%2e%2e", "\\/..;", "//%5C;/..", "%2F..;a\\b"] {
        for times in [1, 3, 10, 30, 100, 300] {
            let path = format!("{before}{}/x", piece.repeat(times));
            let step = host.request(&request("GET", &path, "*/*")).unwrap();
            println!("| path of {} bytes, `{piece}`, in all | {} |", path.len(), step.fuel);
            dearest = dearest.max(step.fuel);
        }
    }
    assert!(dearest <= 2_000_000, "{dearest} instructions");
}

#[test]
fn an_answer_that_broke_off_is_502_and_after_the_timeout_504() {
    let start = Duration::from_secs(1_700_000_000);
    for (elapsed, status) in [(0, 502), (1_800, 502), (2_000, 504), (9_000, 504)] {
        let mut host = host();
        host.set_clock(start);
        let asked = host.request(&request("GET", PATH, "*/*")).unwrap();
        host.set_clock(start + Duration::from_millis(elapsed));
        let step = host.callout_response(asked.stream, &[], b"").unwrap();
        assert_eq!(reply(step).status, status, "after {elapsed} ms");
    }
}

#[test]
fn every_case_holds() {
    let cases = Cases::load().unwrap();
    let start = |json: &String| Host::load(&module(), json).unwrap();
    let mut hosts: BTreeMap<_, _> =
        cases.config.iter().map(|(name, json)| (name.as_str(), start(json))).collect();
    let mut failed = Vec::new();
    for case in &cases.cases {
        let host = hosts.get_mut(case.config.as_str()).unwrap();
        if let Err(failure) = run(case, host) {
            failed.push(format!("{}: {failure}", case.name));
        }
    }
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.cases.len(), failed.join("\n"));
    println!("{} cases", cases.cases.len());
}

fn run(case: &Case, host: &mut Host) -> Result<(), String> {
    host.set_dispatch(match case.unsent {
        None => DispatchResult::Sent,
        Some(Unsent::NoHost) => DispatchResult::NoHost,
        Some(Unsent::UnknownCluster) => DispatchResult::UnknownCluster,
    });
    let (target, fields) = (case.target(), case.headers());
    let mut headers: Vec<(&[u8], &[u8])> = vec![
        (b":authority", b"edge"),
        (b":path", &target),
        (b":method", case.method.as_bytes()),
        (b":scheme", b"http"),
    ];
    headers.extend(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())));
    let step = host.request(&headers).map_err(|error| error.to_string())?;
    let stream = step.stream;
    let end = match (step.end, &case.callout) {
        (End::Callout(callout), Some(expected)) => {
            expected.check(&text(&callout.headers)?)?;
            answer(case, host, step.stream)?
        }
        (end, None) => end,
        (end, Some(_)) => return Err(format!("the store is not asked: {end:?}")),
    };
    host.finish(stream).map_err(|error| error.to_string())?;
    match (end, &case.expect) {
        (End::Continue, None) => Ok(()),
        (End::Reply(reply), Some(expected)) => {
            let body = String::from_utf8(reply.body).map_err(|error| error.to_string())?;
            expected.check(reply.status, &text(&reply.headers)?, &body)
        }
        (end, expected) => Err(format!("expected {expected:?}, got {end:?}")),
    }
}

fn answer(case: &Case, host: &mut Host, stream: testkit::wasm::Stream) -> Result<End, String> {
    let status = case.store.status.to_string();
    let (fields, body) = (case.store.headers(), case.store.body());
    let mut headers: Vec<(&[u8], &[u8])> = vec![(b":status", status.as_bytes())];
    headers.extend(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())));
    let step = host.callout_response(stream, &headers, &body);
    Ok(step.map_err(|error| error.to_string())?.end)
}

fn text(headers: &[(Vec<u8>, Vec<u8>)]) -> Result<Vec<(&str, &str)>, String> {
    let text = |bytes| str::from_utf8(bytes).map_err(|error| format!("{error}: {bytes:?}"));
    headers.iter().map(|(name, value)| Ok((text(name)?, text(value)?))).collect()
}
