//! What Envoy answers to a callout when no store does.
//!
//! Envoy's texts, as 1.36.2 to 1.40.0 have them, are held by the tests with a real Envoy
//! (`tests/causes.rs`).

use crate::call::{Header, values_of};
use crate::details::cause;

/// What Envoy says in the store's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvoysWord<'a> {
    /// The timeout has run out.
    Late,
    /// What came was no HTTP, or part of a head.
    NoHttp(&'a str),
    /// No host was asked, on purpose.
    NotAsked { cause: &'static str, text: &'a str },
    /// A host was asked, or was to be, and the connection failed.
    NoAnswer { cause: &'static str, text: &'a str },
}

/// Envoy adds it to what comes from a host, in place of one that the host sent.
const FROM_A_HOST: &str = "x-envoy-upstream-service-time";

/// What begins each answer about a connection that failed; the reason follows.
const FAILED: &str = "upstream connect error or disconnect/reset before headers";

impl<'a> EnvoysWord<'a> {
    /// `None` if the response is a host's.
    pub fn read(headers: &[Header], body: &'a [u8]) -> Option<EnvoysWord<'a>> {
        if values_of(headers.iter().copied(), FROM_A_HOST).next().is_some() {
            return None;
        }
        let text = str::from_utf8(body).ok()?;
        if text == "upstream request timeout" {
            return Some(EnvoysWord::Late);
        }
        if text == "no healthy upstream" {
            return Some(EnvoysWord::NotAsked { cause: cause::NO_HOST, text });
        }
        let reason = text.strip_prefix(FAILED)?;
        let says = |words: &str| reason.contains(words);
        Some(if says("protocol error") {
            EnvoysWord::NoHttp(text)
        } else if says("overflow") {
            EnvoysWord::NotAsked { cause: cause::OVERFLOW, text }
        } else {
            // A failed handshake is a failed connection too, whose text goes on.
            let cause = if says("TLS_error") {
                cause::TLS
            } else if says("connection failure") {
                cause::CONNECT_FAILURE
            } else if says("connection timeout") {
                cause::CONNECT_TIMEOUT
            } else {
                cause::RESET
            };
            EnvoysWord::NoAnswer { cause, text }
        })
    }
}
