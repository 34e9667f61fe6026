//! `cases.toml` against the release module in the wasm host, the glue included.

// Clippy takes helpers outside `#[test]` functions for production code unless told otherwise.
#![cfg(test)]

use std::collections::BTreeMap;

use testkit::cases::{Case, Cases, ServiceAnswer, Unsent};
use testkit::wasm::{DispatchResult, End, Host, Stream};
use testkit::workspace;

#[test]
fn every_case_holds() {
    let cases = Cases::load().unwrap();
    let module = workspace::filter_module().unwrap();
    let start = |json: &String| Host::load(&module, json).unwrap();
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
    host.set_dispatch(match case.unsent.or(case.keystone_unsent) {
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
    let step = host.request(&headers).map_err(|error| format!("{error:#}"))?;
    let (stream, mut end) = (step.stream, step.end);
    if let Some(says) = &case.keystone {
        let End::Callout(callout) = end else {
            return Err(format!("Keystone is not asked: {end:?}"));
        };
        if let Some(expected) = &case.keystone_callout {
            expected.check(&text(&callout.headers)?)?;
        }
        end = answer(says, host, stream)?;
    }
    let end = match (end, &case.callout) {
        (End::Callout(callout), Some(expected)) => {
            expected.check(&text(&callout.headers)?)?;
            answer(&case.store, host, stream)?
        }
        (end, None) => end,
        (end, Some(_)) => return Err(format!("the store is not asked: {end:?}")),
    };
    host.finish(stream).map_err(|error| format!("{error:#}"))?;
    match (end, &case.expect) {
        (End::Continue, None) => Ok(()),
        (End::Reply(reply), Some(expected)) => {
            let body = String::from_utf8(reply.body).map_err(|error| error.to_string())?;
            expected.check(reply.status, &text(&reply.headers)?, &body)
        }
        (end, expected) => Err(format!("expected {expected:?}, got {end:?}")),
    }
}

fn answer(says: &ServiceAnswer, host: &mut Host, stream: Stream) -> Result<End, String> {
    let status = says.status.to_string();
    let (fields, body) = (says.headers(), says.body());
    let mut headers: Vec<(&[u8], &[u8])> =
        vec![(b":status", status.as_bytes()), (b"x-envoy-upstream-service-time", b"1")];
    headers.extend(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())));
    let step = host.callout_response(stream, &headers, &body);
    Ok(step.map_err(|error| format!("{error:#}"))?.end)
}

fn text(headers: &[(Vec<u8>, Vec<u8>)]) -> Result<Vec<(&str, &str)>, String> {
    let text = |bytes| str::from_utf8(bytes).map_err(|error| format!("{error}: {bytes:?}"));
    headers.iter().map(|(name, value)| Ok((text(name)?, text(value)?))).collect()
}
