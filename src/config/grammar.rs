//! The grammars of texts in the configuration.

use std::time::Duration;

use crate::bytes::is_tchar;
use crate::percent::decode_path;

/// A host, and a port if any: RFC 3986 §3.2.2 and §3.2.3.
pub fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("x", port),
            _ => return false,
        },
        None => text.find(':').and_then(|at| text.split_at_checked(at)).unwrap_or((text, "")),
    };
    let port_is_valid = match port.strip_prefix(':') {
        Some(digits) => digits.parse::<u16>().is_ok() && !digits.starts_with('+'),
        None => port.is_empty(),
    };
    port_is_valid && !host.is_empty() && is_path_text(host, b"-._~!$&'()*+,;=")
}

/// Whether `text` is letters, digits, `extra` and well-formed escapes.
fn is_path_text(text: &str, extra: &[u8]) -> bool {
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'%', [high, low, after @ ..])
                if [high, low].iter().all(|d| d.is_ascii_hexdigit()) =>
            {
                after
            }
            _ if byte.is_ascii_alphanumeric() || extra.contains(&byte) => after,
            _ => return false,
        };
    }
    true
}

/// Empty, or an absolute path without a trailing `/` and without dot segments.
pub fn is_path_prefix(path: &str) -> bool {
    let absolute = path.starts_with('/') && !path.starts_with("//") && !path.ends_with('/');
    let well_formed = absolute && is_path_text(path, b"-._~!$&'()*+,;=:@/");
    path.is_empty() || (well_formed && !path.split('/').any(is_dot_segment))
}

/// `.` or `..`, once decoded. A proxy or store that resolves it would ask for another path than the configured one.
fn is_dot_segment(segment: &str) -> bool {
    matches!(&decode_path(segment.as_bytes())[..], b"." | b"..")
}

/// A protobuf JSON duration: seconds, up to nine decimals, `s`.
pub fn duration(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('s')?;
    let (seconds, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(seconds) || !digits(decimals) || decimals.len() > 9 {
        return None;
    }
    let digits = decimals.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = digits.fold(0u32, |nanos, digit| {
        nanos.saturating_mul(10).saturating_add(u32::from(digit.saturating_sub(b'0')))
    });
    Some(Duration::new(seconds.parse().ok()?, nanos))
}

/// Envoy knows no smaller unit; rounding down would shorten what was asked for.
pub fn whole_milliseconds(timeout: Duration) -> Duration {
    let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_millis(nanos.div_ceil(1_000_000))
}

/// Connection-specific fields (RFC 9110 §7.6.1), the other hop-by-hop fields
/// of RFC 2616 §13.5.1 and RFC 7540 §3.2.1, and what the callout sets itself.
const REFUSED: [&str; 12] = [
    "accept", "connection", "host", "http2-settings", "keep-alive", "proxy-authenticate",
    "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
];

/// The name of a header that may be forwarded, in lower case.
pub fn header_name(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let refused = REFUSED.contains(&lower.as_str())
        || ["content-", "x-envoy-"].iter().any(|family| lower.starts_with(family));
    let well_formed = !lower.is_empty() && lower.bytes().all(is_tchar);
    (well_formed && !refused).then_some(lower)
}
