//! What a store does wrong, and what the client gets (docs/contract.md#store-outcomes). A store that resets,
//! truncates, drips, hangs, floods and lies; after each, the next request is counted.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::Result;
use crate::cases::envoy::Outcome;
use crate::edge::{self, Fixture};
use crate::envoy::Options;
use crate::envoy::config::Cluster;
use crate::http;
use crate::http2::ResettingServer;
use crate::store::Behaviour;

/// Any project's call.
pub const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";
/// How long the listener `late` waits for the store.
pub const TIMEOUT: Duration = Duration::from_millis(400);

/// A 502 for an answer that broke off.
pub const BROKEN: &str =
    r#"{"computeFault":{"code":502,"message":"The count store's answer broke off."}}"#;
/// A 502 for an answer that is none.
pub const UNUSABLE: &str = r#"{"computeFault":{"code":502,"message":"The count store gave an answer that cannot be used."}}"#;
/// A 503.
pub const UNAVAILABLE: &str = r#"{"serviceUnavailable":{"code":503,"message":"The count store is unavailable. Try again later."}}"#;
/// A 504.
pub const LATE: &str =
    r#"{"computeFault":{"code":504,"message":"The count store did not answer in time."}}"#;

/// A listener, what the store does, the status and the body the client gets, and how often the store is asked.
type Row = (&'static str, Behaviour, u16, &'static str, usize);

fn rows() -> Vec<Row> {
    use Behaviour::*;
    let every = Duration::from_millis(20);
    let good = || Box::new(Behaviour::json(200, r#"{"count":2}"#));
    let counted = r#"{"count":2}"#;
    vec![
        // Refused or reset before the headers.
        ("count", ResetBeforeHeaders, 503, UNAVAILABLE, 3),
        // Only what comes on a connection that was open already is read.
        ("count", CloseAfterAccept, 503, UNAVAILABLE, 1),
        ("count", Interim(102, Box::new(ResetBeforeHeaders)), 503, UNAVAILABLE, 3),
        // A stream of HTTP/2 alone: by another store, which counts for itself.
        ("streams", Hang, 503, UNAVAILABLE, 0),
        // Reset or truncated after the headers.
        ("count", ResetAfterHeaders, 502, BROKEN, 3),
        ("count", Truncate, 502, BROKEN, 3),
        // No answer within the timeout, however much of it.
        ("late", Hang, 504, LATE, 1),
        ("late", DripHeaders { every }, 504, LATE, 1),
        ("late", DripBody { every }, 504, LATE, 1),
        ("late", Interim(103, Box::new(Hang)), 504, LATE, 1),
        ("late", Delay(TIMEOUT * 2, good()), 504, LATE, 1),
        // Its own words.
        ("count", Behaviour::status(503), 503, UNAVAILABLE, 2),
        ("count", Behaviour::status(504), 504, LATE, 1),
        ("count", Behaviour::status(429), 503, UNAVAILABLE, 1),
        ("count", Behaviour::status(502), 502, UNUSABLE, 1),
        // Slow, but in time.
        ("count", Delay(TIMEOUT * 2, good()), 200, counted, 1),
        ("count", Interim(100, good()), 200, counted, 1),
        ("count", Interim(103, good()), 200, counted, 1),
        // Too much, too deep.
        ("count", Flood { bytes: 65 * 1024 }, 502, UNUSABLE, 1),
        ("count", Flood { bytes: 4 << 20 }, 502, UNUSABLE, 1),
        ("count", Behaviour::json(200, "[".repeat(1_000_000)), 502, UNUSABLE, 1),
        ("count", Behaviour::json(200, "{\"a\":".repeat(12_000)), 502, UNUSABLE, 1),
        // Not HTTP, or its headers not whole: docs/envoy-facts.md#outcomes-of-a-callout.
        ("count", Garbage(b"HTTP/1.1 200 OK\r\ncont".into()), 502, UNUSABLE, 3),
        ("count", Garbage(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".into()), 502, UNUSABLE, 3),
    ]
}

/// Two listeners in front of one store: `count` waits long enough for every answer that comes, `late` for [`TIMEOUT`].
/// A third, `streams`, is in front of the cluster of that name.
pub fn start(options: Options, more: Option<Cluster>) -> Result<Fixture> {
    let patient = edge::listener("count", r#"{"store": {"cluster": "store", "timeout": "20s"}}"#)?;
    let late = edge::listener("late", r#"{"store": {"cluster": "store", "timeout": "0.4s"}}"#)?;
    let streams = edge::listener("streams", r#"{"store": {"cluster": "streams"}}"#)?;
    Fixture::start_with(options, [patient, late, streams], more)
}

/// Runs the whole table through one Envoy, which must end as well as it began.
pub fn run(options: Options) -> Result<Outcome> {
    let resetting = ResettingServer::start()?;
    let streams = Cluster::new("streams", resetting.address).over_http2();
    let fixture = start(options, Some(streams))?;
    let (mut cases, mut failures) = (0, Vec::new());
    for row in rows() {
        cases += 1;
        let what: String = format!("{:?}", row.1).chars().take(120).collect();
        if let Err(why) = check(&fixture, row)? {
            failures.push(format!("{what}: {why}"));
        }
    }
    fixture.stop()?;
    let [connections, streams] = resetting.seen.each_ref().map(|seen| seen.load(Ordering::Relaxed));
    if (connections, streams) != (1, 3) {
        failures.push(format!("{streams} streams of {connections} connections were reset"));
    }
    Ok(Outcome { cases, failures })
}

/// What the client gets when the store does this, and that the next request is counted.
fn check(
    Fixture { edge, store, .. }: &Fixture,
    (listener, behaviour, status, body, times): Row,
) -> Result<std::result::Result<(), String>> {
    let ask = |listener: &str| http::request(edge.listeners[listener], "GET", PATH, &[]);
    store.set(behaviour);
    let asked = Instant::now();
    let response = ask(listener)?;
    let took = asked.elapsed();
    let requests = store.take_requests().len();
    store.set(Behaviour::json(200, r#"{"count":3}"#));
    let next = ask("count")?.text();
    store.take_requests();

    // Envoy's timers may run out early: docs/decisions/2026-11-23-broken-answers.md.
    let in_time = listener != "late" || (TIMEOUT / 10..TIMEOUT * 10).contains(&took);
    let whole = response.header_values("content-type") == [b"application/json"];
    Ok(if (response.status, response.text().as_str()) != (status, body) || !whole {
        Err(format!("expected {status} {body}, got {response:?}"))
    } else if !in_time {
        Err(format!("it took {took:?}"))
    } else if requests != times {
        Err(format!("the store was asked {requests} times"))
    } else if next != r#"{"count":3}"# {
        Err(format!("the next request got {next}"))
    } else {
        Ok(())
    })
}
