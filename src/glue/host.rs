//! What the filter calls. No answer of the host is a reason to panic.

use core::time::Duration;

use super::map::{self, HeaderMap};
use super::scratch::Bytes;
use crate::reply::Reply;
use crate::store::{Callout, NotSent};

/// `proxy_buffer_type_t` of the ABI, version 0.2.1.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Buffer {
    CalloutBody = 4,
    PluginConfiguration = 7,
}

/// `proxy_map_type_t`.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Map {
    RequestHeaders = 0,
    CalloutHeaders = 6,
}

/// `proxy_status_t`.
const OK: u32 = 0;
/// Of a callout: there is no such cluster (proxy-wasm facts 0.4).
const BAD_ARGUMENT: u32 = 2;
const LOG_LEVEL_ERROR: u32 = 4;
const STREAM_HTTP_REQUEST: u32 = 0;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_get_buffer_bytes(
        kind: Buffer,
        start: usize,
        max_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(kind: Map, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        kind: Map,
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_close_stream(stream: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout_ms: u32,
        token: *mut u32,
    ) -> u32;
}

/// Runs a host call that hands over bytes. Empty if it fails or has none.
fn bytes(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Bytes {
    let mut data = core::ptr::null_mut();
    let mut size = 0;
    if call(&mut data, &mut size) != OK || data.is_null() {
        return Bytes::default();
    }
    // SAFETY: the host filled `size` bytes that it got from [`scratch::allocate`].
    unsafe { Bytes::from_host(data, size) }
}

/// The first header of a map called `name`.
pub fn header(map: Map, name: &str) -> Bytes {
    // SAFETY: all pointers are valid for the call.
    bytes(|data, size| unsafe {
        proxy_get_header_map_value(map, name.as_ptr(), name.len(), data, size)
    })
}

/// All headers of a map; none if there is no such map now.
pub fn headers(map: Map) -> HeaderMap {
    // SAFETY: both pointers are valid for the call.
    HeaderMap::new(bytes(|data, size| unsafe { proxy_get_header_map_pairs(map, data, size) }))
}

/// The first `max_size` bytes of a buffer.
pub fn buffer(kind: Buffer, max_size: usize) -> Bytes {
    // SAFETY: both pointers are valid for the call.
    bytes(|data, size| unsafe { proxy_get_buffer_bytes(kind, 0, max_size, data, size) })
}

/// The time since the epoch; zero if the host has no clock.
pub fn now() -> Duration {
    let mut nanos = 0;
    // SAFETY: the pointer is valid for the call.
    unsafe { proxy_get_current_time_nanoseconds(&mut nanos) };
    Duration::from_nanos(nanos)
}

/// Writes a line to Envoy's error log.
pub fn log_error(line: &str) {
    // SAFETY: the pointer is valid for the call. A log that fails is no reason to stop.
    unsafe { proxy_log(LOG_LEVEL_ERROR, line.as_ptr(), line.len()) };
}

/// Sends the client's answer. If the host will not have it, ends the stream:
/// a client must not wait for an answer that never comes.
pub fn send(reply: &Reply) {
    if let Some(line) = &reply.alarm {
        log_error(line);
    }
    let fields = reply.headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    // SAFETY: all pointers are valid for the call.
    let status = map::serialized(fields, |headers| unsafe {
        proxy_send_local_response(
            u32::from(reply.status),
            reply.details.as_ptr(),
            reply.details.len(),
            reply.body.as_ptr(),
            reply.body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        )
    });
    if status != OK {
        // SAFETY: takes no pointer.
        unsafe { proxy_close_stream(STREAM_HTTP_REQUEST) };
    }
}

/// Sends a callout; its token comes back with its outcome.
pub fn dispatch(callout: &Callout) -> Result<u32, NotSent> {
    const NONE: [u8; 4] = [0; 4];
    // Envoy reads 0 as no timeout at all; a configuration has at least 1 ms.
    let timeout = u32::try_from(callout.timeout.as_millis()).unwrap_or(u32::MAX);
    let mut token = 0;
    // SAFETY: all pointers are valid for the call.
    let status = map::serialized(callout.headers(), |headers| unsafe {
        proxy_http_call(
            callout.cluster.as_ptr(),
            callout.cluster.len(),
            headers.as_ptr(),
            headers.len(),
            core::ptr::null(),
            0,
            NONE.as_ptr(),
            NONE.len(),
            timeout,
            &mut token,
        )
    });
    match status {
        OK => Ok(token),
        BAD_ARGUMENT => Err(NotSent::UnknownCluster),
        _ => Err(NotSent::NoHost),
    }
}

/// Makes what follows be about a request. False if it has gone.
pub fn act_for(request: u32) -> bool {
    // SAFETY: takes no pointer.
    unsafe { proxy_set_effective_context(request) == OK }
}
