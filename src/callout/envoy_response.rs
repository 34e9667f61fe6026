//! The responses that Envoy itself gives to a callout when no store does.
//!
//! The texts are those of 1.36.2 to 1.40.0. `tests/response_code_details.rs` holds them with the Envoy that it runs
//! (`ENVOY_BIN` names another).

use crate::details::cause;
use crate::request::{Header, values_of};

/// A response that is Envoy's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvoyResponse<'a> {
    /// The timeout has run out.
    TimedOut,
    /// What came was no HTTP, or a part of the headers. It has Envoy's text.
    NoHttp(&'a str),
    /// No host was asked, on purpose: the cause, and Envoy's text.
    Declined(&'static str, &'a str),
    /// A host was tried, and no headers came: the cause, and Envoy's text.
    NoAnswer(&'static str, &'a str),
}

/// Envoy adds this header to what comes from a host, and replaces one that the host sent.
const FROM_A_HOST: &str = "x-envoy-upstream-service-time";

/// The beginning of each response about a failed connection; the reason follows.
const FAILED: &str = "upstream connect error or disconnect/reset before headers";

impl<'a> EnvoyResponse<'a> {
    /// `None` if the response is a host's.
    pub fn read(headers: &[Header], body: &'a [u8]) -> Option<EnvoyResponse<'a>> {
        if values_of(headers.iter().copied(), FROM_A_HOST).next().is_some() {
            return None;
        }
        let text = str::from_utf8(body).ok()?;
        if text == "upstream request timeout" {
            return Some(EnvoyResponse::TimedOut);
        }
        if text == "no healthy upstream" {
            return Some(EnvoyResponse::Declined(cause::NO_HOST, text));
        }
        let reason = text.strip_prefix(FAILED)?;
        let says = |words: &str| reason.contains(words);
        Some(if says("protocol error") {
            EnvoyResponse::NoHttp(text)
        } else if says("overflow") {
            EnvoyResponse::Declined(cause::OVERFLOW, text)
        } else {
            // The text of a failed TLS handshake says "connection failure" too.
            let cause = if says("TLS_error") {
                cause::TLS
            } else if says("connection failure") {
                cause::CONNECT_FAILURE
            } else if says("connection timeout") {
                cause::CONNECT_TIMEOUT
            } else {
                cause::RESET
            };
            EnvoyResponse::NoAnswer(cause, text)
        })
    }
}
