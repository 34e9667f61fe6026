//! The contract's cases as data. One file, `tests/cases.toml`, is run by every harness, so that
//! a native test, an Envoy and the lab cannot disagree about what is asked of them.

mod check;
pub mod envoy;
mod text;

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context;
use serde::Deserialize;

use crate::{Result, workspace};
use text::bytes;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// Plugin configurations (JSON) by name.
    pub config: BTreeMap<String, String>,
    /// The cases, in order.
    #[serde(rename = "case")]
    pub cases: Vec<Case>,
}

/// One request, and what becomes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What the case shows.
    pub name: String,
    /// The plugin configuration's name.
    #[serde(default = "default_config")]
    pub config: String,
    /// The request's method.
    #[serde(default = "get")]
    pub method: String,
    #[serde(default = "route")]
    path: String,
    query: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    /// What the store answers, should it be asked.
    #[serde(default)]
    pub store: ServiceAnswer,
    /// Why the callout cannot be sent, if it cannot.
    pub unsent: Option<Unsent>,
    /// What Keystone answers; `None` if it is not asked.
    pub keystone: Option<ServiceAnswer>,
    /// Why Keystone cannot be asked, if it cannot.
    pub keystone_unsent: Option<Unsent>,
    /// What the client gets; `None` if the request passes.
    pub expect: Option<Expected>,
    /// What the store is sent; `None` if it is not asked.
    pub callout: Option<ExpectedCallout>,
    /// What Keystone is sent.
    pub keystone_callout: Option<ExpectedCallout>,
    /// Whether the request reaches the upstream unchanged.
    #[serde(default)]
    pub passes: bool,
}

/// What a service answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceAnswer {
    /// The status code.
    pub status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: String,
}

/// Why Envoy refuses to send a callout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Unsent {
    /// The cluster is empty.
    #[serde(rename = "no host")]
    NoHost,
    /// There is no such cluster.
    #[serde(rename = "unknown cluster")]
    UnknownCluster,
}

/// The answer the client must get.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The status code.
    pub status: u16,
    body: Option<String>,
    fault: Option<String>,
    message: Option<String>,
    starts: Option<String>,
    /// Header fields it has, by lower-case name.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Header fields it lacks.
    #[serde(default)]
    pub without: Vec<String>,
}

/// The callout the store must get.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedCallout {
    target: String,
    /// The `:authority`.
    #[serde(default = "default_authority")]
    pub authority: String,
    /// The client's headers among the callout's, in order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
}

fn default_config() -> String {
    "default".to_owned()
}

fn default_authority() -> String {
    "store".to_owned()
}

fn get() -> String {
    "GET".to_owned()
}

fn route() -> String {
    "/v2/p1/os-vendor-backup-sharing/count".to_owned()
}

impl Default for ServiceAnswer {
    fn default() -> Self {
        let body = r#"{"count":2}"#.to_owned();
        Self { status: 200, headers: Vec::new(), body }
    }
}

// === impl Cases ===

impl Cases {
    /// Reads `tests/cases.toml`.
    pub fn load() -> Result<Self> {
        let path = workspace::root().join("tests/cases.toml");
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("reading {}", path.display()))?;
        toml::from_str(&text).context("understanding tests/cases.toml")
    }
}

// === impl Case ===

impl Case {
    /// The request's target: path and query.
    pub fn target(&self) -> Vec<u8> {
        match &self.query {
            Some(query) => bytes(&format!("{}?{query}", self.path)),
            None => bytes(&self.path),
        }
    }

    /// The request's header fields, without `host`.
    pub fn headers(&self) -> Vec<(&str, Vec<u8>)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), bytes(value))).collect()
    }

    /// The request's body; its `content-length` is among the headers.
    pub fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }
}

// === impl ServiceAnswer ===

impl ServiceAnswer {
    /// Its header fields.
    pub fn headers(&self) -> Vec<(&str, Vec<u8>)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), bytes(value))).collect()
    }

    /// Its body.
    pub fn body(&self) -> Vec<u8> {
        bytes(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_one_end_and_a_name_of_its_own() {
        let cases = Cases::load().unwrap();
        let mut names = std::collections::BTreeSet::new();
        for case in &cases.cases {
            assert!(names.insert(&case.name), "{} stands twice", case.name);
            assert_ne!(case.expect.is_some(), case.passes, "{}", case.name);
            assert!(cases.config.contains_key(&case.config), "{}", case.name);
        }
    }
}
