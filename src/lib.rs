//! An Envoy filter that answers one cloud API call at the edge:
//! `GET /v2/{project_id}/os-vendor-backup-sharing/count`.
//!
//! A request is a value that flows one way: each module's output type is the
//! next one's input.
//!
//! ```text
//! Target + headers ── request ──▶ CountRequest ── store, auth ──▶ Callout
//!                        └────────▶ Reply ◀───────────┘
//! Outcome + Waiting ── waiting ──▶ Step: a callout again, the next one, or the Reply
//! ```
//!
//! Everything here is functions from values to values, except `glue`: the contexts of the proxy-wasm SDK, which
//! are compiled for wasm32 only and carry bytes between those functions and Envoy.
//!
//! ```
//! use std::time::SystemTime;
//!
//! use backup_sharing_count::edge::{Edge, Step};
//! use backup_sharing_count::callout::Outcome;
//!
//! let edge = Edge::new(br#"{"store": {"cluster": "count_store", "authority": "count-store"}}"#)?;
//!
//! // A request for another path passes.
//! assert!(edge.locate(b"/v2/p1/os-vendor-backup-sharing/detail").is_none());
//!
//! // A valid call becomes a callout to the store …
//! let path = b"/v2/p1/os-vendor-backup-sharing/count?share_to_me=Yes";
//! let target = edge.locate(path).ok_or("not this call")?;
//! let headers = [(&b":method"[..], &b"GET"[..])];
//! let Step::Callout(waiting) = edge.begin(target, headers.into_iter(), SystemTime::now) else {
//!     return Err("not a valid call".into());
//! };
//! let sent = "/v2/p1/os-vendor-backup-sharing/count?share_to_me=true";
//! assert!(waiting.callout().headers().contains(&(":path", sent)));
//!
//! // … which is sent again if the store's answer breaks off …
//! let Step::Callout(waiting) = waiting.resume(Outcome::Broken, &SystemTime::now) else {
//!     return Err("not sent again".into());
//! };
//!
//! // … and the store's answer becomes the client's.
//! let body = br#"{"count": 2, "took": "1 ms"}"#;
//! let outcome = Outcome::Answered { status: b"200", headers: &[], body };
//! let Step::Reply(reply) = waiting.resume(outcome, &SystemTime::now) else {
//!     return Err("not answered".into());
//! };
//! assert_eq!(reply.body, r#"{"count":2}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(missing_docs, unsafe_code)]

pub mod accept;
#[cfg(any(target_arch = "wasm32", test))]
mod alarm;
pub mod auth;
mod bytes;
pub mod cache;
pub mod callout;
pub mod config;
pub mod details;
pub mod edge;
pub mod filters;
#[cfg(target_arch = "wasm32")]
mod glue;
pub mod hash;
pub mod header_map;
mod json;
mod list;
mod memory;
pub mod percent;
pub mod reply;
pub mod request;
pub mod route;
pub mod sharing;
pub mod status;
pub mod store;
pub mod values;
pub mod waiting;
