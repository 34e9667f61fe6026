//! The plugin configuration: JSON (or a protobuf `Struct`) in, a checked [`Config`] out, or one sentence
//! that names the field and what was expected of it.
//!
//! `document` is the shape of the whole with its defaults, `fields` the domain of each value, `wire` the
//! form in which a `Struct` arrives.

mod document;
mod fields;
mod grammar;
mod wire;

use std::fmt;

use serde::de::{Deserialize, IgnoredAny};
use serde_json::error::Category;
use serde_path_to_error::{Deserializer as Tracking, Path, Track};

use crate::auth::{KeystoneSettings, VouchedHeader};
use crate::cache::CacheSettings;
use crate::callout::Service;
use crate::filters::FilterRules;
use crate::json::{Object, from_body};

use document::Document;

pub use grammar::whole_milliseconds;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `None` in mode `validate`, in which no store is asked.
    pub store: Option<Service>,
    /// Who vouches for the caller.
    pub auth: AuthConfig,
    /// How counts are remembered. `None`: not at all.
    pub cache: Option<CacheSettings>,
    /// How strictly queries are read.
    pub rules: FilterRules,
    /// Whether the filter counts for Prometheus.
    pub metrics: bool,
}

/// Who vouches for the caller (`auth.mode`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthConfig {
    /// `none`
    None,
    /// `header`
    Header(VouchedHeader),
    /// `keystone`
    Keystone(KeystoneSettings),
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
    /// One thing in it that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Config, ConfigError> {
        // The first byte of a Struct is a line feed, which JSON may begin with too, and be a Struct besides.
        let may_be_wire = matches!(bytes, [] | [b'\n', ..]) && !is_json(bytes);
        let wire = may_be_wire.then(|| wire::decode_struct(bytes)).flatten();
        let text = wire.as_deref().map_or_else(|| str::from_utf8(bytes), Ok);
        let text = text.map_err(|error| ConfigError(format!("configuration: {error}")))?;
        let mut json = serde_json::Deserializer::from_str(text);
        let mut track = Track::new();
        let document = Object::<Document>::deserialize(Tracking::new(&mut json, &mut track));
        let Object(document) = document.map_err(|error| sentence(&track.path(), &error))?;
        json.end().map_err(|error| malformed(&error))?;
        document.check()
    }
}

fn is_json(bytes: &[u8]) -> bool {
    from_body::<IgnoredAny>(bytes).is_some()
}

fn malformed(error: &serde_json::Error) -> ConfigError {
    ConfigError(format!("configuration: {error}"))
}

/// What serde says, behind the path of the field that it says it of.
fn sentence(path: &Path, error: &serde_json::Error) -> ConfigError {
    if error.classify() != Category::Data {
        return malformed(error);
    }
    let said = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let said = said.strip_suffix(&place).unwrap_or(&said);
    let twice = said.strip_prefix("duplicate field `").and_then(|name| name.strip_suffix('`'));
    // A path without segments would be shown as a dot.
    let line = match (path.iter().next_back(), twice) {
        (None, None) => format!("configuration: {said}"),
        // It is said of the section.
        (None, Some(name)) => format!("{name}: duplicate field"),
        (Some(_), Some(name)) => format!("{path}.{name}: duplicate field"),
        // The path ends with the name of an unknown field.
        (Some(name), None) => match said.strip_prefix(&format!("unknown field `{name}`")) {
            Some(expected) => format!("{path}: unknown field{expected}"),
            None => format!("{path}: {said}"),
        },
    };
    ConfigError(one_line(&line))
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
