//! The route of `docs/beside-much-other-traffic.md`, which leaves the filter out of requests that cannot be for it.
//! The filter is on unless this route says otherwise, so that a mistake in the route costs time and lets nothing slip past.

use serde_json::{Value, json};

use crate::edge::FILTER;
use crate::envoy::config::{to_cluster, typed};

/// A path that has one of these keeps the filter.
///
/// The whole `:path` is searched, byte by byte. A match of the path alone (`safe_regex`) lets calls slip past in
/// some releases: docs/decisions/2026-11-24-only-its-own-routes.md.
pub const KEEPS_THE_FILTER: [&str; 2] = ["os-vendor-backup-sharing", "%"];

/// The route, which stands before the route to the same cluster that keeps the filter.
pub fn route(cluster: &str) -> Value {
    let lacks = |word| {
        let contains = json!({"contains": word});
        json!({"name": ":path", "string_match": contains, "invert_match": true})
    };
    let mut route = to_cluster("/", cluster);
    route["match"]["headers"] = KEEPS_THE_FILTER.map(lacks).to_vec().into();
    let disabled = typed("envoy.config.route.v3.FilterConfig", json!({"disabled": true}));
    route["typed_per_filter_config"] = json!({FILTER: disabled});
    route
}

/// Whether the route takes a `:path`, and the filter never sees it.
pub fn leaves_out(path_and_query: &[u8]) -> bool {
    let has = |word: &str| path_and_query.windows(word.len()).any(|found| found == word.as_bytes());
    path_and_query.starts_with(b"/") && !KEEPS_THE_FILTER.into_iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_by_name_and_whatever_is_escaped_keep_the_filter() {
        assert!(leaves_out(b"/v2/p1/volumes?limit=10"));
        for kept in ["/v2/p1/os-vendor-backup-sharing/count", "/v2/%70", "/v2?name=%41", "*", ""] {
            assert!(!leaves_out(kept.as_bytes()), "{kept}");
        }
    }
}
