//! The plugin configuration: JSON (or a protobuf `Struct`) in, a checked [`Config`] out, or one sentence
//! that names the field and what was expected of it.
//!
//! `document` is the shape of the whole, `section` one object of it, `fields` the
//! domain of each value, `wire` the form in which a `Struct` arrives.

use alloc::format;
use alloc::string::String;
mod document;
mod fields;
mod section;
mod wire;

use core::fmt;

use crate::filters::FilterRules;
use crate::json::Json;
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

impl core::error::Error for ConfigError {}

impl Config {
    /// Reads a plugin configuration: JSON, or the wire bytes of a
    /// `google.protobuf.Struct`. An empty one is an empty object.
    ///
    /// # Errors
    /// One thing in it that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Config, ConfigError> {
        // The first byte of a Struct is a line feed, which JSON may begin with too.
        let wire = matches!(bytes, [] | [b'\n', ..]).then(|| wire::decode_struct(bytes)).flatten();
        match wire {
            Some(document) => document::read(&document),
            None => {
                let wrong = |why: &dyn fmt::Display| ConfigError(format!("configuration: {why}"));
                let text = core::str::from_utf8(bytes).map_err(|error| wrong(&error))?;
                let document = serde_json::from_str::<Json>(text).map_err(|error| wrong(&error))?;
                document::read(&document)
            }
        }
    }
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
