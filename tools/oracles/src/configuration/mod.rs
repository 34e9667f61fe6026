//! Which plugin configurations are taken (docs/contract.md#configuration), and what they mean.
//!
//! `domains` judges single values, `protobuf` writes a configuration as the `Struct` that Envoy
//! may hand over instead of JSON.

mod domains;
mod protobuf;

pub use domains::FORWARDED;

use std::time::Duration;

use backup_sharing_count::callout::Service;
use backup_sharing_count::config::{Config, ConfigError};
use backup_sharing_count::filters::FilterRules;

use crate::json::{Document, Json};

/// Asserts that the filter takes or refuses a configuration as the contract does, and reads from
/// it what the contract says, as JSON and as a `Struct`.
pub fn check(text: &[u8]) {
    let found = Config::parse(text);
    if let Err(error) = &found {
        check_sentence(error);
    }
    let document = match text {
        // An empty configuration is an empty object.
        [] => Document::Value(Json::Object(Vec::new())),
        _ => match Document::read(text) {
            // Not JSON, or not for sure.
            Document::Malformed => protobuf::read(text).unwrap_or(Document::Malformed),
            document => document,
        },
    };
    match &document {
        Document::Value(value) if value.has_long_number() => {}
        Document::Value(value) => {
            check_meaning(value, &found);
            if let Some(bytes) = protobuf::encode(value) {
                check_meaning(value, &Config::parse(&bytes));
            }
        }
        Document::Malformed => assert!(found.is_err(), "taken: {}", text.escape_ascii()),
        Document::Unclear => {}
    }
}

fn check_meaning(value: &Json, found: &Result<Config, ConfigError>) {
    let mut reader = Reader::default();
    let expected = reader.configuration(value);
    match (found, &reader.wrong[..]) {
        (Ok(found), []) => assert_eq!(facts(found), expected, "{value:?}"),
        (Err(error), [_, ..]) => {
            let named = |path: &String| error.0.starts_with(&format!("{path}:"));
            assert!(reader.wrong.iter().any(named), "{error}: wrong are {:?}", reader.wrong);
            check_sentence(error);
        }
        (found, wrong) => panic!("{value:?}: wrong are {wrong:?}, got {found:?}"),
    }
}

/// One line that names a field and says what was expected.
fn check_sentence(error: &ConfigError) {
    let ConfigError(sentence) = error;
    assert!(!sentence.chars().any(char::is_control), "one line: {sentence:?}");
    assert!(sentence.contains(": "), "names a field: {sentence:?}");
}

/// What a configuration says, defaults included.
#[derive(Debug, Default, PartialEq)]
struct Facts {
    /// `None` in mode `validate`.
    store: Option<Service>,
    reject_unknown: bool,
    statuses: Vec<String>,
}

fn facts(config: &Config) -> Facts {
    let FilterRules { reject_unknown, statuses } = &config.rules;
    Facts {
        store: config.store.clone(),
        reject_unknown: *reject_unknown,
        statuses: statuses.iter().map(|word| word.as_str().to_owned()).collect(),
    }
}

/// Reads a configuration and notes the path of each field that is wrong.
#[derive(Default)]
struct Reader {
    wrong: Vec<String>,
}

impl Reader {
    fn configuration(&mut self, value: &Json) -> Facts {
        self.section("", Some(value), &["mode", "store", "filters"]);
        let mode = self.field(value, "", "mode", |text| {
            ["count", "validate"].into_iter().find(|mode| *mode == text)
        });
        let store = value.all("store").next();
        let store = self.store(store, mode != Some("validate"));
        let (reject_unknown, statuses) = self.filters(value.all("filters").next());
        Facts { store, reject_unknown, statuses }
    }

    fn store(&mut self, section: Option<&Json>, needed: bool) -> Option<Service> {
        const FIELDS: [&str; 7] = [
            "cluster", "protocol", "authority", "path_prefix", "timeout", "forward_headers",
            "retries",
        ];
        self.section("store", section, &FIELDS);
        let none = Json::Object(Vec::new());
        let store = section.unwrap_or(&none);
        let cluster = self.field(store, "store.", "cluster", |text| {
            Some(text.to_owned()).filter(|name| !name.is_empty())
        });
        self.field(store, "store.", "protocol", |text| (text == "vbs").then_some(()));
        let authority = self.field(store, "store.", "authority", domains::authority);
        let prefix = self.field(store, "store.", "path_prefix", domains::path_prefix);
        let timeout = self.field(store, "store.", "timeout", domains::timeout);
        let headers = self.list(store, "store.", "forward_headers", domains::forwarded_header);
        let retries = self
            .value(store, "store.", "retries", |value| value.number().and_then(domains::retries));
        if !needed {
            return None;
        }
        let Some(cluster) = cluster else {
            self.wrong.push("store.cluster".to_owned());
            return None;
        };
        let authority = authority.or_else(|| domains::authority_of_cluster(&cluster));
        if authority.is_none() {
            self.wrong.push("store.authority".to_owned());
        }
        let default_headers = || domains::FORWARDED.map(str::to_owned).to_vec();
        Some(Service {
            cluster,
            authority: authority?,
            path_prefix: prefix.unwrap_or_default(),
            timeout: timeout.unwrap_or(Duration::from_secs(1)),
            forward_headers: headers.unwrap_or_else(default_headers),
            retries: retries.unwrap_or(2),
        })
    }

    fn filters(&mut self, section: Option<&Json>) -> (bool, Vec<String>) {
        self.section("filters", section, &["unknown", "statuses"]);
        let none = Json::Object(Vec::new());
        let filters = section.unwrap_or(&none);
        let unknown = self.field(filters, "filters.", "unknown", |text| {
            ["reject", "ignore"].into_iter().find(|word| *word == text)
        });
        let statuses = self.list(filters, "filters.", "statuses", domains::status);
        if statuses.as_ref().is_some_and(Vec::is_empty) {
            self.wrong.push("filters.statuses".to_owned());
        }
        let documented =
            || crate::filters::DOCUMENTED.statuses.iter().map(|word| (*word).to_owned());
        (unknown != Some("ignore"), statuses.unwrap_or_else(|| documented().collect()))
    }

    /// A section is an object with these fields, each once at most.
    fn section(&mut self, path: &str, value: Option<&Json>, fields: &[&str]) {
        let (own, prefix) = match path {
            "" => ("configuration", String::new()),
            _ => (path, format!("{path}.")),
        };
        let Some(members) = value.map(|value| value.members()) else { return };
        let Some(members) = members else { return self.wrong.push(own.to_owned()) };
        for (at, (name, _)) in members.iter().enumerate() {
            if !fields.contains(&name.as_str()) {
                self.wrong.push(domains::shown(&format!("{prefix}{name}")));
            } else if members[..at].iter().any(|(before, _)| before == name) {
                self.wrong.push(format!("{prefix}{name}"));
            }
        }
    }

    fn field<T>(
        &mut self,
        section: &Json,
        prefix: &str,
        name: &str,
        domain: fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.value(section, prefix, name, |value| value.text().and_then(domain))
    }

    fn value<T>(
        &mut self,
        section: &Json,
        prefix: &str,
        name: &str,
        domain: impl Fn(&Json) -> Option<T>,
    ) -> Option<T> {
        let read = domain(section.all(name).next()?);
        if read.is_none() {
            self.wrong.push(format!("{prefix}{name}"));
        }
        read
    }

    fn list(
        &mut self,
        section: &Json,
        prefix: &str,
        name: &str,
        domain: fn(&str) -> Option<String>,
    ) -> Option<Vec<String>> {
        let Json::Array(values) = section.all(name).next()? else {
            self.wrong.push(format!("{prefix}{name}"));
            return None;
        };
        let read = values.iter().enumerate().map(|(at, value)| {
            let read = value.text().and_then(domain);
            if read.is_none() {
                self.wrong.push(format!("{prefix}{name}[{at}]"));
            }
            read.unwrap_or_default()
        });
        Some(read.collect())
    }
}
