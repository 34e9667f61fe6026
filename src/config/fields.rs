//! The domain of each value in the configuration.

use std::time::Duration;

use serde::Deserialize;

use crate::accept::is_tchar;
use crate::values::StatusWord;

/// Declares a value that is read from a JSON string by `TryFrom<String>`.
macro_rules! from_string {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(pub $inner);
    };
}

from_string! {
    /// `store.cluster`: the name of an Envoy cluster.
    Cluster(String)
}

from_string! {
    /// `store.authority`: `host` or `host:port` (RFC 3986 §3.2, without user information).
    Authority(String)
}

from_string! {
    /// `store.path_prefix`: empty, or an absolute path without a trailing `/`.
    #[derive(Default)]
    PathPrefix(String)
}

from_string! {
    /// `store.timeout`: a protobuf JSON duration, in whole milliseconds.
    Timeout(Duration)
}

from_string! {
    /// An element of `store.forward_headers`, in lower case.
    HeaderName(String)
}

from_string! {
    /// An element of `filters.statuses`.
    Word(StatusWord)
}

/// `store.protocol`: how the store is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum Protocol {
    /// The documented call itself.
    #[default]
    Vbs,
}

/// `filters.statuses`: the statuses a backup can have.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<Word>")]
pub struct Statuses(pub Vec<StatusWord>);

impl TryFrom<String> for Cluster {
    type Error = String;

    fn try_from(name: String) -> Result<Cluster, String> {
        if name.is_empty() {
            return Err(expected("the name of an Envoy cluster", &name));
        }
        Ok(Cluster(name))
    }
}

impl TryFrom<String> for Authority {
    type Error = String;

    fn try_from(text: String) -> Result<Authority, String> {
        if is_authority(&text) {
            Ok(Authority(text))
        } else {
            Err(expected("a host, or a host and a port", &text))
        }
    }
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("x", port),
            _ => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
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

impl TryFrom<String> for PathPrefix {
    type Error = String;

    fn try_from(path: String) -> Result<PathPrefix, String> {
        let absolute = path.starts_with('/') && !path.starts_with("//") && !path.ends_with('/');
        if path.is_empty() || (absolute && is_path_text(&path, b"-._~!$&'()*+,;=:@/")) {
            Ok(PathPrefix(path))
        } else {
            Err(expected("nothing, or an absolute path without a trailing /", &path))
        }
    }
}

impl TryFrom<String> for Timeout {
    type Error = String;

    fn try_from(text: String) -> Result<Timeout, String> {
        let range = Duration::from_millis(1)..=Duration::from_secs(60);
        match duration(&text) {
            Some(timeout) if range.contains(&timeout) => Ok(Timeout(whole_milliseconds(timeout))),
            _ => Err(expected("a duration such as \"1.5s\", from 0.001s to 60s", &text)),
        }
    }
}

/// A protobuf JSON duration: seconds, up to nine decimals, `s`.
fn duration(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('s')?;
    let (seconds, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(seconds) || !digits(decimals) || decimals.len() > 9 {
        return None;
    }
    let nanos: u32 = format!("{decimals:0<9}").parse().ok()?;
    Some(Duration::new(seconds.parse().ok()?, nanos))
}

/// Envoy knows no smaller unit; rounding down would shorten what was asked for.
fn whole_milliseconds(timeout: Duration) -> Duration {
    let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_millis(nanos.div_ceil(1_000_000))
}

/// Connection-specific fields (RFC 9110 §7.6.1), the other hop-by-hop fields
/// of RFC 2616 §13.5.1, and what the callout sets itself.
const REFUSED: [&str; 11] = [
    "accept",
    "connection",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl TryFrom<String> for HeaderName {
    type Error = String;

    fn try_from(name: String) -> Result<HeaderName, String> {
        let lower = name.to_ascii_lowercase();
        let refused = REFUSED.contains(&lower.as_str())
            || ["content-", "x-envoy-"].iter().any(|family| lower.starts_with(family));
        if lower.is_empty() || !lower.bytes().all(is_tchar) {
            Err(expected("the name of a header", &name))
        } else if refused {
            Err(expected("a header that may go to the store", &name))
        } else {
            Ok(HeaderName(lower))
        }
    }
}

impl TryFrom<String> for Word {
    type Error = String;

    fn try_from(text: String) -> Result<Word, String> {
        let word = StatusWord::parse(&text);
        word.map(Word).ok_or_else(|| expected("a lower-case word", &text))
    }
}

impl TryFrom<Vec<Word>> for Statuses {
    type Error = &'static str;

    fn try_from(words: Vec<Word>) -> Result<Statuses, &'static str> {
        if words.is_empty() {
            return Err("expected at least one status, got an empty list");
        }
        Ok(Statuses(words.into_iter().map(|word| word.0).collect()))
    }
}

impl TryFrom<String> for Protocol {
    type Error = String;

    fn try_from(name: String) -> Result<Protocol, String> {
        match name.as_str() {
            "vbs" => Ok(Protocol::Vbs),
            "rqlite" => Err("expected vbs; rqlite is not supported by this version".to_owned()),
            _ => Err(expected("vbs", &name)),
        }
    }
}

fn expected(what: &str, got: &str) -> String {
    format!("expected {what}, got {got:?}")
}
