//! The contract's cases against `filter.lua`: beside a filter that does less, ours would look
//! worse than it is, and beside one that does it wrong, better.

use backup_sharing_count::filters::{FILTERS, Filter};
use testkit::cases::envoy::{answer, check_response};
use testkit::cases::{Case, Cases};
use testkit::edge::clusters;
use testkit::envoy::config::{Bootstrap, Listener, to_cluster};
use testkit::envoy::{Envoy, filters};
use testkit::http::{Connection, Response, encode_request};
use testkit::store::{Behaviour, Request, ScriptedStore};

use super::config::LUA;

/// What `filter.lua` says that it leaves out, and a method that our listeners do not take.
const NOT_IN_LUA: [&str; 26] = [
    "disguise: a backslash in what .. takes away",
    "disguise: an escaped slash in what .. takes away",
    "disguise: escaped dots that .. takes away",
    "disguise: dots with a parameter that .. takes away",
    "disguise: an escaped slash in a parameter",
    "disguise: what a reader of URLs takes for an authority",
    "disguise: the same behind a backslash and an escaped slash",
    "disguise: a backslash in a parameter, and one before ..",
    "disguise: a backslash in a parameter far from ..",
    "disguise: slashes that only merge before a backslash is one",
    "a method that nobody knows is 405",
    "callout: the documented headers go along, nothing else does",
    "store 200: other members are ignored",
    "store 400: its message is passed on",
    "store 401: its message is passed on",
    "store 403: its message is passed on",
    "store 404: its message is passed on",
    "store 407: its message is passed on",
    "store 409: its message is passed on",
    "store 404: keystone's form of an error",
    "store 404: a message of 512 characters at most",
    "store 401: the challenge passes",
    "store 407: the challenge passes",
    "store 429: unavailable, and when to come back",
    "store 429: retry-after as a date",
    "store 503: retry-after passes",
];

/// Headers of the store's request that are none of the client's.
const NOT_THE_CLIENTS: [&str; 4] =
    ["host", "accept", "x-envoy-internal", "x-envoy-expected-rq-timeout-ms"];

#[test]
fn it_has_every_filter() {
    for Filter { name, .. } in &FILTERS {
        let row = format!("{{name = \"{name}\"");
        assert!(LUA.contains(&row), "tools/lab/src/cost/filter.lua lacks the filter {name}");
    }
}

#[test]
fn it_does_the_filters_job_but_for_what_it_says() {
    let (store, upstream) = (ScriptedStore::start().unwrap(), ScriptedStore::start().unwrap());
    let lua = Listener::new("lua").filter(filters::lua(LUA)).route(to_cluster("", "upstream"));
    let clusters = clusters(store.address(), upstream.address());
    let envoy = Envoy::start(Bootstrap::new([lua], clusters)).unwrap();
    let address = envoy.listener_address("lua").unwrap();
    upstream.set(Behaviour::json(200, "\"passed\""));

    let cases = Cases::load().unwrap();
    let mut failures = Vec::new();
    for case in cases.cases.iter().filter(|case| case.config == "default") {
        store.set(answer(&case.store));
        let response = ask(&mut Connection::open(address).unwrap(), case);
        let passed = !upstream.take_requests().is_empty();
        let checked =
            check(case, &response, passed).and(check_callout(case, &store.take_requests()));
        match (checked, NOT_IN_LUA.contains(&case.name.as_str())) {
            (Err(what), false) => failures.push(format!("{}: {what}", case.name)),
            (Ok(()), true) => failures.push(format!("{}: it does this after all", case.name)),
            _ => {}
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

fn ask(connection: &mut Connection, case: &Case) -> Response {
    let fields = case.headers();
    let mut headers: Vec<(&str, &[u8])> = vec![("host", b"edge")];
    headers.extend(fields.iter().map(|(name, value)| (*name, value.as_slice())));
    connection.send(&encode_request(&case.method, case.target(), &headers, case.body())).unwrap();
    connection.receive(case.method == "HEAD").unwrap()
}

fn check(case: &Case, response: &Response, passed: bool) -> Result<(), String> {
    match &case.expect {
        _ if passed != case.passes => Err(format!("passed: {passed}")),
        None => Ok(()),
        Some(expected) => check_response(case, response, expected),
    }
}

fn check_callout(case: &Case, asked: &[Request]) -> Result<(), String> {
    let (expected, asked) = match (&case.callout, asked) {
        (None, []) => return Ok(()),
        (Some(expected), [asked]) => (expected, asked),
        _ => return Err(format!("the store was asked {asked:?}")),
    };
    let theirs = |name: &String| !NOT_THE_CLIENTS.contains(&name.as_str());
    let mut sent: Vec<(&str, &[u8])> = asked
        .headers
        .iter()
        .filter(|(name, _)| theirs(name))
        .map(|(name, value)| (name.as_str(), value.as_slice()))
        .collect();
    let mut headers: Vec<(&str, &[u8])> =
        expected.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    // A Lua table has no order.
    sent.sort();
    headers.sort();
    match asked.target_text() == expected.target() && sent == headers {
        true => Ok(()),
        false => Err(format!("the store was asked {asked:?}")),
    }
}
