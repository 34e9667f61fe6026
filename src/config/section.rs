//! Objects of the configuration: their fields by name, and a sentence for each
//! way in which one can be wrong.

use super::fields::Field;
use super::{ConfigError, one_line};
use crate::json::Json;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// An object with known fields, each given at most once.
pub struct Section<'a> {
    /// Empty for the configuration itself.
    path: &'static str,
    members: &'a [(String, Json)],
}

impl<'a> Section<'a> {
    /// The configuration itself.
    pub fn top(document: &'a Json, fields: &[&str]) -> Result<Section<'a>, ConfigError> {
        Section::new("", document, fields)
    }

    /// The object in one of its fields; one without members if there is none.
    pub fn section(&self, name: &'static str, fields: &[&str]) -> Result<Section<'a>, ConfigError> {
        match self.get(name) {
            Some(value) => Section::new(name, value, fields),
            None => Ok(Section { path: name, members: &[] }),
        }
    }

    fn new(
        path: &'static str,
        value: &'a Json,
        fields: &[&str],
    ) -> Result<Section<'a>, ConfigError> {
        let own = if path.is_empty() { "configuration" } else { path };
        let Json::Object(members) = value else {
            return Err(error(&[own, ": expected an object, got ", value.kind()]));
        };
        let section = Section { path, members };
        for (at, (name, _)) in members.iter().enumerate() {
            if !fields.contains(&name.as_str()) {
                let path = section.path_of(name);
                let known = fields.join(", ");
                return Err(error(&[&path, ": unknown field, expected one of ", &known]));
            }
            if members.iter().take(at).any(|(before, _)| before == name) {
                return Err(error(&[own, ": expected ", name, " once, got it again"]));
            }
        }
        Ok(section)
    }

    /// A field that is a string.
    pub fn field<T: Field>(&self, name: &str) -> Result<Option<T>, ConfigError> {
        let value = |value| parse(value).map_err(|got| self.wrong(name, T::EXPECTED, &got));
        self.get(name).map(value).transpose()
    }

    /// A field that is a list of strings.
    pub fn list<T: Field>(&self, name: &str) -> Result<Option<Vec<T>>, ConfigError> {
        let values = match self.get(name) {
            None => return Ok(None),
            Some(Json::List(values)) => values,
            Some(value) => return Err(self.wrong(name, "a list", value.kind())),
        };
        let mut parsed = Vec::with_capacity(values.len());
        for (at, value) in values.iter().enumerate() {
            let value = parse(value).map_err(|got| {
                let element = format!("{name}[{at}]");
                self.wrong(&element, T::EXPECTED, &got)
            })?;
            parsed.push(value);
        }
        Ok(Some(parsed))
    }

    /// The sentence about a field that is not what was expected.
    pub fn wrong(&self, name: &str, expected: &str, got: &str) -> ConfigError {
        error(&[&self.path_of(name), ": expected ", expected, ", got ", got])
    }

    fn get(&self, name: &str) -> Option<&'a Json> {
        self.members.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    fn path_of(&self, name: &str) -> String {
        match self.path {
            "" => name.to_owned(),
            path => [path, ".", name].concat(),
        }
    }
}

/// The value, or what stands there instead.
fn parse<T: Field>(value: &Json) -> Result<T, String> {
    match value {
        Json::Text(text) => T::parse(text).ok_or_else(|| ["\"", text, "\""].concat()),
        other => Err(other.kind().to_owned()),
    }
}

fn error(parts: &[&str]) -> ConfigError {
    ConfigError(one_line(&parts.concat()))
}
