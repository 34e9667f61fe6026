//! What the release module may cost: imports, exports, bytes, host calls, instructions. Run in the wasm
//! host, which also runs `cases.toml`, the glue included.
//!
//! `cargo test --test budgets -- --nocapture --test-threads 1` prints the figures for the README.

// Clippy takes helpers outside `#[test]` functions for production code unless told otherwise.
#![cfg(test)]

mod events;

use std::collections::BTreeMap;
use std::path::PathBuf;

use testkit::cases::{Case, Cases, Unsent};
use testkit::wasm::{DispatchResult, End, Host, Module, Step};
use testkit::workspace;

use events::{CONFIGURATION, PATH, each, request};

/// The SDK imports the whole ABI, and the standard library what it would print a panic with. What of it the
/// filter calls is in `tests/hostile.rs`.
const IMPORTS: [&str; 37] = [
    "env.proxy_add_header_map_value",
    "env.proxy_call_foreign_function",
    "env.proxy_close_stream",
    "env.proxy_continue_stream",
    "env.proxy_dequeue_shared_queue",
    "env.proxy_done",
    "env.proxy_enqueue_shared_queue",
    "env.proxy_get_buffer_bytes",
    "env.proxy_get_current_time_nanoseconds",
    "env.proxy_get_header_map_pairs",
    "env.proxy_get_header_map_value",
    "env.proxy_get_log_level",
    "env.proxy_get_property",
    "env.proxy_get_shared_data",
    "env.proxy_get_status",
    "env.proxy_grpc_call",
    "env.proxy_grpc_cancel",
    "env.proxy_grpc_close",
    "env.proxy_grpc_send",
    "env.proxy_grpc_stream",
    "env.proxy_http_call",
    "env.proxy_log",
    "env.proxy_register_shared_queue",
    "env.proxy_remove_header_map_value",
    "env.proxy_replace_header_map_value",
    "env.proxy_resolve_shared_queue",
    "env.proxy_send_local_response",
    "env.proxy_set_buffer_bytes",
    "env.proxy_set_effective_context",
    "env.proxy_set_header_map_pairs",
    "env.proxy_set_property",
    "env.proxy_set_shared_data",
    "env.proxy_set_tick_period_milliseconds",
    "wasi_snapshot_preview1.environ_get",
    "wasi_snapshot_preview1.environ_sizes_get",
    "wasi_snapshot_preview1.fd_write",
    "wasi_snapshot_preview1.proc_exit",
];

/// What the module that is handed out exports.
const EXPORTS: &str = include_str!("../src/glue/exports.txt");

/// What the SDK exports besides, and the plain build with it.
const SPARE_EXPORTS: [&str; 17] = [
    "proxy_on_done",
    "proxy_on_downstream_connection_close",
    "proxy_on_downstream_data",
    "proxy_on_foreign_function",
    "proxy_on_grpc_close",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive_trailing_metadata",
    "proxy_on_log",
    "proxy_on_new_connection",
    "proxy_on_queue_ready",
    "proxy_on_response_body",
    "proxy_on_response_headers",
    "proxy_on_response_trailers",
    "proxy_on_upstream_connection_close",
    "proxy_on_upstream_data",
    "proxy_on_vm_start",
];

fn module() -> PathBuf {
    workspace::filter_module().unwrap()
}

fn host() -> Host {
    Host::load(&module(), CONFIGURATION).unwrap()
}

#[test]
fn the_module_imports_and_exports_what_is_published() {
    let module = Module::load(&module()).unwrap();
    assert_eq!(module.imports(), IMPORTS);
    let mut exports: Vec<&str> = EXPORTS.lines().collect();
    // `FILTER_MODULE` may name the one or the other build.
    if module.exports().iter().any(|export| *export == SPARE_EXPORTS[0]) {
        exports.extend(SPARE_EXPORTS);
        exports.sort_unstable();
    }
    assert_eq!(module.exports(), exports);
}

/// A callback that the glue implements and the list lacks would never be called; one that the list has and
/// the glue does not implement would be entered for nothing.
#[test]
fn the_exports_that_stay_are_the_callbacks_that_the_glue_implements() {
    const GLUE: &str = include_str!("../src/glue/contexts.rs");
    // Those of the SDK's dispatcher and of the VM, which have work to do in any filter.
    let mut expected = vec![
        "_initialize".to_owned(),
        "memory".to_owned(),
        "proxy_abi_version_0_2_1".to_owned(),
        "proxy_on_context_create".to_owned(),
        "proxy_on_delete".to_owned(),
        "proxy_on_memory_allocate".to_owned(),
    ];
    let callbacks = GLUE.lines().filter_map(|line| line.trim().strip_prefix("fn on_"));
    expected.extend(callbacks.map(|line| {
        let (name, _) = line.split_once('(').unwrap();
        // The SDK's traits call a request's callbacks `on_http_request_…`.
        format!(
            "proxy_on_{}",
            name.strip_prefix("http_re").map_or(name.to_owned(), |rest| format!("re{rest}"))
        )
    }));
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(EXPORTS.lines().collect::<Vec<_>>(), expected);
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
const CONTEXT: &str = "proxy_set_effective_context";
const BODY: &str = "proxy_get_buffer_bytes";

/// What an event costs: its host calls and bytes are exactly these, its instructions up to a fiftieth more.
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
    budget("another path", &[PAIRS], [3_888, 374, 0]),
    budget("another path, large head", &[VALUE], [3_784, 60, 5]),
    budget("disguise: 404", &[PAIRS, SEND], [34_816, 382, 125]),
    budget("method: 405", &[PAIRS, SEND], [5_356, 382, 142]),
    budget("method: 405, large head", &[VALUE, PAIRS, SEND], [8_361, 3_629, 147]),
    budget("accept: 406", &[PAIRS, SEND], [6_709, 387, 161]),
    budget("filter: 400", &[PAIRS, SEND], [11_661, 389, 248]),
    budget("count: request", &[PAIRS, TIME, CALL], [17_490, 428, 314]),
    budget("count, all filters: request", &[PAIRS, TIME, CALL], [33_417, 602, 489]),
    budget("count: answer", &[CONTEXT, VALUE, BODY, SEND], [3_953, 14, 71]),
    budget("end of a request", &[], [634, 0, 0]),
];

#[test]
fn each_kind_of_request_costs_what_it_did_and_no_more() {
    let mut host = host();
    // The first also make room for those to come, and begin the ticks.
    each(&mut host, |_, _| ());
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
        assert_eq!((*bytes_in, *bytes_out), (budget.bytes_in, budget.bytes_out), "{}", budget.what);
        if fuel * 50 > budget.instructions * 51 {
            spent.push(format!(
                "{} took {} instructions, takes {fuel}",
                budget.what, budget.instructions
            ));
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
    let mut headers: Vec<(&[u8], &[u8])> =
        vec![(b":status", status.as_bytes()), (b"x-envoy-upstream-service-time", b"1")];
    headers.extend(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())));
    let step = host.callout_response(stream, &headers, &body);
    Ok(step.map_err(|error| error.to_string())?.end)
}

fn text(headers: &[(Vec<u8>, Vec<u8>)]) -> Result<Vec<(&str, &str)>, String> {
    let text = |bytes| str::from_utf8(bytes).map_err(|error| format!("{error}: {bytes:?}"));
    headers.iter().map(|(name, value)| Ok((text(name)?, text(value)?))).collect()
}
