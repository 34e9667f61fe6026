use std::time::Duration;

use super::*;

fn config(json: &str) -> Result<Config, String> {
    Config::parse(json.as_bytes()).map_err(|error| error.0)
}

fn store(fields: &str) -> Result<StoreSettings, String> {
    config(&format!(r#"{{"store":{{"cluster":"c"{fields}}}}}"#)).map(|config| config.store.unwrap())
}

#[test]
fn the_smallest_configuration_has_the_documented_defaults() {
    let config = config(r#"{"store":{"cluster":"counts"}}"#).unwrap();
    let store = config.store.unwrap();
    assert_eq!((store.cluster.as_str(), store.authority.as_str()), ("counts", "counts"));
    assert_eq!((store.path_prefix.as_str(), store.timeout), ("", Duration::from_secs(1)));
    assert_eq!(store.forward_headers.len(), 11);
    assert_eq!(store.retries, 2);
    assert!(config.rules.reject_unknown);
    assert_eq!(config.rules.statuses.len(), 7);
}

#[test]
fn every_field_is_taken() {
    let store = store(
        r#","protocol":"vbs","authority":"[::1]:8080","path_prefix":"/a%20/b","timeout":"0.0015s",
           "forward_headers":["X-Auth-Token"],"retries":0"#,
    )
    .unwrap();
    assert_eq!(store.authority, "[::1]:8080");
    assert_eq!(store.path_prefix, "/a%20/b");
    assert_eq!(store.timeout, Duration::from_millis(2), "rounded up");
    assert_eq!(store.forward_headers, ["x-auth-token"]);
    assert_eq!(store.retries, 0);

    let filters = r#"{"mode":"validate","filters":{"unknown":"ignore","statuses":["ok"]}}"#;
    let rules = config(filters).unwrap().rules;
    assert!(!rules.reject_unknown);
    assert_eq!(rules.statuses.len(), 1);
}
