//! Finds plugins in a file, and what Envoy hands over to each of them.

use anyhow::anyhow;
use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost::Message;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct};
use serde_json::{Number, Value};
use testkit::Result;

use super::document::{self, Content, Dialect, Node};

/// A plugin in a file.
pub struct Plugin {
    /// The line of its configuration, if the file is YAML.
    pub line: Option<usize>,
    /// Where its configuration stands.
    pub path: String,
    /// What it is called there.
    pub name: String,
    /// Whether it is this filter.
    pub is_ours: bool,
    /// What the filter gets; else why that is no configuration.
    pub handed_over: Result<Vec<u8>, String>,
}

/// All plugins in a file, in its order. Of what can be read as JSON and as YAML, `is_yaml` says which it is.
///
/// # Errors
/// If it is neither.
pub fn find(text: &str, is_yaml: bool, name: &str) -> Result<Vec<Plugin>> {
    let looks_like_json = text.trim_start().starts_with('{');
    let documents = match document::json(text) {
        Ok(document) if !is_yaml => vec![document],
        as_json => document::yaml(text).map_err(|error| match as_json {
            Err(error) if looks_like_json => anyhow!("it is no JSON: {error}"),
            _ => error.context("it is no YAML"),
        })?,
    };
    let mut search = Search { wanted: spelled(name), dialect: Dialect::Envoy, found: Vec::new() };
    for document in &documents {
        let is_resource = document.get(&["apiVersion"]).is_some();
        search.dialect = if is_resource { Dialect::Kubernetes } else { Dialect::Envoy };
        let before = search.found.len();
        search.look_into(document, "");
        if search.found.len() > before || !is_alone(document) {
            continue;
        }
        // JSON reaches the filter as it is, where it stands in a StringValue.
        let handed_over = match document.kind(Dialect::Envoy) {
            Kind::StructValue(fields) if !looks_like_json => fields.encode_to_vec(),
            _ => text.as_bytes().to_vec(),
        };
        search.found.push(Plugin {
            line: document.line,
            path: "the plugin configuration".to_owned(),
            name: "alone".to_owned(),
            is_ours: true,
            handed_over: Ok(handed_over),
        });
    }
    Ok(search.found)
}

/// The fields at the top of the plugin configuration.
pub fn fields() -> Vec<String> {
    let schema = include_str!("../../../../docs/plugin-configuration.schema.json");
    let schema: Value = serde_json::from_str(schema).expect("the tests read it too");
    schema["properties"].as_object().into_iter().flat_map(|all| all.keys().cloned()).collect()
}

/// Whether it is the plugin configuration itself.
fn is_alone(document: &Node) -> bool {
    let Content::Map(members) = &document.content else { return false };
    let fields = fields();
    members.is_empty() || members.iter().any(|(name, _)| fields.contains(name))
}

fn spelled(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

struct Search {
    /// What this filter is called, as [`spelled`].
    wanted: String,
    dialect: Dialect,
    found: Vec<Plugin>,
}

impl Search {
    fn look_into(&mut self, node: &Node, path: &str) {
        let below = |name: &str| format!("{path}{}{name}", if path.is_empty() { "" } else { "." });
        match &node.content {
            Content::List(nodes) => {
                for (at, node) in nodes.iter().enumerate() {
                    self.look_into(node, &format!("{path}[{at}]"));
                }
            }
            Content::Map(members) => match node.get(&["kind"]).and_then(Node::text).as_deref() {
                Some("WasmPlugin") => self.wasm_plugin(node, &below("spec.pluginConfig")),
                Some("EnvoyExtensionPolicy") => self.policy(node, &below("spec.wasm")),
                _ if node.get(&["vm_config", "vmConfig"]).is_some() => {
                    self.envoys(node, &below("configuration"));
                }
                _ => {
                    for (name, node) in members {
                        self.look_into(node, &below(name));
                    }
                }
            },
            Content::Plain(_) | Content::Scalar(_) => {}
        }
    }

    /// `envoy.extensions.wasm.v3.PluginConfig`.
    fn envoys(&mut self, node: &Node, path: &str) {
        let code =
            |path: &[&[&str]]| node.get(&["vm_config", "vmConfig"])?.get(&["code"])?.at(path);
        let names = [
            node.get(&["name"]),
            node.get(&["root_id", "rootId"]),
            code(&[&["local"], &["filename"]]),
            code(&[&["remote"], &["http_uri", "httpUri"], &["uri"]]),
        ];
        let configuration = node.get(&["configuration"]);
        self.add(node, configuration, path, names, unpacked(configuration, self.dialect));
    }

    /// Istio hands its `pluginConfig` over as JSON.
    fn wasm_plugin(&mut self, node: &Node, path: &str) {
        let spec = |name: &str| node.at(&[&["spec"], &[name]]);
        let names = [node.at(&[&["metadata"], &["name"]]), spec("pluginName"), spec("url"), None];
        let configuration = spec("pluginConfig");
        self.add(node, configuration, path, names, as_json(configuration));
    }

    /// So does Envoy Gateway the `config` of each plugin of a policy.
    fn policy(&mut self, node: &Node, path: &str) {
        let wasm = node.at(&[&["spec"], &["wasm"]]);
        let Some(Node { content: Content::List(plugins), .. }) = wasm else { return };
        for (at, plugin) in plugins.iter().enumerate() {
            let url = |kind: &str| plugin.at(&[&["code"], &[kind], &["url"]]);
            let names = [plugin.get(&["name"]), plugin.get(&["rootID"]), url("image"), url("http")];
            let configuration = plugin.get(&["config"]);
            let handed_over = as_json(configuration);
            self.add(plugin, configuration, &format!("{path}[{at}].config"), names, handed_over);
        }
    }

    fn add(
        &mut self,
        plugin: &Node,
        configuration: Option<&Node>,
        path: &str,
        names: [Option<&Node>; 4],
        handed_over: Result<Vec<u8>, String>,
    ) {
        let names: Vec<_> = names.into_iter().flatten().filter_map(Node::text).collect();
        self.found.push(Plugin {
            line: configuration.unwrap_or(plugin).line,
            path: path.to_owned(),
            name: names.first().cloned().unwrap_or_else(|| "without a name".to_owned()),
            is_ours: names.iter().any(|name| spelled(name).contains(&self.wanted)),
            handed_over,
        });
    }
}

/// What Envoy takes out of an `Any`.
fn unpacked(any: Option<&Node>, dialect: Dialect) -> Result<Vec<u8>, String> {
    let Some(any) = any.filter(|any| !is_nothing(any)) else { return Ok(Vec::new()) };
    let kind = any.get(&["@type"]).and_then(Node::text).ok_or("it says no \"@type\"")?;
    let (_, kind) = kind
        .rsplit_once('/')
        .filter(|(server, _)| !server.is_empty())
        .ok_or_else(|| format!("{kind} is no type URL: type.googleapis.com/{kind}"))?;
    if let Some(other) = any.names().find(|name| !["@type", "value"].contains(name)) {
        return Err(format!("{other} stands beside the value"));
    }
    let value = any.get(&["value"]).map(|value| value.kind(dialect));
    match (kind, value) {
        ("google.protobuf.Struct", Some(Kind::StructValue(fields))) => Ok(fields.encode_to_vec()),
        ("google.protobuf.StringValue", Some(Kind::StringValue(text))) => Ok(text.into_bytes()),
        ("google.protobuf.BytesValue", Some(Kind::StringValue(text))) => {
            base64_of(&text).ok_or_else(|| "the value is no base64".to_owned())
        }
        ("google.protobuf.Struct", _) => Err("the value of a Struct is an object".to_owned()),
        ("google.protobuf.StringValue", _) => {
            Err("the value of a StringValue is a text".to_owned())
        }
        ("google.protobuf.BytesValue", _) => Err("the value of a BytesValue is a text".to_owned()),
        _ => {
            Err(format!("{kind} is neither google.protobuf.Struct nor StringValue nor BytesValue"))
        }
    }
}

/// Either alphabet, with or without padding, as protobuf takes it.
fn base64_of(text: &str) -> Option<Vec<u8>> {
    let padding = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let alphabets = [STANDARD, URL_SAFE];
    alphabets.iter().find_map(|one| GeneralPurpose::new(one, padding).decode(text).ok())
}

/// What Kubernetes keeps of it, which is what Istio and Envoy Gateway hand over. Nothing is as good as an empty object.
fn as_json(configuration: Option<&Node>) -> Result<Vec<u8>, String> {
    let Some(node) = configuration.filter(|node| !is_nothing(node)) else { return Ok(Vec::new()) };
    Ok(to_json(&node.kind(Dialect::Kubernetes)).to_string().into_bytes())
}

fn is_nothing(node: &Node) -> bool {
    match node.kind(Dialect::Kubernetes) {
        Kind::NullValue(_) => true,
        Kind::StructValue(fields) => fields.fields.is_empty(),
        _ => false,
    }
}

fn to_json(kind: &Kind) -> Value {
    let value = |value: &prost_types::Value| value.kind.as_ref().map_or(Value::Null, to_json);
    match kind {
        Kind::NullValue(_) => Value::Null,
        Kind::BoolValue(truth) => Value::Bool(*truth),
        Kind::StringValue(text) => Value::String(text.clone()),
        // Go writes 2.0 as 2.
        Kind::NumberValue(number) if number.fract() == 0.0 && number.abs() < 1e18 => {
            Value::from(*number as i64)
        }
        Kind::NumberValue(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Kind::ListValue(ListValue { values }) => Value::Array(values.iter().map(value).collect()),
        Kind::StructValue(Struct { fields }) => {
            fields.iter().map(|(name, field)| (name.clone(), value(field))).collect()
        }
    }
}
