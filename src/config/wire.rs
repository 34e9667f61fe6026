//! A `google.protobuf.Struct` as JSON.
//!
//! Envoy hands over a `StringValue` as the JSON it holds, but a `Struct` as
//! protobuf wire bytes, whatever its documentation says (measured on 1.36.4 and
//! 1.40.0; docs/decisions/2026-11-23-struct-configuration.md). Only what `struct.proto` has is read.

/// How deep values are read; the configuration's are two deep. What is deeper is read as null, which no field takes.
const MAX_DEPTH: u8 = 16;

/// Decodes a `Struct`: `map<string, Value> fields = 1`. `None` if it is none.
pub fn decode_struct(bytes: &[u8]) -> Option<String> {
    message(bytes, MAX_DEPTH)
}

/// What stands behind a field's tag.
enum WireField<'a> {
    Varint(u64),
    Double(f64),
    Bytes(&'a [u8]),
}

fn message(bytes: &[u8], depth: u8) -> Option<String> {
    let mut members: Vec<(String, String)> = Vec::new();
    for field in WireFields(bytes) {
        let (1, WireField::Bytes(entry)) = field? else {
            return None;
        };
        // A map's entry: the key is field 1, the value field 2; either may be absent.
        let (mut key, mut value) = (string(b"")?, null());
        for field in WireFields(entry) {
            match field? {
                (1, WireField::Bytes(text)) => key = string(text)?,
                (2, WireField::Bytes(bytes)) => value = any_value(bytes, depth)?,
                _ => return None,
            }
        }
        // Of entries with one key the last counts (protobuf's rule for maps).
        members.retain(|(other, _)| *other != key);
        members.push((key, value));
    }
    let members: Vec<_> = members.into_iter().map(|(key, value)| key + ":" + &value).collect();
    Some(["{", &members.join(","), "}"].concat())
}

/// A `Value`: null 1, number 2, string 3, bool 4, struct 5, list 6.
fn any_value(bytes: &[u8], depth: u8) -> Option<String> {
    let Some(depth) = depth.checked_sub(1) else { return Some(null()) };
    let mut value = null();
    for field in WireFields(bytes) {
        value = match field? {
            (1, WireField::Varint(0)) => null(),
            // JSON has no infinities: null is written for one, and no field takes it.
            (2, WireField::Double(number)) => serde_json::to_string(&number).ok()?,
            (3, WireField::Bytes(text)) => string(text)?,
            (4, WireField::Varint(truth)) => (if truth == 0 { "false" } else { "true" }).to_owned(),
            (5, WireField::Bytes(bytes)) => message(bytes, depth)?,
            (6, WireField::Bytes(bytes)) => list(bytes, depth)?,
            _ => return None,
        };
    }
    Some(value)
}

/// A `ListValue`: `repeated Value values = 1`.
fn list(bytes: &[u8], depth: u8) -> Option<String> {
    let values = WireFields(bytes).map(|field| match field? {
        (1, WireField::Bytes(bytes)) => any_value(bytes, depth),
        _ => None,
    });
    let values = values.collect::<Option<Vec<_>>>()?;
    Some(["[", &values.join(","), "]"].concat())
}

fn null() -> String {
    "null".to_owned()
}

fn string(text: &[u8]) -> Option<String> {
    serde_json::to_string(str::from_utf8(text).ok()?).ok()
}

/// The fields of a message, by number. Ends after the first that is malformed.
struct WireFields<'a>(&'a [u8]);

impl<'a> Iterator for WireFields<'a> {
    type Item = Option<(u64, WireField<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.take_field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> WireFields<'a> {
    fn take_field(&mut self) -> Option<(u64, WireField<'a>)> {
        let tag = self.take_varint()?;
        let field = match tag & 7 {
            0 => WireField::Varint(self.take_varint()?),
            1 => {
                let (bytes, rest) = self.0.split_first_chunk()?;
                self.0 = rest;
                WireField::Double(f64::from_le_bytes(*bytes))
            }
            2 => {
                let size = usize::try_from(self.take_varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(size)?;
                self.0 = rest;
                WireField::Bytes(bytes)
            }
            _ => return None,
        };
        Some((tag >> 3, field))
    }

    fn take_varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(number: u8, inside: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(inside.len()).unwrap()], inside].concat()
    }

    fn entry(key: &str, value: &[u8]) -> Vec<u8> {
        bytes(1, &[bytes(1, key.as_bytes()), bytes(2, value)].concat())
    }

    #[test]
    fn every_kind_of_value_is_decoded() {
        let list = bytes(6, &bytes(1, &bytes(3, b"a")));
        let object = bytes(5, &entry("in", &[0x20, 1]));
        let number = [&[0x11][..], &1.5f64.to_le_bytes()].concat();
        let fields =
            [entry("l", &list), entry("o", &object), entry("n", &number), entry("0", &[8, 0])];
        let json = r#"{"l":["a"],"o":{"in":true},"n":1.5,"0":null}"#;
        assert_eq!(decode_struct(&fields.concat()).as_deref(), Some(json));
        assert_eq!(decode_struct(b"").as_deref(), Some("{}"));
        let twice = [entry("a\"", &[0x20, 1]), entry("b", &[8, 0]), entry("a\"", &[0x20, 0])];
        assert_eq!(decode_struct(&twice.concat()).unwrap(), r#"{"b":null,"a\"":false}"#);
    }

    #[test]
    fn what_json_cannot_say_and_what_is_too_deep_is_null() {
        let infinite = [&[0x11][..], &f64::INFINITY.to_le_bytes()].concat();
        assert_eq!(decode_struct(&entry("a", &infinite)).unwrap(), r#"{"a":null}"#);
        let deep = (0..20).fold(bytes(3, b"x"), |inner, _| bytes(6, &bytes(1, &inner[..])));
        let text = decode_struct(&entry("a", &deep)).unwrap();
        let depth = usize::from(MAX_DEPTH);
        assert_eq!(text, format!(r#"{{"a":{}null{}}}"#, "[".repeat(depth), "]".repeat(depth)));
    }

    #[test]
    fn what_is_no_struct_is_refused() {
        for bad in [
            &b"\n"[..],
            b"\n\x05ab",
            b"{}",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x08\x01",
        ] {
            assert_eq!(decode_struct(bad), None, "{bad:?}");
        }
        // Every truncation of a valid one is refused or is another valid one: no panic.
        let whole = entry("a", &bytes(5, &entry("b", &bytes(3, b"c"))));
        assert_eq!((1..whole.len()).find(|&n| decode_struct(&whole[..n]).is_some()), None);
    }
}
