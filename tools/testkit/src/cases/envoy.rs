//! The file through a real Envoy: what the client gets, what the store is asked, and what passes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;

use anyhow::{anyhow, bail};

use super::{Case, Cases, Expected, ExpectedCallout, ServiceAnswer};
use crate::Result;
use crate::bypass_route;
use crate::edge::{self, Fixture};
use crate::envoy::Options;
use crate::envoy::config::Listener;
use crate::http::{Connection, Response, encode_request};
use crate::http2;
use crate::store::{Behaviour, Request};

/// What Envoy itself adds to a callout.
const ENVOYS_OWN: [&str; 2] = ["x-envoy-internal", "x-envoy-expected-rq-timeout-ms"];

/// What is wrong, if anything is.
pub type Check = std::result::Result<(), String>;

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
    run_with(options, |listener| listener, ask)
}

/// The same, with the filter left out of requests that cannot be for it.
pub fn run_with_bypass_route(options: Options) -> Result<Outcome> {
    run_with(options, |listener| listener.first_route(bypass_route::route("upstream")), ask)
}

/// The same over HTTP/2, with one connection for all the cases of a configuration.
pub fn run_over_http2(options: Options) -> Result<Outcome> {
    let mut connections = BTreeMap::new();
    run_with(
        options,
        |listener| listener,
        |address, case| {
            let connection = match connections.entry(address) {
                Entry::Occupied(open) => open.into_mut(),
                Entry::Vacant(none) => none.insert(http2::Connection::open(address)?),
            };
            ask_over_http2(connection, case)
        },
    )
}

fn run_with(
    options: Options,
    change: impl Fn(Listener) -> Listener,
    mut ask: impl FnMut(SocketAddr, &Case) -> Result<Response>,
) -> Result<Outcome> {
    let cases = Cases::load()?;
    let listeners = cases.config.iter().map(|(name, plugin)| edge::listener(name, plugin));
    let listeners = listeners.map(|listener| listener.map(&change)).collect::<Result<Vec<_>>>()?;
    let fixture = Fixture::start_with(options, listeners, [])?;
    let mut failures = Vec::new();
    for case in &cases.cases {
        fixture.store.set(answer(&case.store));
        if let Some(says) = &case.keystone {
            fixture.keystone.set(answer(says));
        }
        let response = ask(fixture.edge.listeners[&case.config], case);
        let checked = response.map_err(|error| format!("{error:#}"));
        if let Err(failure) = checked.and_then(|response| check(&fixture, case, &response)) {
            failures.push(format!("{}: {failure}", case.name));
        }
    }
    for alarm in ALARMS {
        let line = fixture.edge.envoy.wait_for_log(alarm)?;
        if !line.contains("[error]") {
            failures.push(format!("it is no error in the log: {line}"));
        }
    }
    fixture.stop()?;
    Ok(Outcome { cases: cases.cases.len(), failures })
}

/// What the error log says after all cases.
const ALARMS: [&str; 4] = [
    "store.cluster: Envoy has no cluster \"nowhere\"; requests are answered 500",
    "auth.keystone.cluster: Envoy has no cluster \"nowhere\"; requests are answered 500",
    "auth.keystone.path_prefix: cluster \"keystone\" answers 404, and not as Keystone does; requests are answered 502",
    "auth.keystone.cluster: the policy of cluster \"keystone\" forbids callers to have their own tokens validated \
     (identity:validate_token); requests are answered 503",
];

/// What a service answers in a case.
pub fn answer(says: &ServiceAnswer) -> Behaviour {
    let headers = says.headers().into_iter().map(|(name, value)| {
        let value = value.iter().map(|&byte| char::from(byte)).collect();
        (name.to_owned(), value)
    });
    Behaviour::Answer { status: says.status, headers: headers.collect(), body: says.body() }
}

/// The request that follows a case's on its connection: whatever the filter answered, it still serves.
const NEXT: &str = "/v2/./os-vendor-backup-sharing/count";

/// Sends the case's request, and [`NEXT`] unless Envoy ends the connection because of a body it has not read.
fn ask(address: SocketAddr, case: &Case) -> Result<Response> {
    let mut connection = Connection::open(address)?;
    let fields = case.headers();
    let mut headers: Vec<(&str, &[u8])> = vec![("host", b"edge")];
    headers.extend(fields.iter().map(|(name, value)| (*name, value.as_slice())));
    let request = encode_request(&case.method, case.target(), &headers, case.body());
    connection.send(&request)?;
    let response = connection.receive(case.method == "HEAD")?;
    if !case.body().is_empty() {
        if response.header("connection") != Some("close") {
            bail!("the body is unread and {response:?} ends nothing");
        }
        connection = Connection::open(address)?;
    }
    followed_by(response, connection.request("GET", NEXT, &[])?)
}

/// Over HTTP/2 an unread body ends its stream only.
fn ask_over_http2(connection: &mut http2::Connection, case: &Case) -> Result<Response> {
    let fields = case.headers();
    let headers: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_slice())).collect();
    let request = http2::request(&case.method, &case.target(), &headers)?;
    let response = connection.request(request, case.body())?;
    followed_by(response, connection.request(http2::request("GET", NEXT.as_bytes(), &[])?, b"")?)
}

fn followed_by(response: Response, next: Response) -> Result<Response> {
    match next.status {
        400 => Ok(response),
        _ => Err(anyhow!("the next request is answered {next:?}")),
    }
}

/// What is wrong with an answer, the callout before it, or what was passed on.
fn check(fixture: &Fixture, case: &Case, response: &Response) -> Check {
    let (asked, passed) = (fixture.store.take_requests(), fixture.upstream.take_requests());
    match (&case.callout, asked.as_slice()) {
        (None, []) => {}
        (Some(expected), [asked]) => check_callout(asked, expected)?,
        _ => return Err(format!("the store was asked {asked:?}")),
    }
    match (&case.keystone, fixture.keystone.take_requests().as_slice()) {
        (None, []) => {}
        (Some(_), [asked]) => {
            if let Some(expected) = &case.keystone_callout {
                check_callout(asked, expected)?;
            }
        }
        (_, asked) => return Err(format!("Keystone was asked {asked:?}")),
    }
    match (&case.expect, passed.as_slice()) {
        (Some(expected), []) => check_response(case, response, expected),
        (None, [passed]) => check_passed(case, response, passed),
        _ => Err(format!("the upstream was asked {passed:?}")),
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

/// What is wrong with an answer.
pub fn check_response(case: &Case, response: &Response, expected: &Expected) -> Check {
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
