//! The store-outcome table (contract §3): what a store does wrong, and what the client gets. A
//! store that resets, truncates, drips, hangs, floods and lies; after each, the next request is
//! counted.

use std::time::{Duration, Instant};

use crate::Result;
use crate::cases::envoy::Outcome;
use crate::edge::Edge;
use crate::envoy::Options;
use crate::http;
use crate::store::{Behaviour, ScriptedStore};

/// Any project's call.
pub const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";
/// What [`CONFIGURATION`] says.
pub const TIMEOUT: Duration = Duration::from_millis(400);
/// A plugin configuration with a short timeout.
pub const CONFIGURATION: &str = r#"{"store": {"cluster": "store", "timeout": "0.4s"}}"#;

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

/// What the store does, the status and the body the client gets, and how often the store is asked.
fn rows() -> Vec<(Behaviour, u16, &'static str, usize)> {
    use Behaviour::*;
    let every = Duration::from_millis(20);
    let good = || Box::new(Behaviour::json(200, r#"{"count":2}"#));
    let counted = r#"{"count":2}"#;
    vec![
        // Refused or reset before the head.
        (ResetBeforeHead, 503, UNAVAILABLE, 3),
        // Only what comes on a connection that was open already is read.
        (CloseAfterAccept, 503, UNAVAILABLE, 1),
        (Interim(102, Box::new(ResetBeforeHead)), 503, UNAVAILABLE, 3),
        // Reset or truncated after the head.
        (ResetAfterHead, 502, BROKEN, 3),
        (Truncate, 502, BROKEN, 3),
        // No answer within the timeout, however much of it.
        (Hang, 504, LATE, 1),
        (DripHead { every }, 504, LATE, 1),
        (DripBody { every }, 504, LATE, 1),
        (Interim(103, Box::new(Hang)), 504, LATE, 1),
        (Delay(TIMEOUT * 2, good()), 504, LATE, 1),
        // Its own words.
        (Behaviour::status(503), 503, UNAVAILABLE, 2),
        (Behaviour::status(504), 504, LATE, 1),
        (Behaviour::status(429), 503, UNAVAILABLE, 1),
        (Behaviour::status(502), 502, UNUSABLE, 1),
        // Slow, but in time.
        (Delay(TIMEOUT / 2, good()), 200, counted, 1),
        (Interim(100, good()), 200, counted, 1),
        (Interim(103, good()), 200, counted, 1),
        // Too much, too deep.
        (Flood { bytes: 65 * 1024 }, 502, UNUSABLE, 1),
        (Flood { bytes: 4 << 20 }, 502, UNUSABLE, 1),
        (Behaviour::json(200, "[".repeat(1_000_000)), 502, UNUSABLE, 1),
        (Behaviour::json(200, "{\"a\":".repeat(12_000)), 502, UNUSABLE, 1),
        // Not HTTP, or not a whole head of it: docs/decisions/.
        (Garbage(b"HTTP/1.1 200 OK\r\ncont".into()), 502, UNUSABLE, 3),
        (Garbage(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".into()), 502, UNUSABLE, 3),
    ]
}

/// Runs the whole table through one Envoy, which must end as well as it began.
pub fn run(options: Options) -> Result<Outcome> {
    let (store, upstream) = (ScriptedStore::start()?, ScriptedStore::start()?);
    let edge = Edge::start_with(options, [("count", CONFIGURATION)], &store, &upstream)?;
    let (mut cases, mut failures) = (0, Vec::new());
    for (behaviour, status, body, times) in rows() {
        cases += 1;
        let what: String = format!("{behaviour:?}").chars().take(120).collect();
        if let Err(why) = check(&edge, &store, behaviour, (status, body, times))? {
            failures.push(format!("{what}: {why}"));
        }
    }
    edge.check_vms()?;
    edge.envoy.stop()?;
    Ok(Outcome { cases, failures })
}

/// What the client gets when the store does this, and that the next request is counted.
fn check(
    edge: &Edge,
    store: &ScriptedStore,
    behaviour: Behaviour,
    (status, body, times): (u16, &str, usize),
) -> Result<std::result::Result<(), String>> {
    let ask = || http::request(edge.listeners["count"], "GET", PATH, &[]);
    store.set(behaviour.clone());
    let asked = Instant::now();
    let response = ask()?;
    let took = asked.elapsed();
    let requests = store.take_requests().len();
    store.set(Behaviour::json(200, r#"{"count":3}"#));
    let next = ask()?.text();
    store.take_requests();

    // Envoy's timers may run out a little early: docs/decisions/.
    let waited = took >= TIMEOUT * 15 / 16;
    let says_so = behaviour == Behaviour::status(504);
    let whole = response.header_values("content-type") == [b"application/json"];
    Ok(if (response.status, response.text().as_str()) != (status, body) || !whole {
        Err(format!("expected {status} {body}, got {response:?}"))
    } else if took > TIMEOUT * 3 || waited != (status == 504 && !says_so) {
        Err(format!("it took {took:?}"))
    } else if requests != times {
        Err(format!("the store was asked {requests} times"))
    } else if next != r#"{"count":3}"# {
        Err(format!("the next request got {next}"))
    } else {
        Ok(())
    })
}
