//! What Envoy calls. It skips a callback that is not here, and entering one
//! costs, so there is none without work to do.

use super::host::{self, Buffer, Map};
use super::map::HeaderMap;
use super::scratch;
use super::vm::{self, Begun};
use crate::edge::{self, Decision, Edge};
use crate::store::{self, CalloutOutcome, MAX_BODY};
use alloc::format;
use alloc::vec::Vec;

/// `proxy_action_t`, and Envoy's `FilterHeadersStatus`: the request goes on to the next filter.
const CONTINUE: u32 = 0;
/// The request waits, or is being answered, and all of it: `StopAllIterationAndWatermark`. The ABI's
/// own 1 is the same, unless `allow_on_headers_stop_iteration` is set; then it holds back the head
/// alone, and a body or trailers would take the request past us to the upstream.
const PAUSE: u32 = 4;

const REFUSED: u32 = 0;
const TAKEN: u32 = 1;

/// Says which ABI the module speaks.
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// Prepares the C library. The linker names what is to be called.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    // SAFETY: Envoy calls this first, and once.
    unsafe { __wasm_call_ctors() }
}

/// Memory for what a host call hands over; null if there is none, upon which
/// the host call fails.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    scratch::allocate(size)
}

/// A new context: of a filter (without a parent) or of a request to it.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    vm::create(context, parent);
}

/// The end of a context. Of a request, whatever became of it: its client may
/// have hung up while the store was being asked.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    vm::delete(context);
}

/// A filter gets its configuration. One that is refused changes nothing.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(filter: u32, _size: usize) -> u32 {
    match Edge::new(&host::buffer(Buffer::PluginConfiguration, usize::MAX)) {
        Ok(edge) => {
            vm::configure(filter, edge);
            TAKEN
        }
        Err(error) => {
            host::log_error(&format!("configuration refused: {error}"));
            REFUSED
        }
    }
}

/// Up to so many fields, a head is read in one piece. What a host call costs is mostly the call, and most
/// of that the host's asking for memory (docs/decisions/); of a larger head, to read the path first costs
/// less, if half of the requests are somebody else's.
const SMALL_HEAD: usize = 56;

/// A request's head has arrived.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(request: u32, fields: usize, _end: u32) -> u32 {
    let edge = match vm::begin(request) {
        Begun::Now(edge) => edge,
        Begun::Before => return PAUSE,
        Begun::Unconfigured => {
            host::send(&edge::unconfigured());
            return PAUSE;
        }
    };
    if fields > SMALL_HEAD {
        let path = host::header(Map::RequestHeaders, ":path");
        if edge.locate(&path).is_none() {
            return CONTINUE;
        }
    }
    let head = host::headers(Map::RequestHeaders);
    let Some(target) = edge.locate(head.path()) else {
        return CONTINUE;
    };
    match edge.decide(target, head.fields()) {
        Decision::Pass => return CONTINUE,
        Decision::Reply(reply) => host::send(&reply),
        Decision::Ask(callout) => {
            let sent = host::now();
            match host::dispatch(&callout) {
                Ok(token) => vm::wait(request, token, sent),
                Err(reason) => conclude(&edge, CalloutOutcome::NotSent(reason)),
            }
        }
    }
    PAUSE
}

/// A callout has ended. Envoy tells the filter's context, for a callout
/// outlives a request whose client hangs up.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(
    _filter: u32,
    token: u32,
    headers: usize,
    _body_size: usize,
    _trailers: usize,
) {
    let Some(waiting) = vm::end_callout(token) else {
        return;
    };
    if !host::act_for(waiting.request) {
        return;
    }
    if headers == 0 {
        let elapsed = host::now().saturating_sub(waiting.sent);
        return conclude(&waiting.edge, CalloutOutcome::Broken { elapsed });
    }
    let status = host::header(Map::CalloutHeaders, ":status");
    let map = match store::reads_headers(&status) {
        true => host::headers(Map::CalloutHeaders),
        false => HeaderMap::default(),
    };
    let headers: Vec<_> = map.fields().collect();
    // One byte more than is read tells the logic that there was more.
    let body = host::buffer(Buffer::CalloutBody, MAX_BODY + 1);
    let outcome = CalloutOutcome::Answered { status: &status, headers: &headers, body: &body };
    conclude(&waiting.edge, outcome);
}

fn conclude(edge: &Edge, outcome: CalloutOutcome) {
    if let Some(reply) = edge.conclude(outcome) {
        host::send(&reply);
    }
}
