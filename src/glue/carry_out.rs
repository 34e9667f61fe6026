//! Carries out a step with host calls.

use std::time::SystemTime;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::Context;
use proxy_wasm::types::{LogLevel, MapType, Status};

use super::imports;
use super::metrics::Metrics;
use super::ticks::Ticks;
use crate::alarm;
use crate::callout::{MAX_BODY, NotSent, Outcome};
use crate::edge::Step;
use crate::header_map::HeaderMap;
use crate::reply::{Notes, Reply};
use crate::waiting::{Held, Waiting};

/// What has become of a request.
pub enum Turn {
    /// It continues to the next filter.
    Continues,
    /// It is answered.
    Answered,
    /// It waits for a later tick.
    Held(Box<Held>),
    /// A callout was sent under this token.
    Sent(u32, Box<Waiting>),
}

/// Carries out a request's next step, and those that follow from it at once. The request is the effective
/// context.
pub fn carry_out(request: u32, mut step: Step, ticks: &Ticks, metrics: Option<&Metrics>) -> Turn {
    loop {
        if ticks.logs_debug() {
            log(LogLevel::Debug, &format!("request {request} {step}"));
        }
        step = match step {
            Step::Continue => return Turn::Continues,
            Step::Reply(reply) => {
                if let Some(metrics) = metrics {
                    metrics.answered(&reply.details);
                }
                answer(&reply);
                return Turn::Answered;
            }
            Step::Hold(held) => {
                if let Some(metrics) = metrics.filter(|_| held.shares()) {
                    metrics.shared();
                }
                return Turn::Held(held);
            }
            Step::Callout(waiting) => {
                if let Some(metrics) = metrics.filter(|_| waiting.is_retry()) {
                    metrics.retried(waiting.target());
                }
                let (callout, timeout) = (waiting.callout(), waiting.timeout());
                let (cluster, headers) = (&callout.service().cluster, callout.headers());
                match hostcalls::dispatch_http_call(cluster, headers, None, Vec::new(), timeout) {
                    Ok(token) => return Turn::Sent(token, waiting),
                    Err(Status::BadArgument) => not_sent(waiting, NotSent::UnknownCluster),
                    Err(_) => not_sent(waiting, NotSent::NoHost),
                }
            }
        };
    }
}

fn not_sent(waiting: Box<Waiting>, reason: NotSent) -> Step {
    waiting.resume(Outcome::NotSent(reason), &now)
}

/// The step that follows from a callout's outcome, which is read from the host.
pub fn resume(
    context: &dyn Context,
    fields: usize,
    waiting: Box<Waiting>,
    metrics: Option<&Metrics>,
) -> Step {
    // One look at the clock will do.
    let measured = metrics.map(|metrics| {
        let now = now();
        metrics.called(waiting.target(), waiting.age(now));
        now
    });
    let now = || measured.unwrap_or_else(now);
    if fields == 0 {
        // The answer broke off. To ask for its headers would make the SDK panic.
        return waiting.resume(Outcome::Broken, &now);
    }
    let status = context.get_http_call_response_header_bytes(":status").unwrap_or_default();
    let map = match waiting.reads_headers(&status) {
        true => imports::header_map(MapType::HttpCallResponseHeaders).unwrap_or_default(),
        false => HeaderMap::default(),
    };
    let headers: Vec<_> = map.fields().collect();
    // One byte more than the limit tells `Outcome` that the body is longer.
    let body = context.get_http_call_response_body(0, MAX_BODY + 1).unwrap_or_default();
    waiting.resume(Outcome::Answered { status: &status, headers: &headers, body: &body }, &now)
}

fn answer(reply: &Reply) {
    if let Some(notes) = &reply.notes {
        note(notes);
    }
    if !imports::send_local_response(reply) {
        // Otherwise the client would wait for ever.
        let _ = hostcalls::reset_http_request();
    }
}

fn note(notes: &Notes) {
    if let Some(line) = &notes.alarm {
        log_alarm(line);
    }
    if let Some(text) = &notes.envoy_says {
        // It is `Ok`, or a panic of the SDK.
        let _ = hostcalls::set_property(vec![ENVOY_SAYS], Some(text.as_bytes()));
    }
}

/// An access log has it as `%FILTER_STATE(wasm.backup_sharing_count.envoy_says:PLAIN)%`.
const ENVOY_SAYS: &str = "backup_sharing_count.envoy_says";

/// Writes a line to Envoy's error log, unless any worker has written it within the last minute. (Two workers
/// that write it for the first time at the same moment may both do so.)
fn log_alarm(line: &str) {
    let now = now();
    let Ok((last, version)) = hostcalls::get_shared_data(line) else { return };
    let due = alarm::is_due(last.as_deref(), now);
    if due && hostcalls::set_shared_data(line, Some(&alarm::stamp(now)), version).is_ok() {
        log(LogLevel::Error, line);
    }
}

/// Writes a line to Envoy's log.
pub fn log(level: LogLevel, line: &str) {
    // It is `Ok`, or a panic of the SDK.
    let _ = hostcalls::log(level, line);
}

/// The host's clock.
pub fn now() -> SystemTime {
    // It is `Ok`, or a panic of the SDK.
    hostcalls::get_current_time().unwrap_or(SystemTime::UNIX_EPOCH)
}
