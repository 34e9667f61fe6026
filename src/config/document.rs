//! The shape of the configuration, its defaults, and what fields say together.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::fields::{
    Authority, Cluster, Field, HeaderName, Mode, PathPrefix, Protocol, Timeout, Unknown, Word,
};
use super::section::Section;
use super::{Config, ConfigError};
use crate::filters::FilterRules;
use crate::json::Json;
use crate::store::Store;

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

/// Reads a whole configuration and fills in the defaults.
pub fn read(document: &Json) -> Result<Config, ConfigError> {
    let top = Section::top(document, &["mode", "store", "filters"])?;
    let mode = top.field::<Mode>("mode")?;
    let rules = rules(&top.section("filters", &["unknown", "statuses"])?)?;
    let section = top.section("store", &STORE_FIELDS)?;
    let store = store(&section)?;
    let store = match mode {
        Some(Mode(false)) => None,
        None | Some(Mode(true)) => Some(store.check()?),
    };
    Ok(Config { store, rules })
}

fn rules(section: &Section) -> Result<FilterRules, ConfigError> {
    let defaults = FilterRules::default();
    let unknown = section.field::<Unknown>("unknown")?;
    let statuses = match section.list::<Word>("statuses")? {
        Some(words) if words.is_empty() => {
            let expected = "at least one status";
            return Err(section.wrong("statuses", expected, "an empty list"));
        }
        Some(words) => words.into_iter().map(|word| word.0).collect(),
        None => defaults.statuses,
    };
    let reject_unknown = unknown.map_or(defaults.reject_unknown, |unknown| unknown.0);
    Ok(FilterRules { reject_unknown, statuses })
}

const STORE_FIELDS: [&str; 6] =
    ["cluster", "protocol", "authority", "path_prefix", "timeout", "forward_headers"];

/// `store`, each field by itself.
struct StoreFields<'a> {
    section: &'a Section<'a>,
    cluster: Option<Cluster>,
    authority: Option<Authority>,
    path_prefix: Option<PathPrefix>,
    timeout: Option<Timeout>,
    forward_headers: Option<Vec<HeaderName>>,
}

fn store<'a>(section: &'a Section<'a>) -> Result<StoreFields<'a>, ConfigError> {
    section.field::<Protocol>("protocol")?;
    Ok(StoreFields {
        section,
        cluster: section.field("cluster")?,
        authority: section.field("authority")?,
        path_prefix: section.field("path_prefix")?,
        timeout: section.field("timeout")?,
        forward_headers: section.list("forward_headers")?,
    })
}

impl StoreFields<'_> {
    fn check(self) -> Result<Store, ConfigError> {
        let Some(Cluster(cluster)) = self.cluster else {
            return Err(self.section.wrong("cluster", Cluster::EXPECTED, "nothing"));
        };
        let Some(authority) = self.authority.or_else(|| Authority::of_cluster(&cluster)) else {
            let expected = "one, since the cluster's name is none";
            return Err(self.section.wrong("authority", expected, "nothing"));
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
