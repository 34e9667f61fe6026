use std::time::Duration;

use super::*;

fn config(json: &str) -> Result<Config, String> {
    Config::parse(json.as_bytes()).map_err(|error| error.0)
}

fn store(fields: &str) -> Result<Service, String> {
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
fn a_number_of_retries_may_have_decimals_that_are_zero() {
    for (written, retries) in [("0", 0), ("2.0", 2), ("1e0", 1), ("30e-1", 3), ("-0", 0)] {
        assert_eq!(store(&format!(r#","retries":{written}"#)).unwrap().retries, retries);
    }
}

#[test]
fn mode_validate_needs_no_store() {
    for json in [r#"{"mode":"validate"}"#, r#"{"mode":"validate","store":{}}"#] {
        assert!(config(json).unwrap().store.is_none());
    }
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

#[test]
fn a_cluster_whose_name_no_strict_store_takes_needs_an_authority() {
    let named = |name| config(&format!(r#"{{"store":{{"cluster":"{name}"}}}}"#)).map(drop);
    let refused = |name| {
        Err(format!(
            "store.authority: expected a host, or a host and a port, for the cluster's name \
             \"{name}\" cannot be sent as one: set store.authority"
        ))
    };
    assert_eq!(named("count-store"), Ok(()));
    assert_eq!(named("count_store"), refused("count_store"));
    assert_eq!(named("a\\nb"), refused("a\\nb"), "one line");
    let given = store(r#","authority":"count_store""#).unwrap();
    assert_eq!(given.authority, "count_store");
}
