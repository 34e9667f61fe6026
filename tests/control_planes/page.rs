//! What `docs/control-planes.md` has operators write, and what it does.

use std::collections::BTreeMap;
use std::fs;

use regex::Regex;
use serde_json::Value;
use testkit::workspace;

/// The YAML behind this line of `docs/control-planes.md`.
pub fn on_the_page(line: &str) -> Value {
    let page = fs::read_to_string(workspace::root().join("docs/control-planes.md")).unwrap();
    let block = page.split(&format!("```yaml\n{line}")).nth(1).unwrap();
    serde_saphyr::from_str(block.split("```").next().unwrap()).unwrap()
}

/// What Prometheus makes of a series by such rules, whose `action` is `replace`, the default: its name, and behind it its labels.
pub fn relabelled(rules: &Value, series: &str) -> String {
    let (name, labels) = series.split_once(' ').unwrap_or((series, ""));
    let labels = labels.split_whitespace().map(|label| label.split_once('=').unwrap());
    let mut labels: BTreeMap<&str, String> = labels.map(|(label, is)| (label, is.into())).collect();
    labels.insert("__name__", name.to_owned());
    for rule in rules.as_array().unwrap() {
        assert_eq!(rule["action"], Value::Null);
        let [source] = &rule["source_labels"].as_array().unwrap()[..] else { panic!("{rule}") };
        let source = labels.get(source.as_str().unwrap()).cloned().unwrap_or_default();
        let pattern = format!("^(?s:{})$", rule["regex"].as_str().unwrap());
        if let Some(found) = Regex::new(&pattern).unwrap().captures(&source) {
            let mut value = String::new();
            found.expand(rule["replacement"].as_str().unwrap_or("$1"), &mut value);
            labels.insert(rule["target_label"].as_str().unwrap(), value);
        }
    }
    let name = labels.remove("__name__").unwrap();
    labels.iter().fold(name, |all, (label, value)| format!("{all} {label}={value}"))
}
