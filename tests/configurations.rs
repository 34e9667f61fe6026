//! `configurations.toml` against the code, against Envoy and against the published schema.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;

use backup_sharing_count::config::Config;
use jsonschema::Validator;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use testkit::configurations;
use testkit::edge::{self, clusters, filter, listener_with, listening_to};
use testkit::envoy::config::{Bootstrap, typed};
use testkit::envoy::{Envoy, Verdict, validate};
use testkit::ports::dead_address;
use testkit::workspace;

#[test]
fn the_code_takes_and_refuses_them() {
    for case in configurations::all() {
        let result = Config::parse(case.json().as_bytes());
        match (result, &case.refused) {
            (Ok(_), None) => {}
            (Ok(_), Some(refused)) => panic!("{}: taken, not refused: {refused}", case.name),
            (Err(error), None) => panic!("{}: {error}", case.name),
            (Err(error), Some(refused)) => {
                assert!(error.0.starts_with(refused), "{}: {error}", case.name);
                assert!(!error.0.contains(['\n', '\r']), "{}: one line", case.name);
            }
        }
    }
}

fn schema() -> Validator {
    let path = workspace::root().join("docs/plugin-configuration.schema.json");
    let schema = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn the_schema_takes_and_refuses_them() {
    let validator = schema();
    for case in configurations::all().iter().filter(|case| case.schema) {
        let json = serde_json::from_str(&case.json()).unwrap();
        assert_eq!(validator.is_valid(&json), case.refused.is_none(), "{}", case.name);
    }
}

/// Texts that are nearly a value of a field, from pieces that matter to its domain.
fn nearly(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    vec(select(pieces), 0..12).prop_map(|pieces| pieces.concat())
}

/// The cases above are examples; here are many more.
#[test]
fn the_schema_and_the_code_agree_about_what_is_nearly_valid() {
    let host = &["::", ":", "[", "]", "1", "0", "ab", "1:", "1:2:3:", "1.2.3.4", ".", "_", "%4"];
    let port = &["a", "[::1]", ":", "0", "00", "6553", "65535", "5", "6", "9", "+", "c_d"];
    let path = &["/", ".", "..", "%2e", "%2E", "a", "%", "%25", "2e", "//", "?"];
    let timeout = &["0", "1", "5", "6", "60", "59", "9", ".", "s", "000", "-"];
    let number = &["0", "1", "2", "3", "4", ".", "e", "-", ".0"];
    let time =
        &["0", "1", "3", "5", "6", "8", "9", "36", "35", "86", "85", "4", "40", ".", "00", "-"];
    let schema = schema();
    let agree = |json: &str| {
        let Ok(value) = serde_json::from_str(json) else { return };
        let taken = Config::parse(json.as_bytes());
        assert_eq!(schema.is_valid(&value), taken.is_ok(), "{json}: {taken:?}");
    };
    let store = |members: &str| agree(&format!(r#"{{"store":{{{members}}}}}"#));
    let cache = |members: &str| {
        agree(&format!(r#"{{"store":{{"cluster":"c"}},"cache":{{{members}}}}}"#));
    };
    let texts =
        (nearly(host), nearly(port), nearly(path), nearly(timeout), nearly(number), nearly(time));
    let config = proptest::test_runner::Config { failure_persistence: None, ..Default::default() };
    proptest!(config, |((host, port, path, timeout, number, time) in texts)| {
        for authority in [&host, &port, &format!("[{host}]")] {
            store(&format!(r#""cluster":"{authority}""#));
            store(&format!(r#""cluster":"c","authority":"{authority}""#));
        }
        store(&format!(r#""cluster":"c","path_prefix":"/{path}""#));
        store(&format!(r#""cluster":"c","timeout":"{timeout}s""#));
        store(&format!(r#""cluster":"c","retries":{number}"#));
        cache(&format!(r#""ttl":"{time}s","max_entries":5{number}"#));
        cache(&format!(r#""ttl":"1s","stale_if_error":"{time}s""#));
    });
}

/// The configuration that the README sets as an example.
#[test]
fn the_readmes_configuration_is_taken() {
    let readme = include_str!("../README.md");
    let (_, section) = readme.split_once("## Into your Envoy").unwrap();
    let (snippet, _) = section.split_once("```yaml\n").unwrap().1.split_once("```").unwrap();
    let snippet: Value = serde_saphyr::from_str(snippet).unwrap();
    let config =
        parse(&snippet["http_filters"][0]["typed_config"]["config"]["configuration"]["value"]);
    // Strict stores refuse the cluster's name, for its `_`.
    assert_eq!(config.store.unwrap().authority, "count-store");
}

/// Those of `docs/remembered-counts.md`: a filter, and a plugin configuration alone.
#[test]
fn the_examples_that_remember_counts_are_taken() {
    let page = include_str!("../docs/remembered-counts.md");
    let blocks = page.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap());
    let blocks: Vec<Value> = blocks.map(|yaml| serde_saphyr::from_str(yaml).unwrap()).collect();
    let [filter, keystone]: [Value; 2] = blocks.try_into().unwrap();
    let tokens_are_kept =
        [&filter[0]["typed_config"]["config"]["configuration"]["value"], &keystone].map(|value| {
            let Config { store, cache, .. } = parse(value);
            let cache = cache.expect("it remembers counts");
            assert_eq!((cache.ttl.as_secs(), cache.stale_if_error.as_secs()), (5, 60));
            store.unwrap().forward_headers.iter().any(|name| name == "x-auth-token")
        });
    assert_eq!(tokens_are_kept, [true, false]);
}

fn parse(value: &Value) -> Config {
    Config::parse(value.to_string().as_bytes()).unwrap()
}

/// How the filter's line begins with which it refuses its configuration.
const REFUSED: &str = "configuration refused: ";

/// Why the filter refuses its configuration, if it does.
fn refusal(config: Bootstrap) -> Option<String> {
    match validate(config).unwrap() {
        Verdict::Accepted => None,
        Verdict::Refused(said) => {
            let why = said.lines().find_map(|line| Some(line.split_once(REFUSED)?.1));
            Some(why.unwrap_or_else(|| panic!("{said}")).to_owned())
        }
    }
}

/// All in one Envoy, each in a listener of its own: it serves those that the filter takes, and its log says why the filter
/// refuses the others.
#[test]
fn envoy_takes_and_refuses_them() {
    let cases = configurations::all();
    let listeners: Vec<_> =
        cases.iter().enumerate().map(|(n, case)| (format!("edge{n}"), case.json())).collect();
    let published: Vec<_> =
        listeners.iter().map(|(name, json)| (name.as_str(), json.as_str())).collect();
    let folder = tempfile::tempdir().unwrap();
    edge::publish(folder.path(), &published).unwrap();
    let nowhere = dead_address().unwrap().address();
    let envoy = Envoy::start(listening_to(folder.path(), nowhere, nowhere)).unwrap();

    let (log, served) = (envoy.log(), envoy.admin_get("/listeners").unwrap());
    let served: BTreeSet<_> =
        served.lines().filter_map(|line| Some(line.split_once("::")?.0)).collect();
    for (case, (name, _)) in cases.iter().zip(&published) {
        let refusal = format!(" {name}: {REFUSED}");
        let why = log.lines().find_map(|line| Some(line.split_once(&refusal)?.1));
        match (&case.refused, why) {
            (None, None) => {}
            (Some(refused), Some(why)) if why.starts_with(refused) => {}
            (expected, why) => panic!("{}: {why:?}, expected {expected:?}", case.name),
        }
        assert_eq!(served.contains(name), case.refused.is_none(), "{}", case.name);
    }
    println!("{} taken by Envoy, {} refused", served.len(), cases.len() - served.len());
    envoy.stop().unwrap();
}

#[test]
fn a_struct_means_the_same_as_a_string() {
    let nowhere = dead_address().unwrap().address();
    let refusal_of = |json: &str| {
        let value: Value = serde_json::from_str(json).unwrap();
        let object = typed("google.protobuf.Struct", json!({"value": value}));
        let mut filter = filter(&workspace::filter_module().unwrap(), "edge", "");
        filter["typed_config"]["config"]["configuration"] = object;
        refusal(Bootstrap::new([listener_with("edge", filter)], clusters(nowhere, nowhere)))
    };
    let json = r#"{"store":{"cluster":"c","timeout":"0.5s","forward_headers":["b3"],"retries":3}}"#;
    assert_eq!(refusal_of(json), None);
    for (member, expected) in [
        (
            r#""timeout":5"#,
            "store.timeout: invalid type: floating point `5.0`, expected a duration",
        ),
        (
            r#""retries":4"#,
            "store.retries: invalid value: floating point `4.0`, expected an integer from 0 to 3",
        ),
    ] {
        let refused = refusal_of(&format!(r#"{{"store":{{"cluster":"c",{member}}}}}"#));
        assert!(refused.as_ref().is_some_and(|line| line.starts_with(expected)), "{refused:?}");
    }
}
