//! Between Envoy and [`Edge`](crate::edge::Edge), on the Rust SDK: bytes in, bytes out, no decision.
//!
//! | file | holds |
//! |---|---|
//! | `contexts` | the SDK's contexts: what Envoy calls |
//! | `turn` | a step carried out by the host: callouts, answers, log lines |
//! | `ticks` | pauses, and how often Envoy is asked for its log level |
//! | `imports` | three host calls that the SDK does not make as they are needed here |
//! | `exports.txt` | what of the SDK's exports the module that is handed out keeps |
//!
//! The SDK panics on what it does not expect, and a panic here hangs the client and the worker's other
//! requests. Which of its calls may be used, and how, is in `clippy.toml`; what is left, in
//! `docs/decisions/`.

mod contexts;
mod imports;
mod ticks;
mod turn;
