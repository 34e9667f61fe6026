//! JSON: any value in memory, and the little that is written.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::bytes;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Any JSON value. What this crate reads has numbers in one place only, where
/// it reads them itself, so theirs are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// Any number.
    Number,
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// The members in the order in which they stand, each as often as it does.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// What kind of value it is, for somebody who expected another.
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool => "a boolean",
            Json::Number => "a number",
            Json::Text(_) => "a string",
            Json::List(_) => "a list",
            Json::Object(_) => "an object",
        }
    }

    /// The first member of this name, if it is an object and has one.
    pub fn member(&self, name: &str) -> Option<&Json> {
        let Json::Object(members) = self else {
            return None;
        };
        members.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Json, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E: Error>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Json, E> {
                Ok(Json::Bool)
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Json, E> {
                Ok(Json::Number)
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Json, E> {
                Ok(Json::Number)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Json, E> {
                Ok(Json::Number)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
                Ok(Json::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(Json::List(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = object.next_entry()? {
                    members.push(member);
                }
                Ok(Json::Object(members))
            }
        }

        from.deserialize_any(Any)
    }
}

/// Appends `text` as it stands between the quotes of a JSON string (RFC 8259 §7).
pub fn push_escaped(json: &mut String, text: &str) {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut rest = text;
    while let Some(at) = bytes::position_to_escape(rest.as_bytes()) {
        let Some((plain, special)) = rest.split_at_checked(at) else { break };
        let Some(byte) = special.bytes().next() else { break };
        json.push_str(plain);
        match byte {
            b'"' => json.push_str("\\\""),
            b'\\' => json.push_str("\\\\"),
            b'\n' => json.push_str("\\n"),
            b'\r' => json.push_str("\\r"),
            b'\t' => json.push_str("\\t"),
            _ => {
                json.push_str("\\u00");
                json.extend(HEX.get(usize::from(byte >> 4)));
                json.extend(HEX.get(usize::from(byte & 0xF)));
            }
        }
        rest = special.get(1..).unwrap_or_default();
    }
    json.push_str(rest);
}

/// Appends `number` in decimal, without the machinery of `format!`.
pub fn push_integer(text: &mut String, mut number: u64) {
    const TEN: u64 = 10;
    let mut digits = [0; 20]; // u64::MAX has twenty
    let mut first = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = u8::try_from(number % TEN).unwrap_or_default() | b'0';
        number /= TEN;
        first = at;
        if number == 0 {
            break;
        }
    }
    text.extend(digits.iter().skip(first).copied().map(char::from));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_kind_are_read() {
        let json: Json = serde_json::from_str(r#"{"a":[null,true,1,-1,1.5,"x"],"a":{}}"#).unwrap();
        let Json::Object(members) = &json else { panic!("{json:?}") };
        let list = vec![
            Json::Null,
            Json::Bool,
            Json::Number,
            Json::Number,
            Json::Number,
            Json::Text("x".to_owned()),
        ];
        assert_eq!(members[0], ("a".to_owned(), Json::List(list)));
        assert_eq!(members[1], ("a".to_owned(), Json::Object(Vec::new())));
        assert_eq!(json.member("a"), Some(&members[0].1));
    }

    #[test]
    fn text_is_escaped_as_a_json_library_reads_it() {
        let all: String = (0..0x80).map(char::from).chain("é\u{2028}𝄞".chars()).collect();
        let mut json = String::from("\"");
        push_escaped(&mut json, &all);
        json.push('"');
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), all);
    }

    #[test]
    fn integers_are_decimal() {
        for number in [0, 1, 9, 10, 12_345, u64::MAX] {
            let mut text = String::new();
            push_integer(&mut text, number);
            assert_eq!(text, number.to_string());
        }
    }
}
