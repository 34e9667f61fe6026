//! Reading what a store sent, trusting none of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::callout::MAX_BODY;
use crate::json::{Object, from_body};

/// The most characters of a store's message that reach the client.
const MAX_MESSAGE: usize = 512;

/// The body of a 200.
#[derive(Deserialize)]
struct Counted {
    count: u64,
}

/// A member of a refusal's body, if it is a fault.
#[derive(Deserialize)]
struct Fault {
    message: String,
}

/// The count in a 200's body: a JSON object whose one `count` is an integer
/// from 0 to 2^63-1.
pub fn count(body: &[u8]) -> Option<u64> {
    let Object(Counted { count }) = read(body)?;
    i64::try_from(count).is_ok().then_some(count)
}

/// The message in an OpenStack-style error body: `{"itemNotFound": {"message": "…"}}`.
/// Of several members, the first in alphabetical order that has one.
pub fn message(body: &[u8]) -> Option<String> {
    let members: BTreeMap<String, &RawValue> = read(body)?;
    let mut message = members.into_values().find_map(|member| {
        let Object(Fault { message }) = serde_json::from_str(member.get()).ok()?;
        Some(message)
    })?;
    if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
        message = message.get(..end)?.to_owned();
    }
    (!message.is_empty()).then_some(message)
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    if body.len() > MAX_BODY {
        return None;
    }
    from_body(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        for (body, expected) in [
            (r#"{"count":0}"#, Some(0)),
            (r#" { "count" : 2 } "#, Some(2)),
            (r#"{"count":9223372036854775807}"#, Some(i64::MAX as u64)),
            (r#"{"a":[{"count":1}],"count":3,"b":null}"#, Some(3)),
            (r#"{"co\u0075nt":4}"#, Some(4)),
            (r#"{"count":9223372036854775808}"#, None),
            (r#"{"count":-1}"#, None),
            (r#"{"count":1.0}"#, None),
            (r#"{"count":1e2}"#, None),
            (r#"{"count":"1"}"#, None),
            (r#"{"count":null}"#, None),
            (r#"{"count":1,"count":1}"#, None),
            (r#"{"count":1,"co\u0075nt":1}"#, None),
            (r#"{"Count":1}"#, None),
            (r#"{"count":1}x"#, None),
            (r#"{"count":01}"#, None),
            (r#"{"count":1"#, None),
            (r#"{"count":{"count":1}}"#, None),
            (r#"{"count":18446744073709551616}"#, None),
            (r#"{"count":1,"x":1e999}"#, Some(1)),
            (r#"{"count":00}"#, None),
            (r#"{"count":}"#, None),
            (r#"{"count":+1}"#, None),
            ("[1]", None),
            ("1", None),
            ("", None),
            ("{}", None),
            ("\u{feff}{\"count\":1}", None),
        ] {
            assert_eq!(count(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(count(b"{\"a\":\"\xFF\",\"count\":1}"), None);
    }

    #[test]
    fn a_body_over_the_limit_is_no_count() {
        let padded = |len: usize| format!("{{\"count\":1}}{}", " ".repeat(len - 11));
        assert_eq!(count(padded(MAX_BODY).as_bytes()), Some(1));
        assert_eq!(count(padded(MAX_BODY + 1).as_bytes()), None);
    }

    #[test]
    fn nesting_is_no_way_to_exhaust_the_stack() {
        let nested = "[".repeat(MAX_BODY - 20);
        assert_eq!(count(nested.as_bytes()), None);
        assert_eq!(count(format!("{{\"a\":{nested}").as_bytes()), None);
        assert_eq!(message(format!("{{\"a\":{nested}").as_bytes()), None);
    }

    #[test]
    fn messages() {
        for (body, expected) in [
            (r#"{"itemNotFound":{"message":"No.","code":404}}"#, Some("No.")),
            (r#"{"error":{"code":"VolumeBackup.0042","message":"a\"b"}}"#, Some("a\"b")),
            (r#"{"a":1,"error":{"message":"x"}}"#, Some("x")),
            (r#"{"error":{"message":""}}"#, None),
            (r#"{"error":{"message":1}}"#, None),
            (r#"{"error":["x"]}"#, None),
            (r#"{"error":{"message":"x","message":"x"}}"#, None),
            (r#"{"b":{"message":"x"},"a":{"message":"y"}}"#, Some("y")),
            (r#"{"error":"x"}"#, None),
            (r#"{"message":"x"}"#, None),
            ("nope", None),
            ("", None),
        ] {
            assert_eq!(message(body.as_bytes()).as_deref(), expected, "{body}");
        }
        let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "é".repeat(600));
        assert_eq!(message(long.as_bytes()), Some("é".repeat(512)));
    }
}
