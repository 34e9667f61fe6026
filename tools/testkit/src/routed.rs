//! The route that leaves the filter out of requests that cannot be for it. The filter is on unless this
//! route says otherwise, so that a mistake in the route costs time and lets nothing slip past.

use crate::{Error, Result};

/// The route, as the README shows it. It stands before the one it is the like of.
///
/// It looks at the whole `:path`, byte by byte. A match of the path alone (`safe_regex`) lets calls slip past in
/// some releases: docs/decisions/.
pub const ROUTE: &str = r#"- match:
    prefix: /
    headers:
    - {name: ":path", string_match: {contains: os-vendor-backup-sharing}, invert_match: true}
    - {name: ":path", string_match: {contains: "%"}, invert_match: true}
  route: {cluster: backend}
  typed_per_filter_config:
    backup-sharing-count:
      "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig
      disabled: true
"#;

/// Whether the route takes a `:path`, and the filter never sees it.
pub fn leaves_out(path_and_query: &[u8]) -> bool {
    let has = |word: &str| path_and_query.windows(word.len()).any(|found| found == word.as_bytes());
    path_and_query.starts_with(b"/") && !words().any(has)
}

/// What keeps a path with the filter.
pub fn words() -> impl Iterator<Item = &'static str> {
    let behind = ROUTE.split("contains: ").skip(1);
    behind.filter_map(|text| Some(text.split_once('}')?.0.trim_matches('"')))
}

/// A configuration that [`edge`](crate::edge) makes, or one of its listeners, with the route first.
pub fn routed(yaml: &str) -> Result<String> {
    const ROUTES: &str = "              routes:\n";
    if !yaml.contains(ROUTES) {
        return Err(Error::new("The configuration has no routes where the route would go."));
    }
    let route = ROUTE.replace("cluster: backend", "cluster: upstream");
    let route: String = route.lines().map(|line| format!("              {line}\n")).collect();
    Ok(yaml.replace(ROUTES, &format!("{ROUTES}{route}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_by_name_and_whatever_is_escaped_keep_the_filter() {
        assert_eq!(words().collect::<Vec<_>>(), ["os-vendor-backup-sharing", "%"]);
        assert!(leaves_out(b"/v2/p1/volumes?limit=10"));
        for kept in ["/v2/p1/os-vendor-backup-sharing/count", "/v2/%70", "/v2?name=%41", "*", ""] {
            assert!(!leaves_out(kept.as_bytes()), "{kept}");
        }
    }
}
