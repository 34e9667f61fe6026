//! An Envoy filter that answers one cloud API call at the edge:
//! `GET /v2/{project_id}/os-vendor-backup-sharing/count`.
//!
//! A request is a value that flows one way: each module's output type is the
//! next one's input.
//!
//! ```text
//! Target + headers ── call ──▶ CountRequest ── store ──▶ Callout
//!                        └─▶ Fault ─▶ Reply ◀─ Fault ─┘
//! CalloutOutcome ── store ──▶ Reply
//! ```
//!
//! All of this crate is functions from values to values, but for `glue`: the
//! contexts of the proxy-wasm SDK, which are compiled for wasm32 only and carry
//! bytes between those functions and Envoy.
//!
//! ```
//! use backup_sharing_count::edge::{Decision, Edge};
//! use backup_sharing_count::store::CalloutOutcome;
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
//! let Decision::Ask(callout) = edge.decide(target, headers.into_iter()) else {
//!     return Err("not a valid call".into());
//! };
//! let sent = "/v2/p1/os-vendor-backup-sharing/count?share_to_me=true";
//! assert!(callout.headers().into_iter().any(|field| field == (":path", sent)));
//!
//! // … and the store's answer becomes the client's.
//! let body = br#"{"count": 2, "took": "1 ms"}"#;
//! let outcome = CalloutOutcome::Answered { status: b"200", headers: &[], body };
//! let reply = edge.conclude(outcome).ok_or("no store")?;
//! assert_eq!(reply.body, r#"{"count":2}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(missing_docs, unsafe_code)]

pub mod accept;
mod bytes;
pub mod call;
pub mod config;
pub mod edge;
pub mod filters;
#[cfg(target_arch = "wasm32")]
mod glue;
pub mod header_map;
pub mod percent;
pub mod reply;
pub mod route;
#[cfg(not(target_arch = "wasm32"))]
pub mod sql;
pub mod status;
pub mod store;
pub mod values;
