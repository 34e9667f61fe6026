//! What each host call does: what Envoy does, as far as this filter can tell.

use super::guest::{Guest, Out, Refusal, Span, Status};
use super::header_map::{self, Headers};
use super::state::{Metric, Serving};
use super::step::{Callout, DispatchResult, LocalReply, Stream};

/// `proxy_log_level_t`
const INFO: u32 = 2;

type Answer = Result<(), Refusal>;

/// `proxy_map_type_t` and `proxy_buffer_type_t` of ABI 0.2.1, but for the last.
mod kind {
    pub const REQUEST_HEADERS: u32 = 0;
    pub const CALLOUT_HEADERS: u32 = 6;
    pub const CALLOUT_BODY: u32 = 4;
    pub const PLUGIN_CONFIGURATION: u32 = 7;
    /// `proxy_stream_type_t`
    pub const HTTP_REQUEST: u32 = 0;
}

pub(super) fn log(guest: &mut Guest, message: Span) -> Answer {
    let line = guest.read_text(message)?;
    guest.state().record.logs.push(line);
    Ok(())
}

pub(super) fn current_time(guest: &mut Guest, at: u32) -> Answer {
    let nanos = u64::try_from(guest.state().clock.as_nanos()).unwrap_or(u64::MAX);
    guest.write(at, &nanos.to_le_bytes())
}

/// `None` is a map that does not exist now: the callout's if its response broke off, the request's
/// once it has left the filter.
fn headers(guest: &mut Guest, kind: u32) -> Result<Option<Headers>, Refusal> {
    let state = guest.state();
    match kind {
        kind::REQUEST_HEADERS => Ok(state.request().and_then(|request| request.headers.clone())),
        kind::CALLOUT_HEADERS => Ok(state.response.as_ref().map(|(headers, _)| headers.clone())),
        _ => Err(Refusal::trap(format!("the filter asks for map {kind}, which this host lacks"))),
    }
}

/// A map that does not exist is `BadArgument` here (Envoy `getHeaderMapValue`), and of several
/// fields the first is the value.
pub(super) fn header_map_value(guest: &mut Guest, kind: u32, name: Span, out: Out) -> Answer {
    let name = guest.read(name)?;
    let headers = headers(guest, kind)?.ok_or(Status::BadArgument)?;
    let field = headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(&name));
    let (_, value) = field.ok_or(Status::NotFound)?;
    guest.give(value, out)
}

/// A map that does not exist is empty here (Envoy `getHeaderMapPairs`), and an empty one is no
/// bytes at all, not a count of zero.
pub(super) fn header_map_pairs(guest: &mut Guest, kind: u32, out: Out) -> Answer {
    match headers(guest, kind)? {
        Some(headers) if !headers.is_empty() => guest.give(&header_map::encode(&headers), out),
        _ => guest.give(&[], out),
    }
}

/// Reading nothing is `Ok` and leaves the module's words as they were.
pub(super) fn buffer_bytes(guest: &mut Guest, kind: u32, wanted: Span, out: Out) -> Answer {
    let state = guest.state();
    let buffer = match kind {
        kind::CALLOUT_BODY => state.response.as_ref().map(|(_, body)| body.clone()),
        kind::PLUGIN_CONFIGURATION => state.configuration.clone(),
        _ => {
            return Err(Refusal::trap(format!(
                "the filter asks for buffer {kind}, which this host lacks"
            )));
        }
    };
    let buffer = buffer.ok_or(Status::NotFound)?;
    let rest = buffer.get(wanted.0 as usize..).unwrap_or_default();
    match &rest[..rest.len().min(wanted.1 as usize)] {
        [] => Ok(()),
        bytes => guest.give(bytes, out),
    }
}

/// The reply takes effect when the callback returns. Envoy drops one for a stream that is gone.
pub(super) fn send_local_response(
    guest: &mut Guest,
    status: u32,
    details: Span,
    body: Span,
    headers: Span,
) -> Answer {
    // Envoy `replaceAllEmptySpace`: access logs are split at spaces.
    let details = guest.read_text(details)?.replace([' ', '\t', '\r', '\n', '\x0b', '\x0c'], "_");
    let (body, headers) = (guest.read(body)?, read_map(guest, headers)?);
    let state = guest.state();
    if state.replies_refused {
        return Err(Status::InternalFailure.into());
    }
    let context = Stream(state.effective.unwrap_or(state.context));
    if state.ended.contains(&context) {
        return Err(Refusal::trap(format!("the filter answers {context}, whose client has gone")));
    }
    let Some(stream) = state.stream() else {
        return Ok(());
    };
    let poked = state.serving == Serving::Unknown;
    if !poked && ![Serving::One(stream), Serving::All].contains(&state.serving) {
        return Err(Refusal::trap(format!("the filter answers {stream}, which is not its turn")));
    }
    let request = state.streams.entry(stream).or_default();
    if std::mem::replace(&mut request.ended, true) && !poked {
        // Which one wins is undefined, and has crashed Envoys.
        return Err(Refusal::trap(format!("the filter answers {stream}, which has ended")));
    }
    state.record.replies.insert(stream, LocalReply { status, details, headers, body });
    Ok(())
}

/// Lets a request continue that waits; it takes effect when the callback returns.
pub(super) fn continue_stream(guest: &mut Guest, kind: u32) -> Answer {
    if kind != kind::HTTP_REQUEST {
        return Err(Refusal::trap(format!("the filter continues a stream of kind {kind}")));
    }
    let state = guest.state();
    let Some(stream) = state.stream() else {
        return Err(Refusal::trap("the filter continues no request"));
    };
    let request = state.streams.entry(stream).or_default();
    if std::mem::replace(&mut request.ended, true) && state.serving != Serving::Unknown {
        return Err(Refusal::trap(format!("the filter continues {stream}, which has ended")));
    }
    state.record.continued.insert(stream);
    Ok(())
}

/// Resets the request. Envoy knows other kinds of streams; a filter of requests has none.
pub(super) fn close_stream(guest: &mut Guest, kind: u32) -> Answer {
    if kind != kind::HTTP_REQUEST {
        return Err(Refusal::trap(format!("the filter closes a stream of kind {kind}")));
    }
    guest.state().record.closed = true;
    Ok(())
}

pub(super) fn http_call(
    guest: &mut Guest,
    cluster: Span,
    headers: Span,
    timeout_ms: u32,
    token: u32,
) -> Answer {
    let cluster = guest.read_text(cluster)?;
    let headers = read_map(guest, headers)?;
    guest.write(token, &[0; 4])?;
    let has = |name: &str| headers.iter().any(|(other, _)| other == name.as_bytes());
    let whole = [":method", ":path", ":authority"].into_iter().all(has);
    if !whole || i32::try_from(timeout_ms).is_err() {
        return Err(Status::BadArgument.into());
    }
    let state = guest.state();
    match state.dispatch {
        DispatchResult::Sent => {}
        DispatchResult::UnknownCluster => return Err(Status::BadArgument.into()),
        DispatchResult::NoHost => return Err(Status::InternalFailure.into()),
    }
    let Some(stream) = state.stream() else {
        return Err(Refusal::trap("the filter sends a callout for no request"));
    };
    state.token = state.token.wrapping_add(1);
    let given = state.token;
    if state.callouts.insert(stream, given).is_some() && state.serving != Serving::Unknown {
        return Err(Refusal::trap(format!("the filter sends a second callout for {stream}")));
    }
    state.record.callouts.insert(stream, Callout { cluster, headers, timeout_ms });
    guest.write(token, &given.to_le_bytes())
}

fn read_map(guest: &mut Guest, span: Span) -> Result<Headers, Refusal> {
    let bytes = guest.read(span)?;
    header_map::decode(&bytes)
        .ok_or_else(|| Refusal::trap(format!("the filter's header map is malformed: {bytes:?}")))
}

pub(super) fn set_effective_context(guest: &mut Guest, id: u32) -> Answer {
    let state = guest.state();
    if !state.has_context(id) {
        return Err(Status::BadArgument.into());
    }
    state.effective = Some(id);
    Ok(())
}

/// Envoy logs at `info` unless it is told otherwise.
pub(super) fn log_level(guest: &mut Guest, at: u32) -> Answer {
    guest.write(at, &INFO.to_le_bytes())
}

/// Zero ends the ticks.
pub(super) fn set_tick_period(guest: &mut Guest, millis: u32) -> Answer {
    let state = guest.state();
    let root = state.root();
    match millis {
        0 => drop(state.ticks.remove(&root)),
        _ => drop(state.ticks.insert(root, millis)),
    }
    Ok(())
}

pub(super) fn set_property(guest: &mut Guest, path: Span, value: Span) -> Answer {
    let property = (guest.read_text(path)?, guest.read_text(value)?);
    guest.state().record.properties.push(property);
    Ok(())
}

pub(super) fn shared_data(guest: &mut Guest, key: Span, out: Out, version: u32) -> Answer {
    let key = guest.read(key)?;
    let (value, seen) = guest.state().shared.get(&key).cloned().ok_or(Status::NotFound)?;
    guest.write(version, &seen.to_le_bytes())?;
    guest.give(&value, out)
}

/// A version that is not 0 must be the present one.
pub(super) fn set_shared_data(guest: &mut Guest, key: Span, value: Span, version: u32) -> Answer {
    let (key, value) = (guest.read(key)?, guest.read(value)?);
    let shared = &mut guest.state().shared;
    let present = shared.get(&key).map_or(0, |(_, version)| *version);
    if version != 0 && version != present {
        return Err(Status::CasMismatch.into());
    }
    shared.insert(key, (value, present.wrapping_add(1)));
    Ok(())
}

/// `proxy_metric_type_t`
pub(super) mod metric {
    pub const COUNTER: u32 = 0;
    pub const HISTOGRAM: u32 = 2;
}

/// Envoy gives a name that it knows another number, and keeps the old one for ever.
pub(super) fn define_metric(guest: &mut Guest, kind: u32, name: Span, at: u32) -> Answer {
    let name = guest.read_text(name)?;
    let metrics = &mut guest.state().metrics;
    if metrics.iter().any(|known| known.name == name) {
        return Err(Refusal::trap(format!("the filter defines {name} again")));
    }
    let number = metrics.len() as u32;
    metrics.push(Metric { kind, name, values: Vec::new() });
    guest.write(at, &number.to_le_bytes())
}

/// Of a counter the value is what is added.
pub(super) fn metric(guest: &mut Guest, kind: u32, number: u32, value: u64) -> Answer {
    let metric = guest.state().metrics.get_mut(number as usize).ok_or(Status::NotFound)?;
    if metric.kind != kind {
        return Err(Status::BadArgument.into());
    }
    metric.values.push(value);
    Ok(())
}

/// A panic looks for `RUST_BACKTRACE`. Envoy passes no environment unless `vm_config.environment_variables` says so.
pub(super) fn environ_sizes_get(guest: &mut Guest, count: u32, size: u32) -> Answer {
    guest.write(count, &[0; 4])?;
    guest.write(size, &[0; 4])
}

/// Standard output and error are lines of Envoy's log. A panic's message takes this way.
pub(super) fn fd_write(guest: &mut Guest, vectors: Span, written: u32) -> Answer {
    let mut text = Vec::new();
    for index in 0..vectors.1 {
        let vector = guest.peek(Span(vectors.0.wrapping_add(index.wrapping_mul(8)), 8))?;
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| vector[at + byte]));
        text.extend(guest.read(Span(word(0), word(4)))?);
    }
    let size = u32::try_from(text.len()).map_err(|_| Status::InvalidMemoryAccess)?;
    guest.state().record.logs.push(String::from_utf8_lossy(&text).trim_end().to_owned());
    guest.write(written, &size.to_le_bytes())
}
