//! `google.protobuf.Struct` in wire format, by way of `prost`.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use crate::json::{Document, Json};

/// What `bytes` are, if they are a `Struct`. Only what is written as protobuf libraries write it
/// has one meaning.
pub fn read(bytes: &[u8]) -> Option<Document> {
    let decoded = Struct::decode(bytes).ok().filter(|decoded| !decoded.fields.is_empty())?;
    let usual = decoded.encode_to_vec() == bytes;
    let value = object(decoded);
    // A configuration is three deep; how much deeper anybody looks is open.
    Some(if usual && value.depth() < 10 { Document::Value(value) } else { Document::Unclear })
}

/// The bytes of the `Struct` that says the same as `value`. `None` if it cannot: a `Struct` has
/// fields, each once, and its numbers are doubles.
pub fn encode(value: &Json) -> Option<Vec<u8>> {
    match kind(value)? {
        Kind::StructValue(fields) if value.depth() < 10 => Some(fields.encode_to_vec()),
        _ => None,
    }
}

fn object(object: Struct) -> Json {
    Json::Object(object.fields.into_iter().map(|(name, value)| (name, json(value))).collect())
}

fn json(value: Value) -> Json {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(value)) => Json::Bool(value),
        Some(Kind::NumberValue(number)) => Json::Number(number.to_string()),
        Some(Kind::StringValue(text)) => Json::Text(text),
        Some(Kind::ListValue(list)) => Json::Array(list.values.into_iter().map(json).collect()),
        Some(Kind::StructValue(fields)) => object(fields),
    }
}

fn kind(value: &Json) -> Option<Kind> {
    let wrap = |value: &Json| Some(Value { kind: Some(kind(value)?) });
    Some(match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(written) => {
            Kind::NumberValue(written.parse().ok().filter(|n: &f64| n.is_finite())?)
        }
        Json::Text(text) => Kind::StringValue(text.clone()),
        Json::Array(values) => {
            Kind::ListValue(ListValue { values: values.iter().map(wrap).collect::<Option<_>>()? })
        }
        Json::Object(members) => {
            let fields = members.iter().map(|(name, value)| Some((name.clone(), wrap(value)?)));
            let fields: BTreeMap<_, _> = fields.collect::<Option<_>>()?;
            (fields.len() == members.len()).then_some(Kind::StructValue(Struct { fields }))?
        }
    })
}
