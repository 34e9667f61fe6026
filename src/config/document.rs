//! The shape of the configuration, its defaults, and what fields say together.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::fields::{
    Authority, Cluster, HeaderName, Mode, PathPrefix, Protocol, Timeout, Unknown, Word,
};
use super::{Config, ConfigError};
use crate::filters::FilterRules;
use crate::store::Store;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Top {
    #[serde(deserialize_with = "present")]
    mode: Option<Mode>,
    store: Object<StoreSection>,
    filters: Object<FiltersSection>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StoreSection {
    #[serde(deserialize_with = "present")]
    cluster: Option<Cluster>,
    #[serde(deserialize_with = "present", rename = "protocol")]
    _protocol: Option<Protocol>,
    #[serde(deserialize_with = "present")]
    authority: Option<Authority>,
    #[serde(deserialize_with = "present")]
    path_prefix: Option<PathPrefix>,
    #[serde(deserialize_with = "present")]
    timeout: Option<Timeout>,
    #[serde(deserialize_with = "present")]
    forward_headers: Option<Vec<HeaderName>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FiltersSection {
    #[serde(deserialize_with = "present")]
    unknown: Option<Unknown>,
    #[serde(deserialize_with = "present")]
    statuses: Option<Vec<Word>>,
}

/// The headers that go along unless the configuration says otherwise: the
/// caller's token, request ids, and both ways of tracing. Callouts have no
/// span of their own (proxy-wasm facts B1).
const FORWARD_HEADERS: [&str; 11] = [
    "x-auth-token",
    "x-request-id",
    "x-openstack-request-id",
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
];

const TIMEOUT: Duration = Duration::from_secs(1);

/// The whole configuration as it stands in JSON.
#[derive(Deserialize)]
pub struct Document(Object<Top>);

impl Document {
    /// Fills in the defaults and checks what one field alone cannot tell.
    pub fn check(self) -> Result<Config, ConfigError> {
        let Top { mode, store, filters } = self.0.0;
        let FiltersSection { unknown, statuses } = filters.0;
        let defaults = FilterRules::default();
        let statuses = match statuses {
            Some(words) if words.is_empty() => {
                let message = "filters.statuses: expected at least one status, got an empty list";
                return Err(ConfigError(message.to_owned()));
            }
            Some(words) => words.into_iter().map(|word| word.0).collect(),
            None => defaults.statuses,
        };
        let reject_unknown = unknown.map_or(defaults.reject_unknown, |unknown| unknown.0);
        let store = match mode {
            Some(Mode(false)) => None,
            None | Some(Mode(true)) => Some(store.0.check()?),
        };
        Ok(Config { store, rules: FilterRules { reject_unknown, statuses } })
    }
}

impl StoreSection {
    fn check(self) -> Result<Store, ConfigError> {
        let Some(Cluster(cluster)) = self.cluster else {
            let message = "store.cluster: expected the name of an Envoy cluster, got nothing";
            return Err(ConfigError(message.to_owned()));
        };
        let authority = match self.authority {
            Some(authority) => authority,
            None => Authority::of_cluster(&cluster).ok_or_else(|| {
                ConfigError(format!(
                    "store.authority: expected one, since the cluster's name {cluster:?} is none"
                ))
            })?,
        };
        Ok(Store {
            cluster,
            authority: authority.0,
            path_prefix: self.path_prefix.map_or_else(String::new, |prefix| prefix.0),
            timeout: self.timeout.map_or(TIMEOUT, |timeout| timeout.0),
            forward_headers: match self.forward_headers {
                Some(names) => names.into_iter().map(|name| name.0).collect(),
                None => FORWARD_HEADERS.map(str::to_owned).into(),
            },
        })
    }
}

/// An absent field is `None`; `null` is a wrong type, as it is anywhere here.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A JSON object. Without this, derived code would also take an array of the
/// fields in order.
#[derive(Default)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}
