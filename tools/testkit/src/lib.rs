//! What tests, demo and lab share: a real Envoy and the module it loads, a raw HTTP
//! client that may be rude, and a store that may be ruder.
//!
//! | module | holds |
//! |---|---|
//! | [`workspace`] | where the workspace is; builds the filter and the count store |
//! | [`envoy`] | finds or downloads Envoy, builds its configuration, runs it, asks its admin interface |
//! | [`edge`] | an Envoy with the filter, for tests of the filter |
//! | [`bypass_route`] | the route that leaves the filter out of requests that cannot be for it |
//! | [`envoy_yaml`] | `envoy.yaml` as it ships, with other addresses |
//! | [`count_store`] | the reference count store, running |
//! | [`keystone`] | a real Keystone: installed, running, and spoken to |
//! | [`postgres`] | real PostgreSQL servers: one, or a primary with replicas |
//! | [`debian`] | programs of Debian's packages, unpacked into the target folder |
//! | [`browser`] | Chromium without a window |
//! | [`python`] | the Python on `PATH`, and pinned packages for it |
//! | [`cases`] | the contract's cases as data |
//! | [`configurations`] | plugin configurations, each taken or refused |
//! | [`store_faults`] | what a store does wrong, and what the client gets |
//! | [`http`] | an HTTP/1.1 client over a plain socket: any byte may be sent |
//! | [`http2`] | an HTTP/2 client: single streams; a server that resets them |
//! | [`store`] | a scripted store that answers, hangs, resets, floods, lies |
//! | [`ports`] | free ports, and an address that refuses connections |
//! | `wasm` | a proxy-wasm host that counts host calls and instructions |
//!
//! Everything blocks and nothing is async: a test reads from top to bottom. An [`Error`] is for
//! the person who reads the failed test: a sentence, or what was being done and why it failed (`{:#}`).

// The bans are for code that must never panic; a test's helper may.
#![allow(clippy::disallowed_methods)]

mod command;
mod kept;
mod wait;

pub mod browser;
pub mod bypass_route;
pub mod cases;
pub mod configurations;
pub mod count_store;
pub mod debian;
pub mod edge;
pub mod envoy;
pub mod envoy_yaml;
pub mod http;
pub mod http2;
pub mod keystone;
pub mod ports;
pub mod postgres;
pub mod python;
pub mod store;
pub mod store_faults;
#[cfg(feature = "wasm")]
pub mod wasm;
pub mod workspace;

pub use anyhow::{Error, Result};
pub use command::{Progress, stop};
pub use kept::kept;
pub use wait::{PATIENCE, lock, wait_for};
