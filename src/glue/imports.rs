//! Host calls made without the SDK, each with the reason.

#![allow(unsafe_code)]

use proxy_wasm::types::MapType;

use crate::header_map::{HeaderMap, serialize};
use crate::reply::Reply;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: MapType, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, metric: *mut u32) -> u32;
    fn proxy_increment_metric(metric: u32, by: i64) -> u32;
    fn proxy_record_metric(metric: u32, value: u64) -> u32;
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
}

/// `proxy_status_t`
const OK: u32 = 0;
/// `proxy_log_level_t`
const DEBUG: u32 = 1;
/// Of a local reply that is not gRPC.
const NO_GRPC_STATUS: i32 = -1;

/// `proxy_metric_type_t`
const COUNTER: u32 = 0;
const HISTOGRAM: u32 = 2;

/// The host's number of a metric.
#[derive(Clone, Copy)]
pub struct Metric(u32);

/// All headers of a map; an empty one if there is no such map now. `None` if the host refuses, as it does when
/// `allowed_capabilities` lacks this call.
///
/// The SDK copies each name and value into memory of its own, and panics on a name beyond UTF-8. Reading
/// them where they lie saves a 405 with 40 headers 37,400 of Envoy's 327,000 instructions
/// (docs/decisions/2026-11-24-one-read.md).
pub fn header_map(map: MapType) -> Option<HeaderMap> {
    let mut data = std::ptr::null_mut();
    let mut size = 0;
    // SAFETY: both pointers are valid for the call.
    let status = unsafe { proxy_get_header_map_pairs(map, &mut data, &mut size) };
    if status != OK || data.is_null() {
        return (status == OK).then(HeaderMap::default);
    }
    // SAFETY: the host filled `size` bytes that it got from the SDK's `proxy_on_memory_allocate`, which
    // hands out boxed slices of the size it is asked for.
    Some(HeaderMap::new(unsafe { Vec::from_raw_parts(data, size, size) }))
}

/// Whether Envoy writes lines of its debug level.
///
/// The SDK reads the level into an enum of six values. Envoy has a seventh, `off`.
pub fn logs_debug() -> bool {
    let mut level = u32::MAX;
    // SAFETY: the pointer is valid for the call.
    let status = unsafe { proxy_get_log_level(&mut level) };
    status == OK && level <= DEBUG
}

/// Sends a local reply. Returns whether the host took it.
///
/// The SDK does not pass response code details, from which an access log tells why a request was answered.
pub fn send_local_response(reply: &Reply) -> bool {
    let Reply { status, details, headers, body, .. } = reply;
    let headers = serialize(headers.iter().map(|(name, value)| (*name, &**value)));
    // SAFETY: all pointers are valid for the call.
    let status = unsafe {
        proxy_send_local_response(
            u32::from(*status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            NO_GRPC_STATUS,
        )
    };
    status == OK
}

/// Defines a counter. `None` if the host refuses, as it does when `allowed_capabilities` lacks this call: then the SDK
/// panics, here and below.
pub fn counter(name: &str) -> Option<Metric> {
    define(COUNTER, name)
}

/// Defines a histogram, of integers.
pub fn histogram(name: &str) -> Option<Metric> {
    define(HISTOGRAM, name)
}

fn define(kind: u32, name: &str) -> Option<Metric> {
    let mut metric = 0;
    // SAFETY: both pointers are valid for the call.
    let status = unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &mut metric) };
    (status == OK).then_some(Metric(metric))
}

/// Counts one more. What the host refuses is not counted.
pub fn increment(Metric(metric): Metric) {
    // SAFETY: it takes numbers alone.
    unsafe { proxy_increment_metric(metric, 1) };
}

/// Adds a value to a histogram.
pub fn record(Metric(metric): Metric, value: u64) {
    // SAFETY: as above.
    unsafe { proxy_record_metric(metric, value) };
}
