//! `docs/plugin-configuration.schema.json` has the fields of the filter's types, with their defaults, and
//! `docs/plugin-configuration.md` is made of the schema, `configurations.toml` and what the filter says.
//!
//! `UPDATE_PAGES=1 cargo test --test plugin_configuration` writes the page again.

#![cfg(test)]

use std::fmt::Write;
use std::{env, fs};

use backup_sharing_count::config::Config;
use serde_json::{Value, json};
use testkit::{configurations, workspace};

/// A field or a section of the configuration, as the schema has it.
struct Field {
    path: String,
    schema: Value,
}

impl Field {
    /// All of them, in the order of the filter's types.
    fn all() -> Vec<Field> {
        let schema = include_str!("../docs/plugin-configuration.schema.json");
        let schema: Value = serde_json::from_str(schema).unwrap();
        let mut fields = Vec::new();
        add(&schema, &schema, "", &mut fields);
        fields
    }

    fn is_section(&self) -> bool {
        self.schema["type"] == "object"
    }

    fn description(&self) -> &str {
        self.schema["description"].as_str().unwrap_or_default()
    }

    fn pointer(&self) -> String {
        format!("/{}", self.path.replace('.', "/"))
    }

    /// The smallest configuration in which the field has a meaning, without it where it may be missing.
    fn smallest(&self) -> Value {
        let mut smallest = json!({"store": {"cluster": "c"}});
        let (section, _) = self.path.rsplit_once('.').unwrap_or_default();
        match (section, self.path.as_str()) {
            (_, "auth.challenge" | "auth.header") => {
                smallest["auth"] = json!({"mode": "header", "challenge": "c"});
            }
            ("auth.keystone", _) => {
                smallest["auth"] = json!({"mode": "keystone", "keystone": {"cluster": "c"}});
            }
            (_, "cache.stale_if_error" | "cache.max_entries") => {
                smallest["cache"] = json!({"ttl": "1s"});
            }
            ("", _) => {}
            (section, _) if smallest.get(section).is_none() => smallest[section] = json!({}),
            _ => {}
        }
        smallest
    }

    fn with(&self, value: &Value) -> Value {
        let mut configuration = self.smallest();
        let (section, name) = self.path.rsplit_once('.').unwrap_or(("", &self.path));
        let section = section.split('.').filter(|name| !name.is_empty());
        let section = section.fold(&mut configuration, |value, name| &mut value[name]);
        section[name] = value.clone();
        configuration
    }
}

/// The fields that the filter's types have in this section, as it names them where it finds another.
fn names(section: &str) -> Vec<String> {
    let sections = section.rsplit('.').filter(|name| !name.is_empty());
    let unknown = sections.fold(json!({"?": 0}), |inner, name| json!({ name: inner }));
    let said = Config::parse(unknown.to_string().as_bytes()).unwrap_err().to_string();
    let (_, expected) = said.split_once("unknown field, expected ").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn add(document: &Value, section: &Value, path: &str, fields: &mut Vec<Field>) {
    let properties = section["properties"].as_object().unwrap();
    let names = names(path);
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(properties.keys().collect::<Vec<_>>(), sorted.iter().collect::<Vec<_>>(), "{path}");
    assert_eq!(section["additionalProperties"], false, "{path}");
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let mut schema = json!({});
        let own = &properties[&name];
        let shared =
            own["$ref"].as_str().and_then(|at| document.pointer(at.trim_start_matches('#')));
        for part in shared.into_iter().chain([own]) {
            schema.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        }
        fields.push(Field { path: path.clone(), schema });
        if own["type"] == "object" {
            add(document, own, &path, fields);
        }
    }
}

/// What the filter makes of a configuration.
fn meaning(configuration: &Value) -> String {
    let config = Config::parse(configuration.to_string().as_bytes());
    format!("{:?}", config.unwrap_or_else(|error| panic!("{configuration}: {error}")))
}

#[test]
fn each_field_of_the_types_is_in_the_schema_with_its_default_and_an_example() {
    for field in Field::all() {
        let (path, schema) = (&field.path, &field.schema);
        assert!(field.description().ends_with('.'), "{path} has no description");
        if field.is_section() {
            continue;
        }
        let example = &schema["examples"][0];
        assert!(!example.is_null(), "{path} has no example");
        let Some(default) = schema.get("default") else {
            meaning(&field.with(example));
            let said =
                ["Default", "Required"].iter().any(|word| field.description().contains(word));
            assert!(said, "{path} has no default");
            continue;
        };
        let left_out = meaning(&field.smallest());
        assert_eq!(meaning(&field.with(default)), left_out, "{path}: {default}");
        // What is told apart from the default is read. Other values of auth.mode need other fields.
        if path != "auth.mode" {
            let is_default = meaning(&field.with(example)) == left_out;
            assert_eq!(is_default, example == default, "{path}: {example}");
        }
    }
}

/// A wrong value of the field, and what the filter says of it: the last of the tests that says much.
fn refused(field: &Field) -> (String, String) {
    let mut found = Vec::new();
    for case in configurations::all().iter().filter(|case| case.refused.is_some()) {
        let json = case.json();
        let Ok(value) = serde_json::from_str::<Value>(&json) else { continue };
        let said = Config::parse(json.as_bytes()).unwrap_err().to_string();
        let is_of_it =
            said.strip_prefix(&field.path).is_some_and(|rest| rest.starts_with([':', '[']));
        if let (Some(value), true) = (value.pointer(&field.pointer()), is_of_it) {
            found.push((value.to_string(), said));
        }
    }
    // A value of the right type says more than another type would, and more than none.
    let says_more = |(value, said): &(String, String)| {
        said.contains("invalid value") && (1..22).contains(&value.trim_matches('"').len())
    };
    let place = found.iter().rposition(says_more);
    assert!(!found.is_empty(), "configurations.toml refuses no value of {}", field.path);
    found.into_iter().nth(place.unwrap_or(0)).unwrap()
}

const HEAD: &str = "# The fields of the plugin configuration

<!-- Made by tests/plugin_configuration.rs: change that, the schema, or tests/configurations.toml. -->

Which configurations are taken as a whole, and what refuses one: [contract](contract.md#configuration). Errors are the filter's own;
Envoy logs them behind `configuration refused: `.

Before Envoy gets a file, `cargo xtask check-config FILE` says what the filter would say of it. FILE is Envoy's configuration or a
part of it (also what `/config_dump` of the admin interface answers), a `WasmPlugin` of Istio's, an `EnvoyExtensionPolicy` of Envoy
Gateway's, or the plugin configuration alone, in YAML or JSON; `-` is standard input. A plugin in it is this filter if its name, its
root id, or the file or URL of its module has `backup-sharing-count` in it, with `-` or `_`; `--name` says another name. Others are
named and not judged. The exit code is 0 if all are taken, 1 if one is refused, 2 if there is none or the file cannot be read.

**Editors** complete and check the plugin configuration by its [JSON Schema](plugin-configuration.schema.json), where it is a file of
its own. In YAML its first line says so: `# yaml-language-server: $schema=plugin-configuration.schema.json`. In JSON the editor's
settings do (`json.schemas` in VS Code), for `$schema` is no field of the filter's. The schema does not apply to a part of `envoy.yaml`.

**Envoy's YAML** is read by yaml-cpp: `on`, `off`, `yes`, `no`, `y` and `n` without quotes are truth values, which only `metrics` takes,
and a fraction or an integer of more than 32 bits is a text, so write `2` and not `2.0`. If several fields of a `Struct` are wrong,
which one is named first depends on Envoy.
";

fn kind(schema: &Value) -> String {
    match (schema["type"].as_str(), schema["enum"].as_array()) {
        (Some("array"), _) => "list of texts".to_owned(),
        (Some("string"), _) => "text".to_owned(),
        (Some(other), _) => other.to_owned(),
        (None, words) => {
            let words: Vec<_> = words.unwrap().iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for field in Field::all() {
        let Field { path, schema } = &field;
        let heading = if path.contains('.') { "###" } else { "##" };
        writeln!(page, "\n{heading} {path}\n\n{}", field.description()).unwrap();
        if field.is_section() {
            continue;
        }
        let default = schema.get("default").map_or("none".to_owned(), |value| format!("`{value}`"));
        let (value, said) = refused(&field);
        let (_, name) = path.rsplit_once('.').unwrap_or(("", path));
        let (_, expected) = said.split_once("expected ").unwrap();
        let each = if schema["type"] == "array" { "each" } else { "takes" };
        writeln!(page, "\n| | |\n|---|---|").unwrap();
        for (what, says) in [
            ("type", kind(schema)),
            (each, expected.to_owned()),
            ("default", default),
            ("example", format!("`\"{name}\": {}`", schema["examples"][0])),
            ("refused", format!("`\"{name}\": {value}`")),
            ("the error", format!("``{said}``")),
        ] {
            writeln!(page, "| {what} | {} |", says.replace('|', "\\|")).unwrap();
        }
    }
    page
}

#[test]
fn the_page_is_what_the_schema_and_the_filter_say() {
    let path = workspace::root().join("docs/plugin-configuration.md");
    let page = page();
    if env::var_os("UPDATE_PAGES").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert!(kept == page, "docs/plugin-configuration.md is stale. {UPDATE}");
}

const UPDATE: &str = "`UPDATE_PAGES=1 cargo test --test plugin_configuration` writes it again.";
