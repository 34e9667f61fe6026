//! The shape of the configuration, its defaults, and what is checked across fields.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer};

use super::fields::{
    AuthMode, Authority, Challenge, Cluster, Field, HeaderName, Integer, MaxEntries, Metrics, Mode,
    PathPrefix, Protocol, Remember, Retries, Role, StaleIfError, Statuses, Timeout, Ttl, Unknown,
};
use super::{AuthConfig, Config, ConfigError, one_line};
use crate::auth::{KeystoneSettings, VouchedHeader};
use crate::cache::CacheSettings;
use crate::callout::{Service, TOKEN, TRACING};
use crate::filters::FilterRules;
use crate::json::Object;

/// The whole configuration.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Document {
    mode: Mode,
    store: Object<StoreFields>,
    auth: Object<AuthFields>,
    #[serde(deserialize_with = "given")]
    cache: Option<Object<CacheFields>>,
    filters: Object<FilterFields>,
    metrics: Metrics,
}

/// How the store is asked.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StoreFields {
    #[serde(deserialize_with = "given")]
    cluster: Option<Cluster>,
    #[serde(rename = "protocol")]
    _protocol: Protocol,
    #[serde(deserialize_with = "given")]
    authority: Option<Authority>,
    path_prefix: PathPrefix,
    timeout: Timeout,
    forward_headers: Vec<HeaderName>,
    retries: Retries,
}

/// Who vouches for the caller.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AuthFields {
    mode: AuthMode,
    #[serde(deserialize_with = "given")]
    challenge: Option<Challenge>,
    #[serde(deserialize_with = "given")]
    header: Option<HeaderName>,
    #[serde(deserialize_with = "given")]
    keystone: Option<Object<KeystoneFields>>,
}

/// How Keystone is asked.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KeystoneFields {
    #[serde(deserialize_with = "given")]
    cluster: Option<Cluster>,
    #[serde(deserialize_with = "given")]
    authority: Option<Authority>,
    path_prefix: PathPrefix,
    timeout: Timeout,
    retries: Retries,
    roles: Vec<Role>,
    remember: Remember,
    max_tokens: MaxEntries,
}

/// How counts are remembered.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CacheFields {
    ttl: Ttl,
    #[serde(deserialize_with = "given")]
    stale_if_error: Option<StaleIfError>,
    #[serde(deserialize_with = "given")]
    max_entries: Option<MaxEntries>,
}

/// How strictly queries are read.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FilterFields {
    unknown: Unknown,
    statuses: Statuses,
}

impl Default for StoreFields {
    fn default() -> StoreFields {
        // The caller's token goes along too.
        let names = [TOKEN].into_iter().chain(TRACING);
        StoreFields {
            cluster: None,
            _protocol: Protocol(()),
            authority: None,
            path_prefix: PathPrefix(String::new()),
            timeout: Timeout(Duration::from_secs(1)),
            forward_headers: names.map(|name| HeaderName(name.to_owned())).collect(),
            retries: Integer(2),
        }
    }
}

impl Default for KeystoneFields {
    fn default() -> KeystoneFields {
        KeystoneFields {
            cluster: None,
            authority: None,
            path_prefix: PathPrefix(String::new()),
            timeout: Timeout(Duration::from_secs(1)),
            retries: Integer(1),
            roles: Vec::new(),
            remember: Remember(Duration::from_secs(60)),
            max_tokens: Integer(10_000),
        }
    }
}

impl Default for CacheFields {
    fn default() -> CacheFields {
        CacheFields { ttl: Ttl(Duration::ZERO), stale_if_error: None, max_entries: None }
    }
}

impl Document {
    /// Checks what involves several fields.
    pub fn check(self) -> Result<Config, ConfigError> {
        let Document { mode, store, auth, cache, filters, metrics: Metrics(metrics) } = self;
        let (Object(store), Object(auth), Object(filters)) = (store, auth, filters);
        let store = match mode {
            Mode::Count => Some(store.check()?),
            Mode::Validate => None,
        };
        let auth = auth.check(store.as_ref())?;
        let cache = match cache {
            Some(_) if store.is_none() => return Err(meaningless("cache", "mode", "validate")),
            Some(Object(cache)) => cache.check()?,
            None => None,
        };
        let reject_unknown = filters.unknown == Unknown::Reject;
        let rules = FilterRules { reject_unknown, statuses: filters.statuses.0 };
        Ok(Config { store, auth, cache, rules, metrics })
    }
}

impl StoreFields {
    fn check(self) -> Result<Service, ConfigError> {
        let (cluster, authority) = reach("store", self.cluster, self.authority)?;
        Ok(Service {
            cluster,
            authority,
            path_prefix: self.path_prefix.0,
            timeout: self.timeout.0,
            forward_headers: self.forward_headers.into_iter().map(|name| name.0).collect(),
            retries: self.retries.0,
        })
    }
}

impl AuthFields {
    fn check(self, store: Option<&Service>) -> Result<AuthConfig, ConfigError> {
        let AuthFields { mode, challenge, header, keystone } = self;
        let challenge = challenge.map(|challenge| challenge.0);
        let needless = [
            ("challenge", challenge.is_some() && mode == AuthMode::None),
            ("header", header.is_some() && mode != AuthMode::Header),
            ("keystone", keystone.is_some() && mode != AuthMode::Keystone),
        ];
        if let Some((field, _)) = needless.iter().find(|(_, is_needless)| *is_needless) {
            return Err(meaningless(&format!("auth.{field}"), "auth.mode", &mode.to_string()));
        }
        Ok(match mode {
            AuthMode::None => AuthConfig::None,
            AuthMode::Header => AuthConfig::Header(VouchedHeader {
                name: header.map_or_else(|| "x-project-id".to_owned(), |name| name.0),
                challenge: challenge
                    .ok_or_else(|| missing("auth.challenge", Challenge::EXPECTED))?,
            }),
            AuthMode::Keystone => {
                let Object(keystone) = keystone.unwrap_or_default();
                let challenge = challenge.unwrap_or_else(|| "Keystone".to_owned());
                AuthConfig::Keystone(keystone.check(challenge, store)?)
            }
        })
    }
}

impl CacheFields {
    /// `None` if it is off.
    fn check(self) -> Result<Option<CacheSettings>, ConfigError> {
        let CacheFields { ttl: Ttl(ttl), stale_if_error, max_entries } = self;
        if !ttl.is_zero() {
            let max_entries = max_entries.map_or(1024, |most| most.0);
            return Ok(Some(CacheSettings {
                ttl,
                stale_if_error: stale_if_error.map_or(Duration::ZERO, |time| time.0),
                max_entries: usize::try_from(max_entries).unwrap_or(usize::MAX),
            }));
        }
        let needless = [
            ("cache.stale_if_error", stale_if_error.is_some()),
            ("cache.max_entries", max_entries.is_some()),
        ];
        match needless.iter().find(|(_, is_needless)| *is_needless) {
            Some((field, _)) => Err(meaningless(field, "cache.ttl", "0s")),
            None => Ok(None),
        }
    }
}

impl KeystoneFields {
    /// The headers of tracing go to Keystone if they go to the store; without a store, the default ones.
    fn check(
        self,
        challenge: String,
        store: Option<&Service>,
    ) -> Result<KeystoneSettings, ConfigError> {
        let (cluster, authority) = reach("auth.keystone", self.cluster, self.authority)?;
        let goes = |name: &&str| {
            store.is_none_or(|store| store.forward_headers.iter().any(|listed| listed == name))
        };
        let service = Service {
            cluster,
            authority,
            path_prefix: self.path_prefix.0,
            timeout: self.timeout.0,
            forward_headers: TRACING.into_iter().filter(goes).map(str::to_owned).collect(),
            retries: self.retries.0,
        };
        Ok(KeystoneSettings {
            service,
            challenge,
            roles: self.roles.into_iter().map(|role| role.0).collect(),
            remember: self.remember.0,
            max_tokens: usize::try_from(self.max_tokens.0).unwrap_or(usize::MAX),
        })
    }
}

/// The cluster and the authority of the service in this section.
fn reach(
    section: &str,
    cluster: Option<Cluster>,
    authority: Option<Authority>,
) -> Result<(String, String), ConfigError> {
    let Some(Cluster(cluster)) = cluster else {
        return Err(missing(&format!("{section}.cluster"), Cluster::EXPECTED));
    };
    let Some(Authority(authority)) = authority.or_else(|| default_authority(&cluster)) else {
        let line = format!(
            "{section}.authority: expected {}, for the cluster's name \"{cluster}\" cannot be sent as one: set \
             {section}.authority",
            Authority::EXPECTED
        );
        return Err(ConfigError(one_line(&line)));
    };
    Ok((cluster, authority))
}

fn meaningless(field: &str, other: &str, value: &str) -> ConfigError {
    ConfigError(format!("{field}: has no meaning with {other} \"{value}\""))
}

fn missing(field: &str, expected: &str) -> ConfigError {
    ConfigError(format!("{field}: expected {expected}, got nothing"))
}

/// The cluster's name, if every service takes it as a host. RFC 3986 allows `_` in a host, but strict ones such
/// as Django refuse it, so it is sent only if the configuration says so.
fn default_authority(cluster: &str) -> Option<Authority> {
    Authority::parse(cluster).filter(|_| !cluster.contains('_'))
}

/// A field without a default. Derive would read `null` as `None`; here it is an error.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}
