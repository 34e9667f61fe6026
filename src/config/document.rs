//! The shape of the configuration, its defaults, and what is checked across fields.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::fields::{
    Authority, Cluster, Field, HeaderName, Mode, PathPrefix, Protocol, Retries, Statuses, Timeout,
    Unknown,
};
use super::{Config, ConfigError, one_line};
use crate::filters::FilterRules;
use crate::store::StoreSettings;

/// The whole configuration.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Document {
    mode: Mode,
    #[serde(deserialize_with = "object")]
    store: StoreFields,
    #[serde(deserialize_with = "object")]
    filters: FilterFields,
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

/// How strictly queries are read.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FilterFields {
    unknown: Unknown,
    statuses: Statuses,
}

/// The default of `store.forward_headers`: the caller's token, request ids, and the headers of W3C and B3
/// tracing. Envoy makes no span for a callout.
const FORWARD_HEADERS: [&str; 11] = [
    "x-auth-token", "x-request-id", "x-openstack-request-id", "traceparent", "tracestate", "b3",
    "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags",
];

impl Default for StoreFields {
    fn default() -> StoreFields {
        StoreFields {
            cluster: None,
            _protocol: Protocol(()),
            authority: None,
            path_prefix: PathPrefix(String::new()),
            timeout: Timeout(Duration::from_secs(1)),
            forward_headers: FORWARD_HEADERS.map(|name| HeaderName(name.to_owned())).into(),
            retries: Retries(2),
        }
    }
}

impl Document {
    /// Checks what involves several fields.
    pub fn check(self) -> Result<Config, ConfigError> {
        let Document { mode, store, filters } = self;
        let store = match mode {
            Mode::Count => Some(store.check()?),
            Mode::Validate => None,
        };
        let reject_unknown = filters.unknown == Unknown::Reject;
        let rules = FilterRules { reject_unknown, statuses: filters.statuses.0 };
        Ok(Config { store, rules })
    }
}

impl StoreFields {
    fn check(self) -> Result<StoreSettings, ConfigError> {
        let Some(Cluster(cluster)) = self.cluster else {
            let line = format!("store.cluster: expected {}, got nothing", Cluster::EXPECTED);
            return Err(ConfigError(line));
        };
        let Some(Authority(authority)) = self.authority.or_else(|| default_authority(&cluster))
        else {
            let line = format!(
                "store.authority: expected {}, for the cluster's name \"{cluster}\" cannot be sent \
                 as one: set store.authority",
                Authority::EXPECTED
            );
            return Err(ConfigError(one_line(&line)));
        };
        Ok(StoreSettings {
            cluster,
            authority,
            path_prefix: self.path_prefix.0,
            timeout: self.timeout.0,
            forward_headers: self.forward_headers.into_iter().map(|name| name.0).collect(),
            retries: self.retries.0,
        })
    }
}

/// The cluster's name, if every store takes it as a host. RFC 3986 allows `_` in a host, but strict stores such
/// as Django refuse it, so it is sent only if `store.authority` says so.
fn default_authority(cluster: &str) -> Option<Authority> {
    Authority::parse(cluster).filter(|_| !cluster.contains('_'))
}

/// A field without a default. Derive would read `null` as `None`; here it is an error.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A struct from an object. Derive would also take a list of its fields' values.
pub fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    from.deserialize_map(Object(PhantomData))
}
