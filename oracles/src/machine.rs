//! The filter as a whole: a request and how its callout ended (contract §2 to §4).

use std::time::Duration;

use backup_sharing_count::edge::{Decision, Edge};
use backup_sharing_count::reply::Reply;
use backup_sharing_count::store::{Callout, CalloutOutcome, NotSent};

use crate::http::{self, Answer, Field, borrowed, printable, values};
use crate::path::Reading as Path;
use crate::query::{self, Reading as Query, Rules};
use crate::{accept, path, percent, reply, store_answer};

/// A request, and how its callout ended if there was one.
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
    /// How the callout ended.
    pub outcome: Outcome,
}

/// How a callout ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// With an answer.
    Answered(Answer),
    /// After the head, this long after the callout was sent.
    Broken(Duration),
    /// It was not sent.
    NotSent(NotSent),
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
}

/// The configurations that exchanges run under.
pub const SETUPS: [Setup; 3] = [
    Setup {
        json: r#"{"store":{"cluster":"store"}}"#,
        counts: true,
        rules: query::DOCUMENTED,
        authority: "store",
        prefix: "",
        timeout: Duration::from_secs(1),
        forwarded: &crate::configuration::FORWARDED,
    },
    Setup {
        json: r#"{"store":{"cluster":"store","authority":"legacy.example:8080","path_prefix":"/api/v2",
                 "timeout":"0.016s","forward_headers":["X-Tenant","b3"]},
                 "filters":{"unknown":"ignore","statuses":["ok","gone-2"]}}"#,
        counts: true,
        rules: query::LENIENT,
        authority: "legacy.example:8080",
        prefix: "/api/v2",
        timeout: Duration::from_millis(16),
        forwarded: &["x-tenant", "b3"],
    },
    Setup {
        json: r#"{"mode":"validate"}"#,
        counts: false,
        rules: query::DOCUMENTED,
        authority: "",
        prefix: "",
        timeout: Duration::ZERO,
        forwarded: &[],
    },
];

impl Exchange {
    /// Reads an exchange written as text: a line with the number of a setup, a request line
    /// (`GET /path`), header fields, an empty line; then `no host`, `no cluster`, `broken` and
    /// milliseconds, or an answer. Any bytes are an exchange.
    pub fn read(text: &[u8]) -> Exchange {
        let (setup, rest) = http::line(text);
        let (request, rest) = http::line(rest);
        let space = request.iter().position(|&byte| byte == b' ').unwrap_or(request.len());
        let (method, target) = request.split_at(space);
        let (headers, rest) = http::fields(rest);
        let outcome = match str::from_utf8(http::line(rest).0).unwrap_or_default() {
            "no host" => Outcome::NotSent(NotSent::NoHost),
            "no cluster" => Outcome::NotSent(NotSent::UnknownCluster),
            line => match line.strip_prefix("broken ").and_then(|millis| millis.parse().ok()) {
                Some(millis) => Outcome::Broken(Duration::from_millis(millis)),
                None => Outcome::Answered(Answer::read(rest)),
            },
        };
        Exchange {
            setup: setup.first().copied().unwrap_or_default().into(),
            method: method.to_vec(),
            target: target.get(1..).unwrap_or_default().to_vec(),
            headers,
            outcome,
        }
    }

    fn setup(&self) -> &'static Setup {
        // So that the digits '0' to '2' stand for the setups 0 to 2.
        &SETUPS[self.setup % SETUPS.len()]
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
    /// It is somebody else's, or valid in mode `validate`.
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

/// Asserts that the filter decides and concludes as the contract does.
pub fn check(exchange: &Exchange) {
    let setup = exchange.setup();
    let edge = Edge::new(setup.json.as_bytes()).expect("a valid configuration");
    let decision = match edge.locate(&exchange.target) {
        None => Decision::Pass,
        Some(target) => edge.decide(target, exchange.fields().into_iter()),
    };
    match (expected(exchange, setup), &decision) {
        (Expected::Pass, Decision::Pass) => {}
        (Expected::Fault { status, details, names }, Decision::Reply(reply)) => {
            assert_eq!((reply.status, reply.details), (status, details), "{exchange:?}");
            let message = reply::message(reply);
            assert!(message.contains(&names), "{message:?} names {names:?}");
            check_edge_reply(reply);
        }
        (Expected::Query(wrong), Decision::Reply(reply)) => wrong.check_reply(reply),
        (Expected::Ask { path, forwarded }, Decision::Ask(callout)) => {
            check_callout(callout, setup, &path, &forwarded);
            check_again(&edge, exchange, setup, &path);
        }
        (Expected::Open, Decision::Reply(reply)) => check_edge_reply(reply),
        (Expected::Open, _) => {}
        (expected, found) => panic!("{exchange:?}: expected {expected:?}, got {found:?}"),
    }
    check_outcome(&edge, exchange, setup);
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
    // What is no number announces who knows what.
    let mut lengths = values(&exchange.headers, "content-length");
    if lengths.any(|length| length.is_empty() || length.iter().any(|&digit| digit != b'0')) {
        return fault(400, "edge_body", "content-length");
    }
    if !query::is_project(&project) {
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
    assert_eq!((callout.cluster, callout.timeout), ("store", setup.timeout));
    for (name, value) in callout.headers() {
        assert!(printable(value.as_bytes()).is_some(), "{name}: {value:?} is not printable ASCII");
    }
}

/// A store of ours judges the callout by the same rules: it means the same there.
fn check_again(edge: &Edge, exchange: &Exchange, setup: &Setup, path: &str) {
    let again = Exchange { target: path.as_bytes().to_vec(), ..exchange.clone() };
    let target = edge.locate(&again.target).expect("the callout's path is the route");
    match edge.decide(target, again.fields().into_iter()) {
        Decision::Ask(callout) => {
            let path = format!("{}{path}", setup.prefix);
            assert!(callout.headers().contains(&(":path", path.as_str())));
        }
        decision => panic!("the callout's own path {path} is not asked again: {decision:?}"),
    }
}

/// Nothing that a client sent is in a response header.
fn check_edge_reply(reply: &Reply) {
    let headers: Vec<(&str, &str)> =
        reply.headers.iter().skip(1).map(|(name, value)| (*name, &**value)).collect();
    let allow = [("allow", "GET")];
    assert_eq!(headers, if reply.status == 405 { &allow[..] } else { &[] });
    assert!(reply.details.starts_with("edge_") && reply.alarm.is_none(), "{reply:?}");
}

fn check_outcome(edge: &Edge, exchange: &Exchange, setup: &Setup) {
    let conclude = |body: Option<&[u8]>| {
        let headers;
        edge.conclude(match &exchange.outcome {
            Outcome::Answered(answer) => {
                headers = answer.read_headers();
                let (status, body) = (answer.status.as_slice(), body.unwrap_or(&answer.body));
                CalloutOutcome::Answered { status, headers: &headers, body }
            }
            Outcome::Broken(elapsed) => CalloutOutcome::Broken { elapsed: *elapsed },
            Outcome::NotSent(reason) => CalloutOutcome::NotSent(*reason),
        })
    };
    let Some(reply) = conclude(None) else {
        return assert!(!setup.counts, "a store is asked");
    };
    assert!(setup.counts, "no store is asked, got {reply:?}");
    assert!(reply.details.starts_with("store_"), "{reply:?}");
    let expected = match &exchange.outcome {
        Outcome::Answered(answer) => {
            assert_eq!(reply.alarm, None);
            let with_body = |body: &[u8]| conclude(Some(body)).expect("a store is asked");
            return store_answer::check_reply(answer, &reply, &with_body);
        }
        // Envoy's timer may run out a little early (docs/decisions, broken answers).
        Outcome::Broken(elapsed) if *elapsed * 16 >= setup.timeout * 15 => 504,
        Outcome::Broken(_) => 502,
        Outcome::NotSent(NotSent::NoHost) => 503,
        Outcome::NotSent(NotSent::UnknownCluster) => 500,
    };
    reply::message(&reply);
    assert_eq!((reply.status, reply.headers.len()), (expected, 1), "{:?}", exchange.outcome);
    let alarm = reply.alarm.unwrap_or_default();
    assert_eq!(
        alarm.contains("\"store\""),
        expected == 500,
        "the log names the cluster: {alarm:?}"
    );
}
