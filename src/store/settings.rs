//! Where and how the store is asked.

use std::time::Duration;

/// Where and how the store is asked (`store` of the plugin configuration).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// The Envoy cluster.
    pub cluster: String,
    /// The `:authority` of the callout.
    pub authority: String,
    /// What stands before `/v2/…`; empty, or an absolute path.
    pub path_prefix: String,
    /// How long the whole answer may take. At least 1 ms: Envoy reads 0 as no
    /// timeout at all.
    pub timeout: Duration,
    /// The client's headers that go along, in lower case.
    pub forward_headers: Vec<String>,
    /// How many times a callout may be sent again; 0 to 3.
    pub retries: u32,
}
