//! A proxy-wasm host for tests: the release module, without an Envoy around it.
//!
//! Natively the glue is not compiled at all, and an Envoy says neither what a request cost nor
//! lets a test choose what a host call answers. This host runs the very module Envoy loads, counts
//! its host calls and instructions, and gives each call the answer Envoy gives, odd ones included
//! (sources: proxy-wasm-cpp-host `exports.cc`, Envoy `context.cc`).
//!
//! | file | holds |
//! |---|---|
//! | `host` | [`Host`]: one VM, its root contexts, and how a callback is run |
//! | `events` | what happens to a request, in the order Envoy knows and in all others |
//! | `module` | [`Module`]: compiles it, lists what it imports and exports |
//! | `step` | what a callback left behind: [`Step`] |
//! | `imports` | which host calls there are |
//! | `calls` | what each of them does |
//! | `guest` | the module's memory, as a host call sees it |
//! | `state` | what the host calls read and write |
//! | [`header_map`] | the ABI's form of header maps |
//!
//! It serves what this filter calls and no more: another call of the ABI is an error that names
//! it, so a filter that starts to make one fails its tests until its author has looked. What Envoy
//! does around a filter (codecs, gRPC replies) is for the tests with an Envoy.

mod calls;
mod events;
mod guest;
pub mod header_map;
mod host;
mod imports;
mod module;
mod state;
mod step;

pub use host::Host;
pub use module::Module;
pub use step::{Callout, DispatchResult, End, LocalReply, Step, Stream};
