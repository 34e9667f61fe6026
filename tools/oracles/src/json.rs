//! JSON with nothing lost: every member of an object, and every number as it was written.
//!
//! `serde_json::Value` keeps the last of two members with one name, and the filter reads with
//! `serde_json` too. This is jiter's reading.

use jiter::{Jiter, JiterResult, Peek};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// As written.
    Number(String),
    /// Without its escapes.
    Text(String),
    /// In order.
    Array(Vec<Json>),
    /// In order, repetitions included.
    Object(Vec<(String, Json)>),
}

/// What a text is.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// JSON.
    Value(Json),
    /// Not JSON.
    Malformed,
    /// JSON that readers may differ about (RFC 8259 §6, §8.2 and §9): a number that no double
    /// holds, half a surrogate pair as an escape, deep nesting. Any documented answer will do.
    Unclear,
}

/// Where readers begin to differ: `serde_json` ends at 128, jiter at 200.
const DEEP: usize = 100;

impl Document {
    /// Reads a text.
    pub fn read(text: &[u8]) -> Document {
        if str::from_utf8(text).is_err() {
            return Document::Malformed;
        }
        if depth(text) > DEEP {
            return Document::Unclear;
        }
        let mut reader = Jiter::new(text);
        match value(&mut reader).and_then(|value| reader.finish().map(|()| value)) {
            Ok(value) if value.has_huge_number() => Document::Unclear,
            Ok(value) => Document::Value(value),
            Err(_) if has_surrogate(text) => Document::Unclear,
            Err(_) => Document::Malformed,
        }
    }
}

impl Json {
    /// The members of an object.
    pub fn members(&self) -> Option<&[(String, Json)]> {
        match self {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The values of all members called `name`, if this is an object.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Json> {
        let members = self.members().unwrap_or_default().iter();
        members.filter(move |(other, _)| other == name).map(|(_, value)| value)
    }

    fn has_huge_number(&self) -> bool {
        self.has_number(&|written| written.parse().is_ok_and(f64::is_infinite))
    }

    /// Whether it has a number of more digits than a double keeps, which readers round differently
    /// (RFC 8259 §6).
    pub fn has_long_number(&self) -> bool {
        self.has_number(&|written| written.bytes().filter(u8::is_ascii_digit).count() > 15)
    }

    fn has_number(&self, is_such: &impl Fn(&str) -> bool) -> bool {
        match self {
            Json::Number(written) => is_such(written),
            Json::Array(values) => values.iter().any(|value| value.has_number(is_such)),
            Json::Object(members) => members.iter().any(|(_, value)| value.has_number(is_such)),
            _ => false,
        }
    }

    /// How deep arrays and objects nest.
    pub fn depth(&self) -> usize {
        let inside = match self {
            Json::Array(values) => values.iter().map(Json::depth).max(),
            Json::Object(members) => members.iter().map(|(_, value)| value.depth()).max(),
            _ => return 0,
        };
        1 + inside.unwrap_or_default()
    }

    /// The double that a number is.
    pub fn number(&self) -> Option<f64> {
        match self {
            Json::Number(written) => written.parse().ok(),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// How deep brackets nest outside strings; they need not match.
fn depth(text: &[u8]) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    let (mut depth, mut deepest) = (0_usize, 0);
    for &byte in text {
        match byte {
            b'"' if !escaped => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        escaped = quoted && byte == b'\\' && !escaped;
        deepest = deepest.max(depth);
    }
    deepest
}

fn has_surrogate(text: &[u8]) -> bool {
    text.windows(4).any(|four| {
        matches!(four, [b'\\', b'u', b'd' | b'D', digit] if digit.to_ascii_lowercase() >= b'8')
    })
}

fn value(reader: &mut Jiter) -> JiterResult<Json> {
    let peek = reader.peek()?;
    Ok(match peek {
        Peek::Null => reader.known_null().map(|()| Json::Null)?,
        Peek::True | Peek::False => Json::Bool(reader.known_bool(peek)?),
        Peek::String => Json::Text(reader.known_str()?.to_owned()),
        Peek::Array => {
            let mut values = Vec::new();
            let mut more = reader.known_array()?;
            while more.is_some() {
                values.push(value(reader)?);
                more = reader.array_step()?;
            }
            Json::Array(values)
        }
        Peek::Object => {
            let mut members = Vec::new();
            let mut name = reader.known_object()?.map(str::to_owned);
            while let Some(known) = name {
                members.push((known, value(reader)?));
                name = reader.next_key()?.map(str::to_owned);
            }
            Json::Object(members)
        }
        _ => {
            let written = reader.known_number_bytes(peek)?;
            Json::Number(String::from_utf8_lossy(written).into_owned())
        }
    })
}
