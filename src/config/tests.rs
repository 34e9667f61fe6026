use std::time::Duration;

use super::*;

fn config(json: &str) -> Result<Config, String> {
    Config::parse(json.as_bytes()).map_err(|error| error.0)
}

fn store(fields: &str) -> Result<Store, String> {
    config(&format!(r#"{{"store":{{"cluster":"c"{fields}}}}}"#)).map(|config| config.store.unwrap())
}

#[test]
fn the_smallest_configuration_has_the_documented_defaults() {
    let config = config(r#"{"store":{"cluster":"counts"}}"#).unwrap();
    let store = config.store.unwrap();
    assert_eq!((store.cluster.as_str(), store.authority.as_str()), ("counts", "counts"));
    assert_eq!((store.path_prefix.as_str(), store.timeout), ("", Duration::from_secs(1)));
    assert_eq!(store.forward_headers.len(), 11);
    assert!(config.rules.reject_unknown);
    assert_eq!(config.rules.statuses.len(), 7);
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
           "forward_headers":["X-Auth-Token"]"#,
    )
    .unwrap();
    assert_eq!(store.authority, "[::1]:8080");
    assert_eq!(store.path_prefix, "/a%20/b");
    assert_eq!(store.timeout, Duration::from_millis(2), "rounded up");
    assert_eq!(store.forward_headers, ["x-auth-token"]);

    let filters = r#"{"mode":"validate","filters":{"unknown":"ignore","statuses":["ok"]}}"#;
    let rules = config(filters).unwrap().rules;
    assert!(!rules.reject_unknown);
    assert_eq!(rules.statuses.len(), 1);
}

#[test]
fn timeouts_have_a_range_and_a_form() {
    let timeout = |text: &str| store(&format!(r#","timeout":"{text}""#)).map(|store| store.timeout);
    for (text, ms) in
        [("0.001s", 1), ("1s", 1000), ("2.5s", 2500), ("60s", 60_000), ("60.000s", 60_000)]
    {
        assert_eq!(timeout(text), Ok(Duration::from_millis(ms)), "{text}");
    }
    for bad in [
        "",
        "s",
        "1",
        "1 s",
        "-1s",
        "+1s",
        "0s",
        "0.0s",
        "60.001s",
        "61s",
        ".5s",
        "1.s",
        "1.0000000001s",
        "1e1s",
        "1ms",
        "99999999999999999999s",
    ] {
        let error = timeout(bad).unwrap_err();
        assert!(error.starts_with("store.timeout: expected a duration"), "{bad}: {error}");
    }
}

#[test]
fn an_error_names_the_field_by_its_path() {
    for (json, start) in [
        ("", "store.cluster: expected the name"),
        ("{}", "store.cluster: expected the name"),
        ("nope", "configuration: expected"),
        ("[]", "configuration: invalid type: sequence, expected an object"),
        ("null", "configuration: invalid type: null, expected an object"),
        (r#"{"mode":"validate"}x"#, "configuration: trailing characters"),
        (r#"{"mod":"count"}"#, "mod: unknown field `mod`, expected one of"),
        (r#"{"mode":"Count"}"#, "mode: unknown variant `Count`, expected `count` or `validate`"),
        (r#"{"mode":null}"#, "mode: "),
        (r#"{"store":null}"#, "store: invalid type: null, expected an object"),
        (r#"{"store":["c"]}"#, "store: invalid type: sequence, expected an object"),
        (r#"{"store":{"cluster":""}}"#, "store.cluster: expected the name"),
        (r#"{"store":{"cluster":null}}"#, "store.cluster: invalid type: null, expected a string"),
        (
            r#"{"store":{"cluster":1}}"#,
            "store.cluster: invalid type: integer `1`, expected a string",
        ),
        (r#"{"store":{"clusters":"c"}}"#, "store.clusters: unknown field"),
        (r#"{"store":{"cluster":"c","cluster":"c"}}"#, "store: duplicate field `cluster`"),
        (
            r#"{"store":{"cluster":"c","protocol":"rqlite"}}"#,
            "store.protocol: expected vbs; rqlite",
        ),
        (
            r#"{"store":{"cluster":"c","protocol":"sql"}}"#,
            "store.protocol: expected vbs, got \"sql\"",
        ),
        (r#"{"store":{"cluster":"outbound|80||a"}}"#, "store.authority: expected one, since"),
        (r#"{"store":{"cluster":"c","timeout":1}}"#, "store.timeout: invalid type"),
        (
            r#"{"store":{"cluster":"c","forward_headers":["a","x-envoy-b"]}}"#,
            "store.forward_headers[1]: expected a header that may go",
        ),
        (r#"{"filters":{"unknown":"drop"}}"#, "filters.unknown: unknown variant"),
        (r#"{"filters":{"statuses":[]}}"#, "filters.statuses: expected at least one"),
        (
            r#"{"filters":{"statuses":["ok","Bad"]}}"#,
            "filters.statuses[1]: expected a lower-case word",
        ),
        (r#"{"filters":{"statuses":"ok"}}"#, "filters.statuses: invalid type"),
    ] {
        let error = config(json).unwrap_err();
        assert!(error.starts_with(start), "{json}: {error}");
        assert!(!error.contains('\n'), "one line");
    }
}

#[test]
fn authorities_and_prefixes_have_a_form() {
    for good in ["a", "a.b", "a_b:1", "127.0.0.1:8080", "[::1]", "a%20b"] {
        assert!(store(&format!(r#","authority":"{good}""#)).is_ok(), "{good}");
    }
    for bad in [
        "", ":80", "a:", "a:x", "a:+1", "a:65536", "a b", "a/b", "u@a", "[::1", "[x]", "[::1]80",
        "a\\r\\nb", "é",
    ] {
        let error = store(&format!(r#","authority":"{bad}""#)).unwrap_err();
        assert!(error.starts_with("store.authority: expected a host"), "{bad}: {error}");
    }
    for good in ["", "/a", "/a/b", "/a:b@c"] {
        assert!(store(&format!(r#","path_prefix":"{good}""#)).is_ok(), "{good}");
    }
    for bad in ["/", "a", "//a", "/a/", "/a?b", "/a#b", "/a b", "/%4", "/é"] {
        let error = store(&format!(r#","path_prefix":"{bad}""#)).unwrap_err();
        assert!(error.starts_with("store.path_prefix: expected nothing"), "{bad}: {error}");
    }
}

#[test]
fn headers_that_would_harm_the_callout_are_refused() {
    for bad in [
        "",
        ":path",
        "a b",
        "é",
        "Host",
        "connection",
        "Keep-Alive",
        "te",
        "trailer",
        "upgrade",
        "transfer-encoding",
        "proxy-connection",
        "content-length",
        "Content-Type",
        "x-envoy-upstream-rq-timeout-ms",
        "accept",
    ] {
        let error = store(&format!(r#","forward_headers":["{bad}"]"#)).unwrap_err();
        assert!(error.starts_with("store.forward_headers[0]: expected"), "{bad}: {error}");
    }
}
