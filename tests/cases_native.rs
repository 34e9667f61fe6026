//! `cases.toml` against the logic alone.

// Clippy takes helpers outside `#[test]` functions for production code unless told otherwise.
#![cfg(test)]

use std::collections::BTreeMap;
use std::time::SystemTime;

use backup_sharing_count::callout::{NotSent, Outcome};
use backup_sharing_count::edge::{Edge, Step};
use backup_sharing_count::filters::FILTERS;
use backup_sharing_count::reply::Reply;
use backup_sharing_count::request::Header;
use backup_sharing_count::status;
use backup_sharing_count::waiting::Waiting;
use testkit::cases::{Case, Cases, Expected, ServiceAnswer, Unsent};

#[test]
fn every_case_holds() {
    let cases = Cases::load().unwrap();
    let edges: BTreeMap<_, _> = cases
        .config
        .iter()
        .map(|(name, json)| (name, Edge::new(json.as_bytes()).unwrap()))
        .collect();
    let failed: Vec<String> = cases
        .cases
        .iter()
        .filter_map(|case| {
            let failure = run(case, &edges[&case.config]).err()?;
            Some(format!("{}: {failure}", case.name))
        })
        .collect();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.cases.len(), failed.join("\n"));
    println!("{} cases", cases.cases.len());
}

#[test]
fn every_filter_and_every_status_has_its_cases() {
    let cases = Cases::load().unwrap().cases;
    let names = |target: &str, filter: &str| {
        let mut pieces = target.split(['?', '&']).filter_map(|piece| piece.split_once('='));
        pieces.any(|(name, _)| name == filter)
    };
    for filter in FILTERS.iter().map(|filter| filter.name) {
        let asks =
            |case: &Case| case.callout.as_ref().is_some_and(|it| names(&it.target(), filter));
        assert!(cases.iter().any(asks), "tests/cases.toml has no case that counts by {filter}");
        let is_refused = |case: &Case| {
            let status = case.expect.as_ref().map(|expected| expected.status);
            status == Some(400) && names(&String::from_utf8_lossy(&case.target()), filter)
        };
        assert!(
            cases.iter().any(is_refused),
            "tests/cases.toml has no case that refuses a {filter}"
        );
    }
    for code in status::ALL.iter().map(|status| status.code) {
        let answers = |case: &Case| case.expect.as_ref().is_some_and(|it| it.status == code);
        assert!(cases.iter().any(answers), "tests/cases.toml has no case that answers {code}");
    }
}

fn run(case: &Case, edge: &Edge) -> Result<(), String> {
    let target = case.target();
    let Some(located) = edge.locate(&target) else {
        return if case.passes { Ok(()) } else { Err("it is another path".to_owned()) };
    };
    let fields = case.headers();
    let mut headers: Vec<Header> = vec![(b":method", case.method.as_bytes()), (b":path", &target)];
    headers.extend(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())));

    let mut step = edge.begin(located, headers.iter().copied(), now);
    if case.keystone.is_some() || case.keystone_unsent.is_some() {
        let Step::Callout(waiting) = step else {
            return Err(format!("Keystone is not asked: it {step}"));
        };
        if let Some(expected) = &case.keystone_callout {
            expected.check(&waiting.callout().headers())?;
        }
        step = resume(case.keystone.as_ref(), case.keystone_unsent, waiting);
    }
    match (step, &case.expect) {
        (Step::Continue, None) => Ok(()),
        (Step::Continue, Some(_)) => Err("it passes".to_owned()),
        (_, None) => Err("it does not pass".to_owned()),
        (Step::Reply(reply), Some(expected)) => {
            if case.callout.is_some() {
                return Err(format!("the store is not asked: {}", reply.body));
            }
            check(&reply, expected)
        }
        (Step::Callout(waiting), Some(expected)) => {
            match (&case.callout, case.unsent) {
                (Some(expected), None) => {
                    expected.check(&waiting.callout().headers())?;
                }
                (None, Some(_)) => {}
                _ => return Err("the store is asked".to_owned()),
            }
            match resume(Some(&case.store), case.unsent, waiting) {
                Step::Reply(reply) => check(&reply, expected),
                step => Err(format!("it {step}")),
            }
        }
        (step, _) => Err(format!("it {step}")),
    }
}

/// Tokens of the cases expire in 2100.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH
}

fn resume(says: Option<&ServiceAnswer>, unsent: Option<Unsent>, waiting: Box<Waiting>) -> Step {
    let reason = match unsent {
        Some(Unsent::NoHost) => NotSent::NoHost,
        Some(Unsent::UnknownCluster) => NotSent::UnknownCluster,
        None => {
            let says = says.expect("an answer");
            let (status, fields, body) = (says.status.to_string(), says.headers(), says.body());
            let status = status.as_bytes();
            let envoys: Header = (b"x-envoy-upstream-service-time", b"1");
            let headers = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
            let headers: Vec<Header> =
                headers.chain([envoys]).filter(|_| waiting.reads_headers(status)).collect();
            return waiting
                .resume(Outcome::Answered { status, headers: &headers, body: &body }, &now);
        }
    };
    waiting.resume(Outcome::NotSent(reason), &now)
}

fn check(reply: &Reply, expected: &Expected) -> Result<(), String> {
    let headers: Vec<_> = reply.headers.iter().map(|(name, value)| (*name, &**value)).collect();
    expected.check(reply.status.into(), &headers, &reply.body)
}
