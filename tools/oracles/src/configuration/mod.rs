//! Which plugin configurations are taken (docs/contract.md#configuration), and what they mean.
//!
//! `domains` judges single values, `protobuf` writes a configuration as the `Struct` that Envoy
//! may hand over instead of JSON.

mod domains;
mod protobuf;

pub use domains::FORWARDED;

use std::time::Duration;

use backup_sharing_count::auth::{KeystoneSettings, VouchedHeader};
use backup_sharing_count::cache::CacheSettings;
use backup_sharing_count::callout::Service;
use backup_sharing_count::config::{AuthConfig, Config, ConfigError};
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
#[derive(Debug, PartialEq)]
struct Facts {
    /// `None` in mode `validate`.
    store: Option<Service>,
    /// `None` if there is something wrong with it.
    auth: Option<AuthConfig>,
    reject_unknown: bool,
    statuses: Vec<String>,
    /// `None` if counts are not remembered, or there is something wrong with it.
    cache: Option<CacheSettings>,
    metrics: bool,
}

fn facts(config: &Config) -> Facts {
    let FilterRules { reject_unknown, statuses } = &config.rules;
    Facts {
        store: config.store.clone(),
        auth: Some(config.auth.clone()),
        reject_unknown: *reject_unknown,
        statuses: statuses.iter().map(|word| word.as_str().to_owned()).collect(),
        cache: config.cache.clone(),
        metrics: config.metrics,
    }
}

/// The fields of both services.
const SERVICE: [&str; 5] = ["cluster", "authority", "path_prefix", "timeout", "retries"];

/// Reads a configuration and notes the path of each field that is wrong.
#[derive(Default)]
struct Reader {
    wrong: Vec<String>,
}

impl Reader {
    fn configuration(&mut self, value: &Json) -> Facts {
        self.section("", Some(value), &["mode", "store", "auth", "cache", "filters", "metrics"]);
        let mode = self.field(value, "", "mode", |text| {
            ["count", "validate"].into_iter().find(|mode| *mode == text)
        });
        let counts = mode != Some("validate");
        let store = self.store(value.all("store").next(), counts);
        let forwarded = store.as_ref().filter(|_| counts).map(|store| &store.forward_headers[..]);
        let auth = self.auth(value.all("auth").next(), forwarded);
        let (reject_unknown, statuses) = self.filters(value.all("filters").next());
        let cache = self.cache(value.all("cache").next(), counts);
        let metrics = self.value(value, "", "metrics", |value| match value {
            Json::Bool(is_on) => Some(*is_on),
            _ => {
                ["off", "on"].iter().position(|word| Some(*word) == value.text()).map(|at| at == 1)
            }
        });
        let metrics = metrics.unwrap_or(true);
        Facts { store, auth, reject_unknown, statuses, cache, metrics }
    }

    fn store(&mut self, section: Option<&Json>, needed: bool) -> Option<Service> {
        let own = ["protocol", "forward_headers"];
        self.section("store", section, &[&SERVICE[..], &own].concat());
        let none = Json::Object(Vec::new());
        let store = section.unwrap_or(&none);
        self.field(store, "store.", "protocol", |text| (text == "vbs").then_some(()));
        let headers = self.list(store, "store.", "forward_headers", domains::forwarded_header);
        let headers = headers.unwrap_or_else(|| domains::FORWARDED.map(str::to_owned).to_vec());
        self.service(store, "store.", headers, 2, needed)
    }

    /// The fields that both services have.
    fn service(
        &mut self,
        section: &Json,
        prefix: &str,
        forward_headers: Vec<String>,
        default_retries: u32,
        needed: bool,
    ) -> Option<Service> {
        let cluster = self.field(section, prefix, "cluster", domains::not_empty);
        let authority = self.field(section, prefix, "authority", domains::authority);
        let path_prefix = self.field(section, prefix, "path_prefix", domains::path_prefix);
        let timeout = self.field(section, prefix, "timeout", domains::timeout);
        let retries = self.value(section, prefix, "retries", |value| {
            value.number().and_then(|number| domains::integer(number, 0..=3))
        });
        if !needed {
            return None;
        }
        let Some(cluster) = cluster else {
            self.wrong.push(format!("{prefix}cluster"));
            return None;
        };
        let authority = authority.or_else(|| domains::authority_of_cluster(&cluster));
        if authority.is_none() {
            self.wrong.push(format!("{prefix}authority"));
        }
        Some(Service {
            cluster,
            authority: authority?,
            path_prefix: path_prefix.unwrap_or_default(),
            timeout: timeout.unwrap_or(Duration::from_secs(1)),
            forward_headers,
            retries: retries.unwrap_or(default_retries),
        })
    }

    /// `forwarded` are the headers that the store gets, if there is one.
    fn auth(&mut self, section: Option<&Json>, forwarded: Option<&[String]>) -> Option<AuthConfig> {
        self.section("auth", section, &["mode", "challenge", "header", "keystone"]);
        let none = Json::Object(Vec::new());
        let auth = section.unwrap_or(&none);
        let mode = self.field(auth, "auth.", "mode", |text| {
            ["none", "header", "keystone"].into_iter().find(|mode| *mode == text)
        });
        let mode = mode.unwrap_or("none");
        let challenge = self.field(auth, "auth.", "challenge", domains::challenge);
        let header = self.field(auth, "auth.", "header", domains::forwarded_header);
        let keystone = self.keystone(auth.all("keystone").next(), forwarded, mode == "keystone");
        for (name, modes) in [
            ("challenge", &["header", "keystone"][..]),
            ("header", &["header"]),
            ("keystone", &["keystone"]),
        ] {
            if !modes.contains(&mode) && auth.all(name).next().is_some() {
                self.wrong.push(format!("auth.{name}"));
            }
        }
        if mode == "header" && challenge.is_none() {
            self.wrong.push("auth.challenge".to_owned());
        }
        Some(match mode {
            "header" => AuthConfig::Header(VouchedHeader {
                name: header.unwrap_or_else(|| "x-project-id".to_owned()),
                challenge: challenge?,
            }),
            "keystone" => {
                let challenge = challenge.unwrap_or_else(|| "Keystone".to_owned());
                AuthConfig::Keystone(KeystoneSettings { challenge, ..keystone? })
            }
            _ => AuthConfig::None,
        })
    }

    fn keystone(
        &mut self,
        section: Option<&Json>,
        forwarded: Option<&[String]>,
        needed: bool,
    ) -> Option<KeystoneSettings> {
        const PREFIX: &str = "auth.keystone.";
        let own = ["roles", "remember", "max_tokens"];
        self.section("auth.keystone", section, &[&SERVICE[..], &own].concat());
        let none = Json::Object(Vec::new());
        let keystone = section.unwrap_or(&none);
        let roles = self.list(keystone, PREFIX, "roles", domains::not_empty);
        let remember = self.field(keystone, PREFIX, "remember", domains::remember);
        let max_tokens = self.value(keystone, PREFIX, "max_tokens", |value| {
            value.number().and_then(|number| domains::integer(number, 1..=100_000))
        });
        let tracing = domains::FORWARDED[1..].iter().map(|name| (*name).to_owned());
        let tracing = tracing.filter(|name| forwarded.is_none_or(|names| names.contains(name)));
        Some(KeystoneSettings {
            service: self.service(keystone, PREFIX, tracing.collect(), 1, needed)?,
            challenge: String::new(),
            roles: roles.unwrap_or_default(),
            remember: remember.unwrap_or(Duration::from_secs(60)),
            max_tokens: usize::try_from(max_tokens.unwrap_or(10_000)).expect("it is small"),
        })
    }

    fn cache(&mut self, section: Option<&Json>, counts: bool) -> Option<CacheSettings> {
        self.section("cache", section, &["ttl", "stale_if_error", "max_entries"]);
        let cache = section?;
        if !counts {
            self.wrong.push("cache".to_owned());
        }
        let ttl = self.field(cache, "cache.", "ttl", domains::ttl).unwrap_or_default();
        let stale_if_error = self.field(cache, "cache.", "stale_if_error", domains::stale_if_error);
        let max_entries = self.value(cache, "cache.", "max_entries", |value| {
            value.number().and_then(|number| domains::integer(number, 1..=100_000))
        });
        if ttl.is_zero() {
            let needless = ["stale_if_error", "max_entries"].into_iter();
            let needless = needless.filter(|name| cache.all(name).next().is_some());
            self.wrong.extend(needless.map(|name| format!("cache.{name}")));
            return None;
        }
        Some(CacheSettings {
            ttl,
            stale_if_error: stale_if_error.unwrap_or_default(),
            max_entries: usize::try_from(max_entries.unwrap_or(1024)).expect("it is small"),
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
