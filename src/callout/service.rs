//! Where and how a service is asked.

use std::time::Duration;

/// Where and how a service is asked (`store` and `auth.keystone` of the plugin configuration).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The Envoy cluster.
    pub cluster: String,
    /// The `:authority` of the callout.
    pub authority: String,
    /// What stands before the path of the call; empty, or an absolute path.
    pub path_prefix: String,
    /// How long the whole answer may take. At least 1 ms: Envoy reads 0 as no
    /// timeout at all.
    pub timeout: Duration,
    /// The client's headers that go along, in lower case.
    pub forward_headers: Vec<String>,
    /// How many times a callout may be sent again; 0 to 3.
    pub retries: u32,
}

/// The header with the caller's token.
pub const TOKEN: &str = "x-auth-token";

/// Request ids, and the headers of W3C and B3 tracing: Envoy makes no span for a callout.
pub const TRACING: [&str; 10] = [
    "x-request-id", "x-openstack-request-id", "traceparent", "tracestate", "b3", "x-b3-traceid",
    "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags",
];

/// Whether a header says only which request it is.
pub fn is_tracing(name: &str) -> bool {
    TRACING.contains(&name) || name.starts_with("x-b3-")
}

impl Service {
    /// The line for the error log when Envoy does not have the cluster. `field` is the section of the plugin
    /// configuration.
    pub fn unknown_cluster(&self, field: &str) -> String {
        let cluster = &self.cluster;
        format!("{field}.cluster: Envoy has no cluster {cluster:?}; requests are answered 500")
    }
}

#[cfg(test)]
impl Service {
    /// One that unit tests ask.
    pub fn for_tests() -> Service {
        Service {
            cluster: "counts".to_owned(),
            authority: "counts".to_owned(),
            path_prefix: String::new(),
            timeout: Duration::from_millis(160),
            forward_headers: Vec::new(),
            retries: 2,
        }
    }
}
