//! Between Envoy and [`Edge`](crate::edge::Edge), on the Rust SDK: bytes in, bytes out, no decisions.
//!
//! | file | holds |
//! |---|---|
//! | `contexts` | the SDK's contexts: what Envoy calls |
//! | `carry_out` | carries out a step: callouts, local replies, log lines |
//! | `ticks` | ends pauses, and asks Envoy for its log level |
//! | `metrics` | what is counted for Prometheus |
//! | `imports` | host calls that the SDK lacks or makes in another way |
//! | `exports.txt` | the exports that `cargo xtask dist` keeps |
//!
//! The SDK panics on what it does not expect, and a panic here hangs the client and the worker's other requests.
//! `clippy.toml` says which of its calls must not be used, and docs/decisions/2026-11-25-the-sdk.md which of its
//! panics remain and why no Envoy causes them.

mod carry_out;
mod contexts;
mod imports;
mod metrics;
mod ticks;
