//! The file through a real Envoy: what the client gets, what the store is asked, and what passes.

use super::{Case, Cases, Expected, ExpectedCallout};
use crate::bypass_route;
use crate::edge::{self, Fixture};
use crate::envoy::Options;
use crate::envoy::config::Listener;
use crate::http::{Connection, Response, encode_request};
use crate::store::{Behaviour, Request};
use crate::{Error, Result};

/// What Envoy itself adds to a callout.
const ENVOYS_OWN: [&str; 2] = ["x-envoy-internal", "x-envoy-expected-rq-timeout-ms"];

/// What is wrong, if anything is.
type Check = std::result::Result<(), String>;

/// What came of all the cases.
#[derive(Debug)]
pub struct Outcome {
    /// How many were run.
    pub cases: usize,
    /// What was not as expected, each with its case's name.
    pub failures: Vec<String>,
}

/// Runs every case through one Envoy, which must end as well as it began.
pub fn run(options: Options) -> Result<Outcome> {
    run_with(options, |listener| listener)
}

/// The same, with the filter left out of requests that cannot be for it.
pub fn run_with_bypass_route(options: Options) -> Result<Outcome> {
    run_with(options, |listener| listener.first_route(bypass_route::route("upstream")))
}

fn run_with(options: Options, change: impl Fn(Listener) -> Listener) -> Result<Outcome> {
    let cases = Cases::load()?;
    let listeners = cases.config.iter().map(|(name, plugin)| edge::listener(name, plugin));
    let listeners = listeners.map(|listener| listener.map(&change)).collect::<Result<Vec<_>>>()?;
    let fixture = Fixture::start_with(options, listeners, [])?;
    let failure =
        |case: &Case| Some(format!("{}: {}", case.name, check_case(&fixture, case).err()?));
    let mut failures: Vec<String> = cases.cases.iter().filter_map(failure).collect();

    let line = fixture.edge.envoy.wait_for_log("Envoy has no cluster \"nowhere\"")?;
    if !line.contains("[error]") {
        failures.push(format!("an unknown cluster is no error in the log: {line}"));
    }
    fixture.stop()?;
    Ok(Outcome { cases: cases.cases.len(), failures })
}

fn check_case(fixture: &Fixture, case: &Case) -> Check {
    let headers = case.store.headers().into_iter().map(|(name, value)| {
        let value = value.iter().map(|&byte| char::from(byte)).collect();
        (name.to_owned(), value)
    });
    fixture.store.set(Behaviour::Answer {
        status: case.store.status,
        headers: headers.collect(),
        body: case.store.body(),
    });

    let response = ask(fixture, case).map_err(|error| error.to_string())?;
    let (asked, passed) = (fixture.store.take_requests(), fixture.upstream.take_requests());
    match (&case.callout, asked.as_slice()) {
        (None, []) => {}
        (Some(expected), [asked]) => check_callout(asked, expected)?,
        _ => return Err(format!("the store was asked {asked:?}")),
    }
    match (&case.expect, passed.as_slice()) {
        (Some(expected), []) => check(case, &response, expected),
        (None, [passed]) => check_passed(case, &response, passed),
        _ => Err(format!("the upstream was asked {passed:?}")),
    }
}

/// Sends the case's request, and then another on the same connection, unless Envoy ends it
/// because of a body it has not read: whatever the filter answered, it still serves.
fn ask(fixture: &Fixture, case: &Case) -> Result<Response> {
    let address = fixture.edge.listeners[&case.config];
    let mut connection = Connection::open(address)?;
    let fields = case.headers();
    let mut headers: Vec<(&str, &[u8])> = vec![("host", b"edge")];
    headers.extend(fields.iter().map(|(name, value)| (*name, value.as_slice())));
    let request = encode_request(&case.method, case.target(), &headers, case.body());
    connection.send(&request)?;
    let response = connection.receive(case.method == "HEAD")?;
    if !case.body().is_empty() {
        if response.header("connection") != Some("close") {
            return Err(Error::new(format!("the body is unread and {response:?} ends nothing")));
        }
        connection = Connection::open(address)?;
    }
    let next = connection.request("GET", "/v2/./os-vendor-backup-sharing/count", &[])?;
    match next.status {
        400 => Ok(response),
        _ => Err(Error::new(format!("the next request is answered {next:?}"))),
    }
}

fn check_callout(asked: &Request, expected: &ExpectedCallout) -> Check {
    let mut headers =
        vec![("host", expected.authority.as_bytes()), ("accept", b"application/json")];
    headers.extend(expected.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    let sent: Vec<(&str, &[u8])> = asked
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()))
        .filter(|(name, _)| !ENVOYS_OWN.contains(name))
        .collect();
    if asked.method != "GET" || asked.target_text() != expected.target() || sent != headers {
        return Err(format!(
            "expected the callout {} {headers:?}, got {asked:?}",
            expected.target()
        ));
    }
    Ok(())
}

/// Envoy hands a request on as it came: only `x-forwarded-proto` and the like are added.
fn check_passed(case: &Case, response: &Response, passed: &Request) -> Check {
    let came = case.headers();
    let kept =
        came.iter().all(|(name, value)| passed.header_values(name).contains(&value.as_slice()));
    if response.text() != "\"passed\""
        || passed.target != case.target()
        || passed.method != case.method
        || !kept
    {
        return Err(format!("it was passed on as {passed:?} and answered {response:?}"));
    }
    Ok(())
}

fn check(case: &Case, response: &Response, expected: &Expected) -> Check {
    let body = response.text();
    if response.status != expected.status {
        return Err(format!("expected {}, got {}: {body}", expected.status, response.status));
    }
    if case.method != "HEAD" {
        expected.check_body(&body)?;
    }
    for (name, expected) in &expected.headers {
        if response.header_values(name) != [expected.as_bytes()] {
            return Err(format!("expected {name}: {expected}, got {:?}", response.headers));
        }
    }
    for name in &expected.without {
        if response.header(name).is_some() {
            return Err(format!("expected no {name}, got {:?}", response.headers));
        }
    }
    Ok(())
}
