//! The plugin configuration: JSON (or a protobuf `Struct`) in, a checked [`Config`] out, or one sentence
//! that names the field and what was expected of it.
//!
//! `document` is the shape of the JSON, `fields` the domain of each value, `wire`
//! the form in which a `Struct` arrives.

mod document;
mod fields;
mod wire;

use std::fmt;

use document::Document;

use crate::filters::FilterRules;
use crate::store::Store;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `None` in mode `validate`, in which no store is asked.
    pub store: Option<Store>,
    /// How strictly queries are read.
    pub rules: FilterRules,
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads a plugin configuration: JSON, or the wire bytes of a
    /// `google.protobuf.Struct`. An empty one is an empty object.
    ///
    /// # Errors
    /// The first thing in it that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Config, ConfigError> {
        // The first byte of a Struct is a line feed, which JSON may begin with too.
        match (bytes, wire::decode_struct(bytes)) {
            ([] | [b'\n', ..], Some(json)) => read(json.to_string().as_bytes()),
            _ => read(bytes),
        }
    }
}

fn read(json: &[u8]) -> Result<Config, ConfigError> {
    let mut json = serde_json::Deserializer::from_slice(json);
    let document: Document = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        // An empty path reads ".", as that of a field so named does.
        let located = error.path().iter().next().is_some();
        match error.into_inner() {
            error if located && error.is_data() => {
                ConfigError(one_line(&format!("{path}: {error}")))
            }
            error => ConfigError(format!("configuration: {error}")),
        }
    })?;
    json.end().map_err(|error| ConfigError(format!("configuration: {error}")))?;
    document.check()
}

/// `sentence` with controls escaped: it repeats names that stand in the configuration, and is one
/// line of Envoy's log.
fn one_line(sentence: &str) -> String {
    let mut line = String::with_capacity(sentence.len());
    for character in sentence.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests;
