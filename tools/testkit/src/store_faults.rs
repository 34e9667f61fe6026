//! What a service does wrong, and what the client gets (docs/contract.md#store-outcomes, docs/contract.md#callers): a
//! store and a Keystone that reset, truncate, drip, hang, flood and lie. After each, the next request is counted.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Result;
use crate::cases::envoy::Outcome;
use crate::edge::{self, Fixture};
use crate::envoy::Options;
use crate::envoy::config::Cluster;
use crate::http;
use crate::http2::ResettingServer;
use crate::store::{Behaviour, ScriptedStore};

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

/// A listener, what the service does, the status and the body the client gets, and how often the service is asked.
type Row = (&'static str, Behaviour, u16, &'static str, usize);

/// A service that does wrong, and the bodies that tell of it.
struct Service {
    of: fn(&Fixture) -> &ScriptedStore,
    /// Listeners that wait long enough for every answer that comes, and for [`TIMEOUT`].
    patient: &'static str,
    hasty: &'static str,
    good: &'static str,
    broken: &'static str,
    unusable: &'static str,
    unavailable: &'static str,
    late: &'static str,
    /// What the client gets for its own 502.
    own_502: (u16, &'static str),
}

const STORE: Service = Service {
    of: |fixture| &fixture.store,
    patient: "count",
    hasty: "late",
    good: r#"{"count":2}"#,
    broken: BROKEN,
    unusable: UNUSABLE,
    unavailable: UNAVAILABLE,
    late: LATE,
    own_502: (502, UNUSABLE),
};

const NO_TOKEN: &str = r#"{"computeFault":{"code":502,"message":"The identity service gave an answer that cannot be used."}}"#;
const NO_KEYSTONE: &str = r#"{"serviceUnavailable":{"code":503,"message":"The identity service is unavailable. Try again later."}}"#;

const KEYSTONE: Service = Service {
    of: |fixture| &fixture.keystone,
    patient: "auth",
    hasty: "auth_late",
    good: r#"{"token":{"project":{"id":"p1"},"expires_at":"2100-01-01T00:00:00Z"}}"#,
    broken: NO_TOKEN,
    unusable: NO_TOKEN,
    unavailable: NO_KEYSTONE,
    late: r#"{"computeFault":{"code":504,"message":"The identity service did not answer in time."}}"#,
    own_502: (503, NO_KEYSTONE),
};

fn rows(service: &Service) -> Vec<Row> {
    use Behaviour::*;
    let every = Duration::from_millis(20);
    let &Service { patient, hasty, good, broken, unusable, unavailable, late, own_502, .. } =
        service;
    let good = || Box::new(Behaviour::json(200, good));
    let counted = r#"{"count":2}"#;
    vec![
        // Refused or reset before the headers.
        (patient, ResetBeforeHeaders, 503, unavailable, 3),
        // Only what comes on a connection that was open already is read.
        (patient, CloseAfterAccept, 503, unavailable, 1),
        (patient, Interim(102, Box::new(ResetBeforeHeaders)), 503, unavailable, 3),
        // Reset or truncated after the headers.
        (patient, ResetAfterHeaders, 502, broken, 3),
        (patient, Truncate, 502, broken, 3),
        // No answer within the timeout, however much of it.
        (hasty, Hang, 504, late, 1),
        (hasty, DripHeaders { every }, 504, late, 1),
        (hasty, DripBody { every }, 504, late, 1),
        (hasty, Interim(103, Box::new(Hang)), 504, late, 1),
        (hasty, Delay(TIMEOUT * 2, good()), 504, late, 1),
        // Its own words.
        (patient, Behaviour::status(503), 503, unavailable, 2),
        (patient, Behaviour::status(504), 504, late, 1),
        (patient, Behaviour::status(429), 503, unavailable, 1),
        (patient, Behaviour::status(502), own_502.0, own_502.1, 1),
        // Slow, but in time.
        (patient, Delay(TIMEOUT * 2, good()), 200, counted, 1),
        (patient, Interim(100, good()), 200, counted, 1),
        (patient, Interim(103, good()), 200, counted, 1),
        // Too much, too deep.
        (patient, Flood { bytes: 65 * 1024 }, 502, unusable, 1),
        (patient, Flood { bytes: 4 << 20 }, 502, unusable, 1),
        (patient, Behaviour::json(200, "[".repeat(1_000_000)), 502, unusable, 1),
        (patient, Behaviour::json(200, "{\"a\":".repeat(12_000)), 502, unusable, 1),
        // Not HTTP, or its headers not whole: docs/envoy-facts.md#outcomes-of-a-callout.
        (patient, Garbage(b"HTTP/1.1 200 OK\r\ncont".into()), 502, unusable, 3),
        (patient, Garbage(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".into()), 502, unusable, 3),
    ]
}

/// The listeners of both services. Another, `streams`, is in front of the cluster of that name.
pub fn start(options: Options, more: Option<Cluster>) -> Result<Fixture> {
    let patient = edge::listener("count", r#"{"store": {"cluster": "store", "timeout": "20s"}}"#)?;
    let late = edge::listener("late", r#"{"store": {"cluster": "store", "timeout": "0.4s"}}"#)?;
    let streams = edge::listener("streams", r#"{"store": {"cluster": "streams"}}"#)?;
    let auth = |name, timeout| {
        let plugin = json!({
            "store": {"cluster": "store"},
            "auth": {"mode": "keystone", "keystone": {
                "cluster": "keystone", "timeout": timeout, "retries": 2, "remember": "0s"
            }}
        });
        edge::listener(name, &plugin.to_string())
    };
    let listeners = [patient, late, streams, auth("auth", "20s")?, auth("auth_late", "0.4s")?];
    let fixture = Fixture::start_with(options, listeners, more)?;
    fixture.keystone.set(Behaviour::json(200, KEYSTONE.good));
    Ok(fixture)
}

/// Runs the whole table through one Envoy, which must end as well as it began.
pub fn run(options: Options) -> Result<Outcome> {
    let resetting = ResettingServer::start()?;
    let streams = Cluster::new("streams", resetting.address).over_http2();
    let fixture = start(options, Some(streams))?;
    let (mut cases, mut failures) = (0, Vec::new());
    for service in [STORE, KEYSTONE] {
        let rows = rows(&service);
        // A stream of HTTP/2 alone: by another store, which counts for itself.
        let stream = ("streams", Behaviour::Hang, 503, UNAVAILABLE, 0);
        for row in rows.into_iter().chain((service.patient == "count").then_some(stream)) {
            cases += 1;
            let what: String = format!("{:?}", row.1).chars().take(120).collect();
            if let Err(why) = check(&fixture, &service, row)? {
                failures.push(format!("{}: {what}: {why}", service.patient));
            }
        }
    }
    fixture.stop()?;
    let [connections, streams] = resetting.seen.each_ref().map(|seen| seen.load(Ordering::Relaxed));
    if (connections, streams) != (1, 3) {
        failures.push(format!("{streams} streams of {connections} connections were reset"));
    }
    Ok(Outcome { cases, failures })
}

/// What the client gets when the service does this, and that the next request is counted.
fn check(
    fixture: &Fixture,
    service: &Service,
    (listener, behaviour, status, body, times): Row,
) -> Result<std::result::Result<(), String>> {
    let token = [("x-auth-token", &b"t"[..])];
    let ask = |listener: &str| http::request(fixture.edge.listeners[listener], "GET", PATH, &token);
    let scripted = (service.of)(fixture);
    fixture.store.set(Behaviour::json(200, r#"{"count":2}"#));
    scripted.set(behaviour);
    let asked = Instant::now();
    let response = ask(listener)?;
    let took = asked.elapsed();
    let requests = scripted.take_requests().len();
    scripted.set(Behaviour::json(200, service.good));
    fixture.store.set(Behaviour::json(200, r#"{"count":3}"#));
    let next = ask(service.patient)?.text();
    fixture.store.take_requests();
    scripted.take_requests();

    // Envoy's timers may run out early: docs/decisions/2026-11-23-broken-answers.md.
    let in_time = listener != service.hasty || (TIMEOUT / 10..TIMEOUT * 10).contains(&took);
    let whole = response.header_values("content-type") == [b"application/json"];
    Ok(if (response.status, response.text().as_str()) != (status, body) || !whole {
        Err(format!("expected {status} {body}, got {response:?}"))
    } else if !in_time {
        Err(format!("it took {took:?}"))
    } else if requests != times {
        Err(format!("it was asked {requests} times"))
    } else if next != r#"{"count":3}"# {
        Err(format!("the next request got {next}"))
    } else {
        Ok(())
    })
}
