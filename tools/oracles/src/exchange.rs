//! The filter as a whole: requests one after the other, and how their callouts ended (docs/contract.md#requests,
//! docs/contract.md#callers, docs/contract.md#store-outcomes).
//!
//! The table of retries is [`retries`], that of Keystone's answers [`keystone`]; what services are asked is in `asked`.

use std::time::Duration;

use backup_sharing_count::edge::{Edge, Step};
use backup_sharing_count::reply::Reply;

use crate::asked::{Ask, Asking, Memory, Unclear};
use crate::counts::Counts;
use crate::filters::is_project;
use crate::http::{Answer, printable};
use crate::keystone;
use crate::outcome::{End, Event};
use crate::path::Reading as Path;
use crate::query::{self, Reading as Query};
use crate::request::{Request, cut};
use crate::retries::Clock;
use crate::setups::{Auth, SETUPS, Setup};
use crate::{accept, path, reply};

/// Requests to one edge.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// A configuration of [`SETUPS`], modulo their number.
    pub setup: usize,
    /// One after the other.
    pub requests: Vec<Request>,
}

impl Exchange {
    /// Reads an exchange written as text: a line with the number of a setup, a request line
    /// (`GET /path`), header fields, an empty line. Then events, with a line `----` between them: a line
    /// with two numbers of milliseconds, how late and how long after, then `no host`, `no cluster`,
    /// `broken`, `envoy` and a name, or an answer. Another request follows after a line `====`: first a line with the
    /// milliseconds until then. Any bytes are an exchange.
    pub fn read(text: &[u8]) -> Exchange {
        let mut requests = Vec::new();
        let mut rest = text;
        while requests.is_empty() || (!rest.is_empty() && requests.len() < 8) {
            let request;
            (request, rest) = cut(rest, b"\n====\n");
            requests.push(Request::read(request));
        }
        let setup = text.first().copied().unwrap_or_default();
        Exchange { setup: setup.into(), requests }
    }

    fn setup(&self) -> &'static Setup {
        // So that the digit '0' stands for the setup 0.
        &SETUPS[self.setup.wrapping_sub(b'0'.into()) % SETUPS.len()]
    }
}

/// What the contract makes of a request.
#[derive(Debug)]
enum Expected {
    /// It is for another path, or valid in mode `validate`.
    Pass,
    /// It is answered at the edge.
    Fault { status: u16, details: &'static str, names: String },
    /// The caller is the reason.
    Refused { status: u16, details: &'static str },
    /// The first piece of its query that is wrong.
    Query(Query),
    /// The store is asked.
    Ask(Ask),
    /// Keystone is asked, or was. Then the store, or the request continues.
    Caller { project: String, token: String, then: Option<Ask> },
    /// The contract does not say; if it is answered, then at the edge.
    Open,
}

/// Asserts that the filter takes each step that the contract does.
pub fn check(exchange: &Exchange) {
    let setup = exchange.setup();
    let edge = Edge::new(setup.json.as_bytes()).expect("a valid configuration");
    let clock = Clock::default();
    let (mut memory, mut counts) = (Memory::default(), Counts::default());
    for request in &exchange.requests {
        clock.pass(request.after);
        let step = match edge.locate(&request.target) {
            None => Step::Continue,
            Some(target) => edge.begin(target, request.fields().into_iter(), || clock.now()),
        };
        let mut events = request.events.iter();
        match (expected(request, setup), step) {
            (Expected::Pass, Step::Continue) => {}
            (Expected::Fault { status, details, names }, Step::Reply(reply)) => {
                assert_eq!((reply.status, &*reply.details), (status, details), "{request:?}");
                let message = reply::message(&reply);
                assert!(message.contains(&names), "{message:?} names {names:?}");
                check_edge_reply(&reply);
            }
            (Expected::Refused { status, details }, Step::Reply(reply)) => {
                keystone::check_reply(&reply, None, (status, details), setup.challenge(), "");
            }
            (Expected::Query(wrong), Step::Reply(reply)) => wrong.check_reply(&reply),
            (Expected::Ask(ask), step) => {
                if setup.cache.is_none() {
                    check_again(&edge, request, setup, &ask.path);
                }
                if counts.check(&ask, setup, step, &mut events, &clock).is_err() {
                    return;
                }
            }
            (Expected::Caller { project, token, then }, step) => {
                let Auth::Keystone(keystone) = &setup.auth else { unreachable!("it is asked") };
                let asking = Asking { keystone, setup, request, project, token };
                match (asking.check(&mut memory, step, &mut events, &clock), then) {
                    (Ok(Some(step)), Some(ask)) => {
                        if counts.check(&ask, setup, step, &mut events, &clock).is_err() {
                            return;
                        }
                    }
                    (Ok(Some(Step::Continue)), None) | (Ok(None), _) => {}
                    (Ok(step), then) => panic!("{request:?}: {then:?}, got {step:?}"),
                    // What is remembered is open now.
                    (Err(Unclear), _) => return,
                }
            }
            (Expected::Open, Step::Reply(reply)) if reply.details.starts_with("auth_") => {
                keystone::check_reply(&reply, None, (0, ""), setup.challenge(), "");
            }
            (Expected::Open, Step::Reply(reply)) => check_edge_reply(&reply),
            // A token may have been asked about.
            (Expected::Open, _) => return,
            (expected, found) => panic!("{request:?}: expected {expected:?}, got {found:?}"),
        }
    }
}

/// Asserts that the filter makes of an answer of Keystone's what the contract does, however often it comes.
pub fn check_keystone(answer: &Answer) {
    let event =
        Event { late: Duration::ZERO, after: Duration::ZERO, end: End::Answered(answer.clone()) };
    // With any role and with one that must fit, asked early and asked late.
    for (setup, seconds) in [(5, 0), (6, 0), (5, 2_000_000_000)] {
        let request = Request {
            after: Duration::from_secs(seconds),
            method: b"GET".to_vec(),
            target: b"/v2/p1/os-vendor-backup-sharing/count".to_vec(),
            headers: vec![(b"x-auth-token".to_vec(), b"secret".to_vec())],
            events: vec![event.clone(); 2],
        };
        let again = Request { after: Duration::from_secs(4), ..request.clone() };
        check(&Exchange { setup: setup + usize::from(b'0'), requests: vec![request, again] });
    }
}

/// The first failure answers: path, method, accept, body, project id, query, headers to forward, caller.
fn expected(request: &Request, setup: &Setup) -> Expected {
    let fault =
        |status, details, names: &str| Expected::Fault { status, details, names: names.to_owned() };
    let (project, query) = match path::read(&request.target) {
        Path::Elsewhere => return Expected::Pass,
        Path::Open => return Expected::Open,
        Path::Disguised => return fault(404, "edge_path", ""),
        Path::Route { project, query } => (project, query),
    };
    if request.method != b"GET" || !request.values(":method").is_empty() {
        return fault(405, "edge_method", "");
    }
    match accept::accepts(&request.values("accept")) {
        Some(true) => {}
        Some(false) => return fault(406, "edge_accept", ""),
        None => return Expected::Open,
    }
    // What is no number may announce a body.
    let announces = |length: &&[u8]| length.is_empty() || length.iter().any(|&digit| digit != b'0');
    if request.values("content-length").iter().any(announces) {
        return fault(400, "edge_body", "content-length");
    }
    if !is_project(&project) {
        return fault(400, "edge_project", "project_id");
    }
    let filters = match query::read(&query, &setup.rules) {
        Query::Filters(filters) => filters,
        wrong => return Expected::Query(wrong),
    };
    let asks_keystone = matches!(setup.auth, Auth::Keystone(_));
    let listed = if setup.counts || asks_keystone { setup.forwarded } else { &[] };
    let forwarded = match request.forwarded(listed) {
        Ok(forwarded) => forwarded,
        Err(name) => return fault(400, "edge_header", &name),
    };
    let tokens = request.values("x-auth-token");
    let token_matters = asks_keystone || listed.contains(&"x-auth-token");
    if token_matters && (tokens.len() > 1 || tokens.iter().any(|it| printable(it).is_none())) {
        return fault(400, "edge_header", "x-auth-token");
    }
    let then = setup.counts.then(|| Ask::new(&project, &filters, forwarded));
    match setup.auth {
        Auth::None => {}
        Auth::Header { name, .. } => match request.values(name)[..] {
            [value] if !value.is_empty() && printable(value).is_some() => {
                if value != project.as_bytes() {
                    return Expected::Refused { status: 403, details: "auth_project" };
                }
            }
            _ => return Expected::Refused { status: 401, details: "auth_missing" },
        },
        Auth::Keystone(_) => {
            let token = tokens.first().and_then(|token| printable(token)).unwrap_or_default();
            if token.is_empty() {
                return Expected::Refused { status: 401, details: "auth_missing" };
            }
            return Expected::Caller { project, token: token.to_owned(), then };
        }
    }
    then.map_or(Expected::Pass, Expected::Ask)
}

/// A store of ours judges the callout by the same rules: it means the same there.
fn check_again(edge: &Edge, request: &Request, setup: &Setup, path: &str) {
    let again = Request { target: path.as_bytes().to_vec(), ..request.clone() };
    let target = edge.locate(&again.target).expect("the callout's path is the route");
    match edge.begin(target, again.fields().into_iter(), || Clock::default().now()) {
        Step::Callout(waiting) => {
            let path = format!("{}{path}", setup.prefix);
            assert!(waiting.callout().headers().contains(&(":path", path.as_str())));
        }
        step => panic!("the callout's own path {path} is not asked again: {step:?}"),
    }
}

/// Nothing that a client sent is in a response header.
fn check_edge_reply(reply: &Reply) {
    let headers: Vec<(&str, &str)> =
        reply.headers.iter().skip(1).map(|(name, value)| (*name, &**value)).collect();
    let allow = [("allow", "GET")];
    assert_eq!(headers, if reply.status == 405 { &allow[..] } else { &[] });
    assert!(reply.details.starts_with("edge_") && reply.notes.is_none(), "{reply:?}");
}
