//! What is said of a file, beside what a real Envoy makes of it.

use std::fs;

use serde_json::{Value, json};
use testkit::configurations;
use testkit::edge::{clusters, filter, listener_with, listening_to};
use testkit::envoy::config::{Bootstrap, typed};
use testkit::envoy::{Envoy, Verdict, validate};
use testkit::ports::dead_address;
use testkit::workspace;

use crate::{REFUSED, Said, check, judgement, objects, plugin, wrapped};

/// Values as they may stand in Envoy's YAML.
const WORDS: [&str; 30] = [
    "{store: {cluster: c}, metrics: off}",
    "{store: {cluster: c}, metrics: Y}",
    "{store: {cluster: c}, metrics: oFF}",
    "{store: {cluster: c}, metrics: 'off'}",
    "{store: {cluster: c}, metrics: 'yes'}",
    "{store: {cluster: on}}",
    "{store: {cluster: ! on}}",
    "{store: {cluster: !!str on}}",
    "{store: {cluster: \"on\"}}",
    "{store: {cluster: ~}}",
    "{store: {cluster: }}",
    "{store: {cluster: 1e3}}",
    "{store: {cluster: +1}}",
    "{store: {cluster: .inf}}",
    "{store: {cluster: 1_000}}",
    "{store: {cluster: 0o7}}",
    "{store: {cluster: 08}}",
    "{store: {cluster: -0x9}}",
    "{store: {cluster: c, retries: 2.0}}",
    "{store: {cluster: c, retries: 2}}",
    "{store: {cluster: c, retries: 0x9}}",
    "{store: {cluster: c, retries: 011}}",
    "{store: {cluster: c, retries: 3000000000}}",
    "{store: {cluster: c, retries: -3000000000}}",
    "{store: {cluster: c, retries: '2'}}",
    "{store: {cluster: c, cluster: 1}}",
    "{store: {cluster: c, <<: {retries: 9}}}",
    "{store: {cluster: c, !ignore no: 1}}",
    "{store: {&a cluster: &b c, authority: *b}}",
    "{store: {cluster: \"a\\tb\", authority: x}}",
];

/// Listeners with a plugin each, by the plugin's name.
fn listeners(prefix: &str, kind: &str, values: Vec<Value>) -> Vec<(String, Value)> {
    let module = workspace::filter_module().unwrap();
    let named = values.into_iter().enumerate().map(|(at, value)| {
        let name = format!("{prefix}{at}");
        let mut filter = filter(&module, &name, "");
        filter["typed_config"]["config"]["configuration"] = wrapped(kind, value);
        let listener = listener_with(&name, filter).json();
        (name, typed("envoy.config.listener.v3.Listener", listener))
    });
    named.collect()
}

/// Lets Envoy take its listeners from a file of this name, and compares what it logs with what is said of the file.
fn compare(file: &str, names: &[String], text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    fs::write(&path, text).unwrap();
    let nowhere = dead_address().unwrap().address();
    let bootstrap = listening_to(folder.path(), nowhere, nowhere).to_string();
    let envoy = Envoy::start(bootstrap.replace("listeners.json", file)).unwrap();
    let log = envoy.log();
    let lines = check(&[path.to_str().unwrap()], b"").lines;
    assert_eq!(lines.len(), names.len());
    let mut differ = Vec::new();
    for (name, line) in names.iter().zip(&lines) {
        let marker = format!(" {name}: ");
        let mut said = log.lines().filter_map(|line| Some(line.split_once(&marker)?.1));
        let refused = said.find(|said| said.starts_with(REFUSED));
        if judgement(line) != refused.unwrap_or("taken") {
            differ.push(format!("{line}\n  Envoy: {refused:?}"));
        }
    }
    println!("{file}: {} plugins, {} of them refused", lines.len(), log.matches(REFUSED).count());
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    envoy.stop().unwrap();
}

/// Of several wrong fields of a Struct, Envoy may hand over any first: `configurations.toml` has none with two on one level.
fn all() -> Vec<(String, Value)> {
    let texts = configurations::all().iter().map(|case| case.json().into()).collect();
    let objects = objects().into_iter().map(|(_, value)| value).collect();
    [listeners("text", "StringValue", texts), listeners("struct", "Struct", objects)].concat()
}

#[test]
fn it_says_what_a_real_envoy_logs_of_json() {
    let (names, resources): (Vec<_>, Vec<_>) = all().into_iter().unzip();
    compare("listeners.json", &names, &json!({"resources": resources}).to_string());
}

#[test]
fn it_says_what_a_real_envoy_logs_of_yaml() {
    let placeholder = |at: usize| format!("@{at}@");
    let words = (0..WORDS.len()).map(|at| placeholder(at).into()).collect();
    let words = listeners("yaml", "Struct", words);
    let (names, resources): (Vec<_>, Vec<_>) = all().into_iter().chain(words).unzip();
    let mut yaml = json!({"resources": resources}).to_string();
    for (at, word) in WORDS.iter().enumerate() {
        yaml = yaml.replace(&format!("\"{}\"", placeholder(at)), word);
    }
    compare("listeners.yaml", &names, &yaml);
}

/// Envoy's own opinion, where it comes before the filter's: it starts with none of them.
#[test]
fn what_envoy_cannot_hand_over_is_refused() {
    for (any, why) in [
        ("{value: {store: {cluster: c}}}", "it says no \"@type\""),
        (
            "{'@type': a/google.protobuf.StringValue, value: {store: {cluster: c}}}",
            "the value of a StringValue is a text",
        ),
        (
            "{'@type': a/google.protobuf.StringValue, value: 5}",
            "the value of a StringValue is a text",
        ),
        (
            "{'@type': a/google.protobuf.Struct, value: 'mode: validate'}",
            "the value of a Struct is an object",
        ),
        ("{'@type': a/google.protobuf.BytesValue, value: '{}'}", "the value is no base64"),
        (
            "{'@type': google.protobuf.Struct, value: {mode: validate}}",
            "google.protobuf.Struct is no type URL: type.googleapis.com/google.protobuf.Struct",
        ),
        (
            "{'@type': a/google.protobuf.Struct, value: {mode: validate}, store: {cluster: c}}",
            "store stands beside the value",
        ),
        (
            "{'@type': a/google.protobuf.ListValue, value: [mode]}",
            "google.protobuf.ListValue is neither google.protobuf.Struct nor StringValue nor BytesValue",
        ),
    ] {
        let filter = plugin("@".into());
        let nowhere = dead_address().unwrap().address();
        let filter = filter.to_string().replace(
            "/etc/envoy/backup_sharing_count.wasm",
            &workspace::filter_module().unwrap().display().to_string(),
        );
        let listener = listener_with("edge", serde_json::from_str(&filter).unwrap());
        let bootstrap = Bootstrap::new([listener], clusters(nowhere, nowhere)).to_string();
        let yaml = bootstrap.replace("\"@\"", &any.replace("a/", "type.googleapis.com/"));
        let Said { lines, code, .. } = check(&["-"], yaml.as_bytes());
        assert_eq!((judgement(&lines[0]), code), (&*format!("configuration unreadable: {why}"), 1));
        assert!(matches!(validate(&yaml).unwrap(), Verdict::Refused(_)), "{any}");
    }
}
