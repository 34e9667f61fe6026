//! `tests/configurations.toml`: plugin configurations, each taken or refused.

// Who reads it is a test: it fails where the file is wrong.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;

use serde::Deserialize;

use crate::workspace;

#[derive(Deserialize)]
struct File {
    configuration: Vec<Configuration>,
}

/// One of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// What it shows.
    pub name: String,
    json: Option<String>,
    store: Option<String>,
    cache: Option<String>,
    /// How the refusal begins; `None` if it is taken.
    pub refused: Option<String>,
    /// Whether a schema can say so.
    #[serde(default = "yes")]
    pub schema: bool,
}

fn yes() -> bool {
    true
}

impl Configuration {
    /// The whole configuration.
    pub fn json(&self) -> String {
        match (&self.json, &self.store, &self.cache) {
            (Some(json), None, None) => json.clone(),
            (None, Some(members), None) => format!(r#"{{"store":{{"cluster":"c",{members}}}}}"#),
            (None, None, Some(members)) => {
                format!(r#"{{"store":{{"cluster":"c"}},"cache":{{{members}}}}}"#)
            }
            _ => panic!("{}: either json, store or cache", self.name),
        }
    }
}

/// All of them, in order.
pub fn all() -> Vec<Configuration> {
    let text = fs::read_to_string(workspace::root().join("tests/configurations.toml")).unwrap();
    toml::from_str::<File>(&text).unwrap().configuration
}
