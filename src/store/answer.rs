//! Reading what a store sent, trusting none of it.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::{MAX_BODY, printable};

/// The most characters of a store's message that reach the client.
const MAX_MESSAGE: usize = 512;

/// The count in a 200's body: a JSON object whose one `count` is an integer
/// from 0 to 2^63-1.
pub fn count(body: &[u8]) -> Option<u64> {
    let Count(count) = json(body)?;
    Some(count)
}

/// The message in an OpenStack-style error body: `{"itemNotFound": {"message": "…"}}`.
pub fn message(body: &[u8]) -> Option<String> {
    let Message(message) = json(body)?;
    let cut = message.char_indices().nth(MAX_MESSAGE);
    let message = message.get(..cut.map_or(message.len(), |(end, _)| end))?;
    (!message.is_empty()).then(|| message.to_owned())
}

/// The code in a `:status`: three digits (RFC 9110 §15), where a parser of numbers also takes `+200`.
pub fn status(value: &[u8]) -> Option<u16> {
    let three_digits = value.len() == 3 && value.iter().all(u8::is_ascii_digit);
    three_digits.then(|| str::from_utf8(value).ok()?.parse().ok()).flatten()
}

/// A `retry-after` value: a number of seconds or a date (RFC 9110 §10.2.3).
pub fn retry_after(value: &[u8]) -> Option<&str> {
    let text = printable(value)?;
    let seconds = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // The parser trims what it gets; a field's value has no space around it (RFC 9110 §5.5).
    let date = text.trim() == text && httpdate::parse_http_date(text).is_ok();
    (seconds || date).then_some(text)
}

/// Checks UTF-8 first: serde_json does not look inside strings it skips.
fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    if body.len() > MAX_BODY {
        return None;
    }
    serde_json::from_str(str::from_utf8(body).ok()?).ok()
}

/// Written by hand, since derived code would also take the array `[7]`.
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object with a count")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
                let mut count = None;
                while let Some(Name(name)) = map.next_key()? {
                    if name != "count" {
                        map.next_value::<IgnoredAny>()?;
                    } else if count.replace(map.next_value::<i64>()?).is_some() {
                        return Err(A::Error::duplicate_field("count"));
                    }
                }
                let count = count.and_then(|count| u64::try_from(count).ok());
                count.map(Count).ok_or_else(|| A::Error::missing_field("count"))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// The `message` of the first member that is an object and has one.
struct Message(String);

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Message, D::Error> {
        struct Fault;

        impl<'de> Visitor<'de> for Fault {
            type Value = Message;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an OpenStack fault")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message, A::Error> {
                let mut message = None;
                while map.next_key::<IgnoredAny>()?.is_some() {
                    let member: serde_json::Value = map.next_value()?;
                    let text = member.get("message").and_then(serde_json::Value::as_str);
                    message = message.or_else(|| text.map(str::to_owned));
                }
                message.map(Message).ok_or_else(|| A::Error::missing_field("message"))
            }
        }

        deserializer.deserialize_map(Fault)
    }
}

/// A member's name, borrowed unless it has escapes.
struct Name<'a>(std::borrow::Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name<'a>, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(name.into()))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(name.to_owned().into()))
            }
        }

        deserializer.deserialize_str(Text)
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
