//! `cases.toml` against the logic alone.

// Clippy takes helpers outside `#[test]` functions for production code unless told otherwise.
#![cfg(test)]

use backup_sharing_count::call::Header;
use backup_sharing_count::edge::{Decision, Edge};
use backup_sharing_count::reply::Reply;
use backup_sharing_count::store::{CalloutOutcome, NotSent, reads_headers};
use testkit::cases::{Case, Cases, Expected, Unsent};

#[test]
fn every_case_holds() {
    let cases = Cases::load().unwrap();
    let failed: Vec<String> = cases
        .cases
        .iter()
        .filter_map(|case| {
            let edge = Edge::new(cases.config[&case.config].as_bytes()).unwrap();
            let failure = run(case, &edge).err()?;
            Some(format!("{}: {failure}", case.name))
        })
        .collect();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.cases.len(), failed.join("\n"));
    println!("{} cases", cases.cases.len());
}

fn run(case: &Case, edge: &Edge) -> Result<(), String> {
    let target = case.target();
    let Some(located) = edge.locate(&target) else {
        return if case.passes { Ok(()) } else { Err("it is another path".to_owned()) };
    };
    let fields = case.headers();
    let mut headers: Vec<Header> = vec![(b":method", case.method.as_bytes()), (b":path", &target)];
    headers.extend(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())));

    match (edge.decide(located, headers.iter().copied()), &case.expect) {
        (Decision::Pass, None) => Ok(()),
        (Decision::Pass, Some(_)) => Err("it passes".to_owned()),
        (_, None) => Err("it does not pass".to_owned()),
        (Decision::Reply(reply), Some(expected)) => {
            if case.callout.is_some() {
                return Err(format!("the store is not asked: {}", reply.body));
            }
            check(&reply, expected)
        }
        (Decision::Ask(callout), Some(expected)) => {
            match (&case.callout, case.unsent) {
                (Some(expected), None) => {
                    expected.check(&callout.headers())?;
                }
                (None, Some(_)) => {}
                _ => return Err("the store is asked".to_owned()),
            }
            check(&conclude(case, edge), expected)
        }
    }
}

fn conclude(case: &Case, edge: &Edge) -> Reply {
    let status = case.store.status.to_string();
    let (fields, body) = (case.store.headers(), case.store.body());
    let status = status.as_bytes();
    let headers = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
    let headers: Vec<Header> = headers.filter(|_| reads_headers(status)).collect();
    let outcome = match case.unsent {
        None => CalloutOutcome::Answered { status, headers: &headers, body: &body },
        Some(Unsent::NoHost) => CalloutOutcome::NotSent(NotSent::NoHost),
        Some(Unsent::UnknownCluster) => CalloutOutcome::NotSent(NotSent::UnknownCluster),
    };
    edge.conclude(outcome).expect("a callout was to be sent")
}

fn check(reply: &Reply, expected: &Expected) -> Result<(), String> {
    let headers: Vec<_> = reply.headers.iter().map(|(name, value)| (*name, &**value)).collect();
    expected.check(reply.status.into(), &headers, &reply.body)
}
