//! `configurations.toml` against the code, against Envoy and against the published schema.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use backup_sharing_count::config::Config;
use serde::Deserialize;
use testkit::edge::envoy_config;
use testkit::envoy::{Verdict, validate};
use testkit::ports::dead_address;
use testkit::workspace;

#[derive(Deserialize)]
struct File {
    configuration: Vec<Configuration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    name: String,
    json: Option<String>,
    store: Option<String>,
    refused: Option<String>,
    #[serde(default = "yes")]
    schema: bool,
}

fn yes() -> bool {
    true
}

impl Configuration {
    fn json(&self) -> String {
        match (&self.json, &self.store) {
            (Some(json), None) => json.clone(),
            (None, Some(members)) => format!(r#"{{"store":{{"cluster":"c",{members}}}}}"#),
            _ => panic!("{}: either json or store", self.name),
        }
    }
}

fn configurations() -> Vec<Configuration> {
    let text = fs::read_to_string(workspace::root().join("tests/configurations.toml")).unwrap();
    toml::from_str::<File>(&text).unwrap().configuration
}

#[test]
fn the_code_takes_and_refuses_them() {
    for case in configurations() {
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

#[test]
fn the_schema_takes_and_refuses_them() {
    let path = workspace::root().join("docs/plugin-configuration.schema.json");
    let schema = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for case in configurations().iter().filter(|case| case.schema) {
        let json = serde_json::from_str(&case.json()).unwrap();
        assert_eq!(validator.is_valid(&json), case.refused.is_none(), "{}", case.name);
    }
}

fn yaml(listeners: &[(&str, &str)]) -> String {
    let nowhere = dead_address().unwrap().address();
    envoy_config(listeners, nowhere, nowhere).unwrap()
}

/// The line in which the filter refuses its configuration, if it does.
fn refusal(yaml: &str) -> Option<String> {
    match validate(yaml).unwrap() {
        Verdict::Accepted => None,
        Verdict::Refused(said) => {
            let line = said.lines().find(|line| line.contains("configuration refused: "));
            let (_, why) =
                line.unwrap_or_else(|| panic!("{said}")).split_once("refused: ").unwrap();
            Some(why.to_owned())
        }
    }
}

/// Each refusal is a start of Envoy, so it is asked about one of each sort.
#[test]
fn envoy_takes_and_refuses_them() {
    let cases = configurations();
    let (refused, taken): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case.refused.is_some());
    let sorts: BTreeMap<_, _> = refused.iter().map(|case| (&case.refused, case)).collect();
    let sorts: Vec<_> = sorts.values().collect();
    let next = AtomicUsize::new(0);
    let refuse = || {
        while let Some(case) = sorts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let verdict = refusal(&yaml(&[("edge", &case.json())])).unwrap_or_default();
            let expected = case.refused.as_deref().unwrap();
            assert!(verdict.starts_with(expected), "{}: {verdict:?}", case.name);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(refuse);
        scope.spawn(refuse);
    });

    let taken: Vec<_> =
        taken.iter().enumerate().map(|(n, case)| (format!("edge{n}"), case.json())).collect();
    let all: Vec<_> = taken.iter().map(|(name, json)| (name.as_str(), json.as_str())).collect();
    assert_eq!(refusal(&yaml(&all)), None);
    println!("{} refused by Envoy, {} taken", sorts.len(), all.len());
}

#[test]
fn a_struct_means_the_same_as_a_string() {
    let json = r#"{"store":{"cluster":"c","timeout":"0.5s","forward_headers":["b3"],"retries":3}}"#;
    let string = format!(
        "'@type': type.googleapis.com/google.protobuf.StringValue
                  value: {}",
        serde_json::Value::from(json)
    );
    let yaml = yaml(&[("edge", json)]);
    assert!(yaml.contains(&string), "{yaml}");
    let with = |value: &str| {
        let object = "'@type': type.googleapis.com/google.protobuf.Struct";
        yaml.replace(&string, &format!("{object}\n                  value: {value}"))
    };
    assert_eq!(refusal(&with(json)), None);
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
        let refused = refusal(&with(&format!(r#"{{"store":{{"cluster":"c",{member}}}}}"#)));
        assert!(refused.as_ref().is_some_and(|line| line.starts_with(expected)), "{refused:?}");
    }
}
