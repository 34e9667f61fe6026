//! Reading what a store sent, trusting none of it.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{MAX_BODY, date, printable};
use crate::json::Json;

/// The most characters of a store's message that reach the client.
const MAX_MESSAGE: usize = 512;

/// The count in a 200's body: a JSON object whose one `count` is an integer
/// from 0 to 2^63-1.
pub fn count(body: &[u8]) -> Option<u64> {
    let count = plain_count(body).or_else(|| match json(body)? {
        Value::Object { count } => count,
        _ => None,
    });
    count.filter(|&count| i64::try_from(count).is_ok())
}

/// The count in `{"count":N}`, which is what nearly every store sends. `None`:
/// a JSON parser has to look.
fn plain_count(body: &[u8]) -> Option<u64> {
    let digits = body.strip_prefix(b"{\"count\":")?.strip_suffix(b"}")?;
    match digits {
        [b'0'] => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    digits.iter().try_fold(0u64, |count, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit & 0xF))?;
        count.checked_mul(10)?.checked_add(digit)
    })
}

/// The message in an OpenStack-style error body: `{"itemNotFound": {"message": "…"}}`.
/// That of the first member that is an object and has one.
pub fn message(body: &[u8]) -> Option<String> {
    let Json::Object(faults) = json(body)? else {
        return None;
    };
    let text = |fault: &Json| match fault.member("message")? {
        Json::Text(text) => Some(text.clone()),
        _ => None,
    };
    let mut message = faults.iter().find_map(|(_, fault)| text(fault))?;
    let cut = message.char_indices().nth(MAX_MESSAGE);
    if let Some((end, _)) = cut {
        message = message.get(..end)?.to_owned();
    }
    (!message.is_empty()).then_some(message)
}

/// The code in a `:status`: three digits (RFC 9110 §15), where a parser of numbers also takes `+200`.
pub fn status(value: &[u8]) -> Option<u16> {
    let &[hundreds, tens, units] = value else {
        return None;
    };
    [hundreds, tens, units].iter().try_fold(0u16, |code, &digit| {
        let digit = digit.is_ascii_digit().then(|| u16::from(digit & 0xF))?;
        code.checked_mul(10)?.checked_add(digit)
    })
}

/// A `retry-after` value: a number of seconds or a date (RFC 9110 §10.2.3).
pub fn retry_after(value: &[u8]) -> Option<&str> {
    let text = printable(value)?;
    let seconds = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (seconds || date::is_http_date(text)).then_some(text)
}

/// Checks UTF-8 first: serde_json does not look inside strings it skips.
fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    if body.len() > MAX_BODY {
        return None;
    }
    serde_json::from_str(str::from_utf8(body).ok()?).ok()
}

/// As much of a JSON value as tells whether it holds a count. Every kind is
/// read, so that no error is about one: such errors can format a number, and
/// what that takes would be a fifth of the module.
enum Value {
    Integer(u64),
    Object { count: Option<u64> },
    Other,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
                Ok(Value::Integer(number))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_unit<E: Error>(self) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Value, E> {
                Ok(Value::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                // `Some(None)`: there is a `count`, and it is none.
                let mut found: Option<Option<u64>> = None;
                while let Some(name) = map.next_key::<String>()? {
                    if name != "count" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    found = Some(match (found, map.next_value()?) {
                        (None, Value::Integer(count)) => Some(count),
                        _ => None,
                    });
                }
                Ok(Value::Object { count: found.flatten() })
            }
        }

        from.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_three_digits() {
        assert_eq!(status(b"200"), Some(200));
        for bad in ["", "20", "+200", "0200", "20 ", "2e2"] {
            assert_eq!(status(bad.as_bytes()), None, "{bad}");
        }
    }

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

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for good in ["0", "120", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(retry_after(good.as_bytes()), Some(good));
        }
        for bad in [
            "",
            "-1",
            "1.5",
            "soon",
            "1\r\nset-cookie: a",
            "Sun, 06 Nov 1994",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
        ] {
            assert_eq!(retry_after(bad.as_bytes()), None, "{bad}");
        }
    }
}
