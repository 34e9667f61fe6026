//! The domain of each value (docs/contract.md#configuration), by way of the crates that know its format.

use std::ops::RangeInclusive;
use std::time::Duration;

use fluent_uri::UriRef;
use http::HeaderName;

use crate::http::printable;
use crate::percent;

/// The default of `store.forward_headers`.
pub const FORWARDED: [&str; 11] = [
    "x-auth-token", "x-request-id", "x-openstack-request-id", "traceparent", "tracestate", "b3",
    "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags",
];

/// An authority of an HTTP request: no user information (RFC 9110 §4.2.4), some host, and
/// a port that there is.
pub fn authority(text: &str) -> Option<String> {
    let reference = format!("//{text}");
    let authority = UriRef::parse(reference.as_str()).ok()?.authority()?;
    let whole = authority.as_str() == text && !authority.has_userinfo();
    // RFC 3986 allows `a:` and `[v7.x]`; the one says nothing, the other is not in use.
    let port = match authority.port() {
        Some(port) => !port.is_empty() && authority.port_to_u16().is_ok(),
        None => true,
    };
    let host = !authority.host().is_empty() && !authority.host().starts_with("[v");
    let host = host && !authority.host().starts_with("[V");
    (whole && port && host).then(|| text.to_owned())
}

/// The cluster's name, if it is an authority without `_`.
pub fn authority_of_cluster(name: &str) -> Option<String> {
    match name.find('_') {
        Some(_) => None,
        None => authority(name),
    }
}

/// Empty, or an absolute path without a trailing `/` and dot segments.
pub fn path_prefix(text: &str) -> Option<String> {
    let reference = UriRef::parse(text).ok()?;
    let path = reference.path().as_str();
    let fits = text.is_empty() || (path.starts_with('/') && !path.ends_with('/'));
    // A dot may be written as an escape.
    let dots = |segment: &str| {
        [b".".to_vec(), b"..".to_vec()].contains(&percent::decode(segment.as_bytes()))
    };
    // What the library takes for another part, as it does `//host`, is no path.
    (fits && path == text && !path.split('/').any(dots)).then(|| text.to_owned())
}

/// From 0.001s to 60s, rounded up to the milliseconds that Envoy knows.
pub fn timeout(text: &str) -> Option<Duration> {
    let nanos = nanos(text).filter(|nanos| (1_000_000..=60_000_000_000).contains(nanos))?;
    Some(Duration::from_millis(nanos.div_ceil(1_000_000)))
}

/// From 0s to 300s.
pub fn remember(text: &str) -> Option<Duration> {
    nanos(text).filter(|nanos| *nanos <= 300_000_000_000).map(Duration::from_nanos)
}

/// 0s, or from 0.001s to 3600s.
pub fn ttl(text: &str) -> Option<Duration> {
    let fits = |nanos: &u64| *nanos == 0 || (1_000_000..=3_600_000_000_000).contains(nanos);
    nanos(text).filter(fits).map(Duration::from_nanos)
}

/// From 0s to 86400s.
pub fn stale_if_error(text: &str) -> Option<Duration> {
    nanos(text).filter(|nanos| *nanos <= 86_400_000_000_000).map(Duration::from_nanos)
}

/// A duration of protobuf's JSON mapping, from 0s on.
fn nanos(text: &str) -> Option<u64> {
    // The library cuts a tenth decimal off, and takes `1.s`; protobuf's JSON mapping refuses both.
    let decimals = text.split_once('.').map_or(1, |(_, decimals)| decimals.len().saturating_sub(1));
    // `-0s` it takes too: no duration is negative here.
    let written = (1..=9).contains(&decimals) && !text.starts_with('-');
    let duration: prost_types::Duration = text.parse().ok().filter(|_| written)?;
    let nanos = i128::from(duration.seconds) * 1_000_000_000 + i128::from(duration.nanos);
    u64::try_from(nanos).ok()
}

/// An integer in `range`, which may be written as `2.0`.
pub fn integer(number: f64, mut range: RangeInclusive<u32>) -> Option<u32> {
    range.find(|integer| f64::from(*integer) == number)
}

/// Any text but the empty one.
pub fn not_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// 1 to 256 printable ASCII characters.
pub fn challenge(text: &str) -> Option<String> {
    let fits = (1..=256).contains(&text.len()) && printable(text.as_bytes()).is_some();
    fits.then(|| text.to_owned())
}

/// A header name that is no pseudo-header, not `host`, `accept`, `content-*` or `x-envoy-*`, and not hop-by-hop.
pub fn forwarded_header(text: &str) -> Option<String> {
    let name = HeaderName::from_bytes(text.as_bytes()).ok()?;
    // RFC 9110 §7.6.1, RFC 2616 §13.5.1 for those it no longer lists, and RFC 7540 §3.2.1.
    let hop_by_hop = "connection http2-settings keep-alive proxy-authenticate proxy-authorization \
                      proxy-connection te trailer transfer-encoding upgrade";
    let name_text = name.as_str();
    let refused = ["host", "accept"].contains(&name_text)
        || hop_by_hop.split(' ').any(|refused| refused == name_text)
        || name_text.starts_with("content-")
        || name_text.starts_with("x-envoy-");
    (!refused).then(|| name_text.to_owned())
}

/// A lower-case word.
pub fn status(text: &str) -> Option<String> {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    let fits = text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(word);
    fits.then(|| text.to_owned())
}

/// A field's name as an error line shows it: on one line.
pub fn shown(name: &str) -> String {
    let shown = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    name.chars().map(shown).collect()
}
