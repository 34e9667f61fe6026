//! The filter as a whole: a request, and how its callouts ended (docs/contract.md#requests, docs/contract.md#store-outcomes).
//!
//! The table of retries is [`retries`](crate::retries).

use std::time::Duration;

use backup_sharing_count::callout::Callout;
use backup_sharing_count::edge::{Edge, Step};
use backup_sharing_count::reply::Reply;

use crate::filters::{DOCUMENTED, LENIENT, Rules, is_project};
use crate::http::{self, Field, borrowed, printable, values};
use crate::outcome::Event;
use crate::path::Reading as Path;
use crate::query::{self, Reading as Query};
use crate::retries::{self, Clock};
use crate::{accept, path, percent, reply};

/// A request, and how its callouts ended.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// A configuration of [`SETUPS`], modulo their number.
    pub setup: usize,
    /// `:method`
    pub method: Vec<u8>,
    /// `:path`
    pub target: Vec<u8>,
    /// The other header fields, names in lower case.
    pub headers: Vec<Field>,
    /// How one callout after the other ended. Of those for which there is none, the timeout runs out.
    pub events: Vec<Event>,
}

/// A configuration, and what follows from it.
#[derive(Debug)]
pub struct Setup {
    /// As the filter gets it.
    pub json: &'static str,
    /// Whether a store is asked.
    pub counts: bool,
    /// `filters`
    pub rules: Rules,
    /// `store.authority`
    pub authority: &'static str,
    /// `store.path_prefix`
    pub prefix: &'static str,
    /// `store.timeout`
    pub timeout: Duration,
    /// `store.forward_headers`
    pub forwarded: &'static [&'static str],
    /// `store.retries`
    pub retries: usize,
}

const DEFAULT: Setup = Setup {
    json: r#"{"store":{"cluster":"store"}}"#,
    counts: true,
    rules: DOCUMENTED,
    authority: "store",
    prefix: "",
    timeout: Duration::from_secs(1),
    forwarded: &crate::configuration::FORWARDED,
    retries: 2,
};

/// The configurations that exchanges run under.
pub const SETUPS: [Setup; 5] = [
    DEFAULT,
    Setup {
        json: r#"{"store":{"cluster":"store","authority":"legacy.example:8080","path_prefix":"/api/v2",
                 "timeout":"0.016s","retries":3,"forward_headers":["X-Tenant","b3"]},
                 "filters":{"unknown":"ignore","statuses":["ok","gone-2"]}}"#,
        counts: true,
        rules: LENIENT,
        authority: "legacy.example:8080",
        prefix: "/api/v2",
        timeout: Duration::from_millis(16),
        forwarded: &["x-tenant", "b3"],
        retries: 3,
    },
    Setup { json: r#"{"mode":"validate"}"#, counts: false, ..DEFAULT },
    Setup {
        json: r#"{"store":{"cluster":"store","timeout":"0.1s","retries":3}}"#,
        timeout: Duration::from_millis(100),
        retries: 3,
        ..DEFAULT
    },
    Setup { json: r#"{"store":{"cluster":"store","retries":0}}"#, retries: 0, ..DEFAULT },
];

impl Exchange {
    /// Reads an exchange written as text: a line with the number of a setup, a request line
    /// (`GET /path`), header fields, an empty line. Then events, with a line `----` between them: a line
    /// with two numbers of milliseconds, how late and how long after, then `no host`, `no cluster`,
    /// `broken`, `envoy` and a name, or an answer. Any bytes are an exchange.
    pub fn read(text: &[u8]) -> Exchange {
        let (setup, rest) = http::line(text);
        let (request, rest) = http::line(rest);
        let space = request.iter().position(|&byte| byte == b' ').unwrap_or(request.len());
        let (method, target) = request.split_at(space);
        let (headers, mut rest) = http::fields(rest);
        let mut events = Vec::new();
        while !rest.is_empty() && events.len() < 8 {
            let border = rest.windows(6).position(|window| window == b"\n----\n");
            let (event, after) = rest.split_at(border.unwrap_or(rest.len()));
            events.push(Event::read(event));
            rest = after.get(6..).unwrap_or_default();
        }
        Exchange {
            setup: setup.first().copied().unwrap_or_default().into(),
            method: method.to_vec(),
            target: target.get(1..).unwrap_or_default().to_vec(),
            headers,
            events,
        }
    }

    fn setup(&self) -> &'static Setup {
        // So that the digit '0' stands for the setup 0.
        &SETUPS[self.setup.wrapping_sub(b'0'.into()) % SETUPS.len()]
    }

    /// `:method` and `:path`, then the others.
    fn fields(&self) -> Vec<(&[u8], &[u8])> {
        let pseudo: [(&[u8], &[u8]); 2] = [(b":method", &self.method), (b":path", &self.target)];
        pseudo.into_iter().chain(borrowed(&self.headers)).collect()
    }
}

/// What the contract makes of a request.
#[derive(Debug)]
enum Expected {
    /// It is for another path, or valid in mode `validate`.
    Pass,
    /// It is answered at the edge.
    Fault { status: u16, details: &'static str, names: String },
    /// The first piece of its query that is wrong.
    Query(Query),
    /// The store is asked.
    Ask { path: String, forwarded: Vec<(String, String)> },
    /// The contract does not say; if it is answered, then at the edge.
    Open,
}

/// Asserts that the filter takes each step that the contract does.
pub fn check(exchange: &Exchange) {
    let setup = exchange.setup();
    let edge = Edge::new(setup.json.as_bytes()).expect("a valid configuration");
    let clock = Clock::default();
    let step = match edge.locate(&exchange.target) {
        None => Step::Continue,
        Some(target) => edge.begin(target, exchange.fields().into_iter(), || clock.now()),
    };
    match (expected(exchange, setup), step) {
        (Expected::Pass, Step::Continue) => {}
        (Expected::Fault { status, details, names }, Step::Reply(reply)) => {
            assert_eq!((reply.status, &*reply.details), (status, details), "{exchange:?}");
            let message = reply::message(&reply);
            assert!(message.contains(&names), "{message:?} names {names:?}");
            check_edge_reply(&reply);
        }
        (Expected::Query(wrong), Step::Reply(reply)) => wrong.check_reply(&reply),
        (Expected::Ask { path, forwarded }, Step::Callout(waiting)) => {
            check_callout(waiting.callout(), setup, &path, &forwarded);
            check_again(&edge, exchange, setup, &path);
            retries::check(&exchange.events, waiting, setup.timeout, setup.retries, &clock);
        }
        (Expected::Open, Step::Reply(reply)) => check_edge_reply(&reply),
        (Expected::Open, _) => {}
        (expected, found) => panic!("{exchange:?}: expected {expected:?}, got {found:?}"),
    }
}

/// The first failure answers: path, method, accept, body, project id, query, headers to forward.
fn expected(exchange: &Exchange, setup: &Setup) -> Expected {
    let fault =
        |status, details, names: &str| Expected::Fault { status, details, names: names.to_owned() };
    let (project, query) = match path::read(&exchange.target) {
        Path::Elsewhere => return Expected::Pass,
        Path::Open => return Expected::Open,
        Path::Disguised => return fault(404, "edge_path", ""),
        Path::Route { project, query } => (project, query),
    };
    if exchange.method != b"GET" || values(&exchange.headers, ":method").next().is_some() {
        return fault(405, "edge_method", "");
    }
    let accept: Vec<&[u8]> = values(&exchange.headers, "accept").collect();
    match accept::accepts(&accept) {
        Some(true) => {}
        Some(false) => return fault(406, "edge_accept", ""),
        None => return Expected::Open,
    }
    // What is no number may announce a body.
    let mut lengths = values(&exchange.headers, "content-length");
    if lengths.any(|length| length.is_empty() || length.iter().any(|&digit| digit != b'0')) {
        return fault(400, "edge_body", "content-length");
    }
    if !is_project(&project) {
        return fault(400, "edge_project", "project_id");
    }
    let filters = match query::read(&query, &setup.rules) {
        Query::Filters(filters) => filters,
        wrong => return Expected::Query(wrong),
    };
    if !setup.counts {
        return Expected::Pass;
    }
    let mut forwarded = Vec::new();
    for (name, value) in borrowed(&exchange.headers) {
        let Some(name) = setup.forwarded.iter().find(|listed| listed.as_bytes() == name) else {
            continue;
        };
        let Some(value) = printable(value) else { return fault(400, "edge_header", name) };
        forwarded.push(((*name).to_owned(), value.to_owned()));
    }
    if forwarded.iter().filter(|(name, _)| name == "x-auth-token").count() > 1 {
        return fault(400, "edge_header", "x-auth-token");
    }
    Expected::Ask { path: callout_path(&project, &filters), forwarded }
}

fn callout_path(project: &str, filters: &[(&str, String)]) -> String {
    let pairs = filters.iter().map(|(name, value)| format!("{name}={}", percent::encode(value)));
    let query = pairs.collect::<Vec<_>>().join("&");
    let mark = if query.is_empty() { "" } else { "?" };
    format!("/v2/{project}/os-vendor-backup-sharing/count{mark}{query}")
}

fn check_callout(callout: &Callout, setup: &Setup, path: &str, forwarded: &[(String, String)]) {
    let path = format!("{}{path}", setup.prefix);
    let own = [
        (":method", "GET"),
        (":path", path.as_str()),
        (":authority", setup.authority),
        ("accept", "application/json"),
    ];
    let along = forwarded.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    assert_eq!(callout.headers(), own.into_iter().chain(along).collect::<Vec<_>>());
    assert_eq!(callout.service().cluster, "store");
    for (name, value) in callout.headers() {
        assert!(printable(value.as_bytes()).is_some(), "{name}: {value:?} is not printable ASCII");
    }
}

/// A store of ours judges the callout by the same rules: it means the same there.
fn check_again(edge: &Edge, exchange: &Exchange, setup: &Setup, path: &str) {
    let again = Exchange { target: path.as_bytes().to_vec(), ..exchange.clone() };
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
