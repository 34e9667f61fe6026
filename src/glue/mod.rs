//! Between Envoy and [`Edge`](crate::edge::Edge): bytes in, bytes out, and no decisions.
//!
//! | file | holds |
//! |---|---|
//! | `callbacks` | what Envoy calls |
//! | `vm` | what is remembered from one callback to the next |
//! | `host` | what the filter calls |
//! | `map` | the host's form of a header map |
//! | `table` | values by number, for `vm` |
//! | `scratch` | where the host puts what it hands over |
//!
//! The whole of proxy-wasm ABI 0.2.1 that a filter of this kind needs, without
//! the Rust SDK: the SDK panics on a token or a context it does not know and
//! keeps the tokens of callouts that will never end (`docs/decisions/`). A
//! panic here would hang the client and every other request of the worker
//! (proxy-wasm facts B3), so nothing here can: every callback has an answer to
//! every argument, in any order.

#![allow(unsafe_code)]

mod callbacks;
mod host;
mod map;
mod scratch;
mod table;
mod vm;

use core::panic::PanicInfo;

/// Nothing here panics; were it to, Envoy would report a trap in the function.
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

// For `memcmp`, which the compiler calls.
#[link(name = "c")]
unsafe extern "C" {}

/// A static of a machine without threads, as Envoy's are: one worker, one machine.
struct Local<T>(T);

// SAFETY: there is no other thread to share it with.
unsafe impl<T> Sync for Local<T> {}
