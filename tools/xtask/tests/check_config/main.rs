//! `cargo xtask check-config` says of each configuration of the tests, in each form in which it may stand in a file, what
//! the filter says of it.

#![cfg(test)]

mod envoy;

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use backup_sharing_count::edge::Edge;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use testkit::configurations::{self, Configuration};
use testkit::edge::filter;
use testkit::envoy::config::typed;
use testkit::envoy_yaml::{self, Places};
use testkit::workspace;

/// What it said, and how it ended.
struct Said {
    lines: Vec<String>,
    error: String,
    code: i32,
}

fn check(arguments: &[&str], input: &[u8]) -> Said {
    let mut task = Command::new(env!("CARGO_BIN_EXE_xtask"));
    task.arg("check-config").args(arguments);
    task.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut task = task.spawn().unwrap();
    let mut stdin = task.stdin.take().unwrap();
    let input = input.to_vec();
    // It may end before it has read all.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = task.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said {
        lines: text(output.stdout).lines().map(str::to_owned).collect(),
        error: text(output.stderr),
        code: output.status.code().expect("it was not killed, and did not panic"),
    }
}

/// The judgement in a line.
fn judgement(line: &str) -> &str {
    line.split_once("): ").unwrap().1
}

const REFUSED: &str = "configuration refused: ";

/// What the filter says of the bytes.
fn filters_own(bytes: &[u8]) -> String {
    Edge::new(bytes).map_or_else(|error| format!("{REFUSED}{error}"), |_| "taken".to_owned())
}

fn plugin(configuration: Value) -> Value {
    let mut plugin = filter(Path::new("/etc/envoy/backup_sharing_count.wasm"), "edge", "");
    plugin["typed_config"]["config"]["configuration"] = configuration;
    plugin
}

fn wrapped(kind: &str, value: impl Into<Value>) -> Value {
    typed(&format!("google.protobuf.{kind}"), json!({"value": value.into()}))
}

/// Judges all of them in one file.
fn check_all(name: &str, file: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, file).unwrap();
    let Said { lines, error, code } = check(&[path.to_str().unwrap()], b"");
    assert_eq!((code, error.as_str()), (1, ""), "{name}");
    lines
}

#[test]
fn texts_in_envoys_configuration_are_judged_in_the_filters_words() {
    let cases = configurations::all();
    let texts: Vec<_> = cases.iter().map(Configuration::json).collect();
    let base64 = |at: usize, text: &String| match at % 2 {
        0 => BASE64_STANDARD.encode(text),
        _ => BASE64_URL_SAFE_NO_PAD.encode(text),
    };
    let filters = |kind, text: &dyn Fn(usize, &String) -> String| {
        let plugins =
            texts.iter().enumerate().map(|(at, json)| plugin(wrapped(kind, text(at, json))));
        json!({"http_filters": plugins.collect::<Vec<_>>()}).to_string()
    };
    for (name, file) in [
        ("text.json", filters("StringValue", &|_, text| text.clone())),
        ("text.yaml", filters("StringValue", &|_, text| text.clone())),
        ("bytes.json", filters("BytesValue", &base64)),
    ] {
        let lines = check_all(name, &file);
        assert_eq!(lines.len(), cases.len());
        for ((case, text), line) in cases.iter().zip(&texts).zip(&lines) {
            assert_eq!(judgement(line), filters_own(text.as_bytes()), "{name}: {}", case.name);
        }
    }
}

/// Those that other formats than a text can hold.
fn objects() -> Vec<(Configuration, Value)> {
    let cases = configurations::all().into_iter();
    let cases = cases
        .filter(|case| !case.refused.as_ref().is_some_and(|why| why.ends_with("duplicate field")));
    let parsed = cases.filter_map(|case| Some((serde_json::from_str(&case.json()).ok()?, case)));
    parsed
        .filter(|(value, _): &(Value, _)| value.is_object())
        .map(|(value, case)| (case, value))
        .collect()
}

#[test]
fn objects_are_judged_alike_whatever_they_stand_in() {
    let cases = objects();
    let istio = cases.iter().map(|(_, value)| {
        let spec = json!({"url": "oci://r.example/backup-sharing-count:1", "pluginConfig": value});
        json!({"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "spec": spec})
            .to_string()
    });
    let istio = istio.collect::<Vec<_>>().join("\n---\n");
    let image = json!({"type": "Image", "image": {"url": "r.example/backup-sharing-count:1"}});
    let wasm: Vec<_> = cases
        .iter()
        .map(|(_, value)| json!({"name": "a", "code": image, "config": value}))
        .collect();
    let gateway = json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyExtensionPolicy",
        "spec": {"wasm": wasm},
    });
    let structs: Vec<_> =
        cases.iter().map(|(_, value)| plugin(wrapped("Struct", value.clone()))).collect();
    for (name, file) in [
        ("struct.json", json!({"http_filters": structs}).to_string()),
        ("istio.yaml", istio),
        ("gateway.json", gateway.to_string()),
        ("gateway.yaml", gateway.to_string()),
    ] {
        let lines = check_all(name, &file);
        assert_eq!(lines.len(), cases.len());
        for ((case, _), line) in cases.iter().zip(&lines) {
            let said = judgement(line);
            match &case.refused {
                None => assert_eq!(said, "taken", "{name}: {}", case.name),
                // The same field; 2.0 is another number in each, and of several wrong fields which one is named.
                Some(refused) => {
                    let field = refused.split(": ").next().unwrap();
                    let is_named =
                        said.strip_prefix(REFUSED).is_some_and(|why| why.starts_with(field));
                    assert!(is_named, "{name}: {}: {said}", case.name);
                }
            }
        }
    }
}

#[test]
fn the_plugins_configuration_alone_is_judged_as_it_is() {
    let mut judged = 0;
    for case in configurations::all() {
        let json = case.json();
        let Said { lines, error, code } = check(&["-"], json.as_bytes());
        if code == 2 {
            // No JSON, or no object, or nothing that says what it is.
            assert!(lines.is_empty() && error.starts_with("standard input: "), "{}", case.name);
            assert!(case.refused.is_some(), "{}: {error}", case.name);
            continue;
        }
        assert_eq!(lines.len(), 1, "{}", case.name);
        assert_eq!(judgement(&lines[0]), filters_own(json.as_bytes()), "{}", case.name);
        assert_eq!(code, i32::from(case.refused.is_some()), "{}", case.name);
        judged += 1;
    }
    println!("{judged} of them alone");
    assert!(judged > configurations::all().len() * 9 / 10);
}

/// As kubectl 1.32 reads them (`kubectl label --local -o json`), and Istio hands them over.
#[test]
fn the_words_of_yaml_mean_to_kubernetes_what_kubectl_makes_of_them() {
    let cluster = "expected the name of an Envoy cluster";
    for (config, said) in [
        ("{store: {cluster: c}, metrics: off}", "taken".to_owned()),
        ("{store: {cluster: c, retries: 2.0}}", "taken".to_owned()),
        (
            "{store: {cluster: n}}",
            format!("store.cluster: invalid type: boolean `false`, {cluster}"),
        ),
        ("{store: {cluster: 08}}", format!("store.cluster: invalid type: integer `8`, {cluster}")),
        (
            "{store: {cluster: 1e-1}}",
            format!("store.cluster: invalid type: floating point `0.1`, {cluster}"),
        ),
    ] {
        let plugin = format!(
            "apiVersion: a\nkind: WasmPlugin\nmetadata: {{name: backup-sharing-count}}\nspec: {{pluginConfig: {config}}}"
        );
        let Said { lines, .. } = check(&["-"], plugin.as_bytes());
        let found = judgement(&lines[0]);
        assert_eq!(found.strip_prefix(REFUSED).unwrap_or(found), said, "{config}");
    }
}

#[test]
fn what_is_shipped_is_taken() {
    let root = workspace::root();
    let files = [
        "envoy.yaml",
        "deploy/istio/wasmplugin.yaml",
        "deploy/envoy-gateway/envoyextensionpolicy.yaml",
        "README.md",
        "docs/remembered-counts.md",
    ];
    let [envoy, istio, gateway, readme, remembered] =
        files.map(|file| fs::read_to_string(root.join(file)).unwrap());
    let block = |page: &str| {
        let mut blocks =
            page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        blocks.find(|block| block.contains("vm_config")).unwrap().to_owned()
    };
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let module = root.join("plugin.wasm");
    let demo = Places { listener: any, admin: any, stores: &[any], backend: any, module: &module };
    let demo = envoy_yaml::with_places(demo).unwrap();
    let keystone = envoy_yaml::with_keystone(&demo, any, Duration::from_secs(60)).unwrap();
    for text in [&envoy, &istio, &gateway, &demo, &keystone, &block(&readme), &block(&remembered)] {
        let Said { lines, error, code } = check(&["-"], text.as_bytes());
        assert_eq!((lines.len(), code, error.as_str()), (1, 0, ""), "{text}");
        assert!(lines[0].ends_with(" (backup-sharing-count): taken"), "{}", lines[0]);
    }
}

#[test]
fn a_line_says_where_and_which_plugin_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let [ours, others] = ["ours.yaml", "others.yaml"].map(|name| folder.path().join(name));
    let text = "
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
spec:
  wasm:
  - name: jwt
    config: {mode: none}
  - name: \"b\\n\"
    rootID: Backup_Sharing_Count
    config:
      metrics: off
---
# A filter in a TypedStruct of Istio's EnvoyFilter, and what stands for many values.
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
spec:
  typed_config: {type_url: Wasm, value: {config: {rootId: backup-sharing-count, vmConfig: {}}}}
---
store: {cluster: c, timeout: 1m}
";
    fs::write(&ours, text).unwrap();
    fs::write(&others, "config: {name: jwt, vm_config: {}}").unwrap();
    let Said { lines, error, code } = check(&[ours.to_str().unwrap()], b"");
    let missing =
        "configuration refused: store.cluster: expected the name of an Envoy cluster, got nothing";
    let timeout = "configuration refused: store.timeout: invalid value: string \"1m\", expected a duration such as \"1.5s\", from \
                   0.001s to 60s";
    let place = ours.display();
    assert_eq!(
        lines,
        [
            format!("{place}:7: spec.wasm[0].config (jwt): another plugin, not judged"),
            format!("{place}:11: spec.wasm[1].config (b\u{fffd}): {missing}"),
            format!(
                "{place}:17: spec.typed_config.value.config.configuration (backup-sharing-count): {missing}"
            ),
            format!("{place}:19: the plugin configuration (alone): {timeout}"),
        ]
    );
    assert_eq!((code, error.as_str()), (1, ""));

    let Said { lines, error, code } = check(&[others.to_str().unwrap()], b"");
    assert_eq!((lines.len(), code), (1, 2));
    assert!(error.contains(": no plugin in it is this filter."), "{error}");
    assert_eq!(check(&["--name", "jwt", others.to_str().unwrap()], b"").code, 1);
    assert_eq!(check(&[ours.to_str().unwrap(), others.to_str().unwrap()], b"").code, 2);
}

#[test]
fn what_cannot_be_read_is_said_in_a_sentence() {
    let many = format!(
        "a: &a [{}]\nb: &b [{}]\nc: [{}]",
        "1,".repeat(999),
        "*a,".repeat(99),
        "*b,".repeat(99)
    );
    let long = format!("a: &a {}\nb: [{}]", "a".repeat(1_000_000), "*a,".repeat(10_000));
    for (input, why) in [
        (&b""[..], "no plugin in it is this filter"),
        (b"\xff", "it is no text"),
        (b"{\"mode\":\"validate\"}}", "it is no JSON: trailing characters at line 1"),
        (b"a: [", "it is no YAML: "),
        (b"&a [*a]", "it is no YAML: "),
        (b"[a]: b", "it is no YAML: line 1: a name that is no text"),
        (many.as_bytes(), "it is no YAML: its aliases stand for more than 10000000 bytes"),
        (long.as_bytes(), "it is no YAML: its aliases stand for more than 10000000 bytes"),
        ("[".repeat(100_000).as_bytes(), "it is no YAML: "),
        ("- ".repeat(100_000).as_bytes(), "it is no YAML: "),
        ("{\"a\":".repeat(100_000).as_bytes(), "it is no JSON: "),
    ] {
        let Said { lines, error, code } = check(&["-"], input);
        assert_eq!((lines.len(), code), (0, 2), "{error}");
        assert!(error.starts_with(&format!("standard input: {why}")), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let Said { error, code, .. } = check(&["no/such/file"], b"");
    assert_eq!(code, 2);
    assert!(error.starts_with("no/such/file: it cannot be read: "), "{error}");
}
