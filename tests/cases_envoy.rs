//! `cases.toml` against the release module in a real Envoy.

#![cfg(test)]

use testkit::cases::{Case, Cases, Expected, ExpectedCallout};
use testkit::edge::Edge;
use testkit::http::{Connection, Response, encode_request};
use testkit::store::{Behaviour, Request, ScriptedStore};

/// What Envoy itself adds to a callout.
const ENVOYS_OWN: [&str; 2] = ["x-envoy-internal", "x-envoy-expected-rq-timeout-ms"];

#[test]
fn every_case_holds() {
    let cases = Cases::load().unwrap();
    let (store, upstream) = (ScriptedStore::start().unwrap(), ScriptedStore::start().unwrap());
    let configurations = cases.config.iter().map(|(name, json)| (name.as_str(), json.as_str()));
    let edge = Edge::start(configurations, &store, &upstream).unwrap();
    let bench = Bench { edge: &edge, store: &store, upstream: &upstream };
    let failed: Vec<String> = cases
        .cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}", case.name, bench.run(case).err()?)))
        .collect();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.cases.len(), failed.join("\n"));
    println!("{} cases", cases.cases.len());

    let line = edge.envoy.wait_for_log("Envoy has no cluster \"nowhere\"").unwrap();
    assert!(line.contains("[error]"), "{line}");
    edge.check_vms().unwrap();
    edge.envoy.stop().unwrap();
}

struct Bench<'a> {
    edge: &'a Edge,
    store: &'a ScriptedStore,
    upstream: &'a ScriptedStore,
}

impl Bench<'_> {
    fn run(&self, case: &Case) -> Result<(), String> {
        let headers = case.store.headers().into_iter().map(|(name, value)| {
            let value = value.iter().map(|&byte| char::from(byte)).collect();
            (name.to_owned(), value)
        });
        self.store.set(Behaviour::Answer {
            status: case.store.status,
            headers: headers.collect(),
            body: case.store.body(),
        });
        self.upstream.set(Behaviour::json(200, "\"passed\""));

        let response = self.ask(case).map_err(|error| error.to_string())?;
        let (asked, passed) = (self.store.take_requests(), self.upstream.take_requests());
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
    fn ask(&self, case: &Case) -> testkit::Result<Response> {
        let address = self.edge.listeners[&case.config];
        let mut connection = Connection::open(address)?;
        let fields = case.headers();
        let mut headers: Vec<(&str, &[u8])> = vec![("host", b"edge")];
        headers.extend(fields.iter().map(|(name, value)| (*name, value.as_slice())));
        let request = encode_request(&case.method, case.target(), &headers, case.body());
        connection.send(&request)?;
        let response = connection.receive(case.method == "HEAD")?;
        if !case.body().is_empty() {
            assert_eq!(response.header("connection"), Some("close"), "{}", case.name);
            connection = Connection::open(address)?;
        }
        let next = connection.request("GET", "/v2/./os-vendor-backup-sharing/count", &[])?;
        assert_eq!(next.status, 400, "{}: the next request is served", case.name);
        Ok(response)
    }
}

fn check_callout(asked: &Request, expected: &ExpectedCallout) -> Result<(), String> {
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
fn check_passed(case: &Case, response: &Response, passed: &Request) -> Result<(), String> {
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

fn check(case: &Case, response: &Response, expected: &Expected) -> Result<(), String> {
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
