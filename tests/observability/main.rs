//! `deploy/observability/` as it ships: checked by promtool, held against the pages, and run by a real Prometheus that
//! scrapes a real Envoy and a real count store, in peace and with faults.
//!
//! `DASHBOARD_PICTURE=docs/dashboard.svg cargo test --test observability` draws what the dashboard shows then.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

mod picture;
mod prometheus;
mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};
use std::{env, fs};

use prometheus::{Prometheus, hurried, read, shipped};
use scene::{Scene, Sets};
use serde_json::Value;
use testkit::debian::PROMTOOL;
use testkit::workspace;

/// The rules, the alerts among them.
fn rules() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&read("rules.yml")).unwrap();
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn alerts() -> Vec<Value> {
    rules().into_iter().filter(|rule| rule["alert"].is_string()).collect()
}

fn names() -> BTreeSet<String> {
    alerts().iter().map(|alert| alert["alert"].as_str().unwrap().to_owned()).collect()
}

/// Every value of a member `expr`, whatever it is in.
fn expressions(value: &Value) -> Vec<String> {
    let own = value.get("expr").and_then(Value::as_str).map(str::to_owned);
    let inner: Vec<String> = match value {
        Value::Array(items) => items.iter().flat_map(expressions).collect(),
        Value::Object(members) => members.values().flat_map(expressions).collect(),
        _ => Vec::new(),
    };
    own.into_iter().chain(inner).collect()
}

/// Those of the rules, and of every dashboard beside them.
fn all_expressions() -> Vec<String> {
    let files = fs::read_dir(shipped("")).unwrap().map(|entry| entry.unwrap().path());
    let dashboards = files.filter(|path| path.extension().is_some_and(|kind| kind == "json"));
    let dashboards =
        dashboards.map(|path| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap());
    rules().into_iter().chain(dashboards).flat_map(|value: Value| expressions(&value)).collect()
}

fn promtool(arguments: &[&str]) {
    let mut promtool = PROMTOOL.command().unwrap();
    let output = promtool.args(arguments).current_dir(shipped("")).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
    );
}

#[test]
fn promtool_finds_the_files_right_and_each_alert_fires_when_it_should() {
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["test", "rules", "rules_test.yml"]);
    let tests = read("rules_test.yml");
    for name in names() {
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} is in no test.");
    }
}

#[test]
fn each_alert_says_what_an_operator_needs() {
    let page = fs::read_to_string(workspace::root().join("docs/watching-it.md")).unwrap();
    let section = page.split("\n## Rules and alerts").nth(1).unwrap();
    let told = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(told.map(str::to_owned).collect::<BTreeSet<_>>(), names());
    for alert in alerts() {
        let text =
            |pointer: &str| alert.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        assert!(["critical", "warning"].contains(&text("/labels/severity")), "{alert}");
        assert!(text("/annotations/summary").ends_with('.'), "{alert}");
        // That there is such a section: tests/documents.rs.
        assert!(text("/annotations/runbook").starts_with("docs/troubleshooting.md#"), "{alert}");
    }
}

/// Which names are answers 5xx is said by the page that explains them.
#[test]
fn every_answer_5xx_is_a_failure_and_no_other() {
    let page = fs::read_to_string(workspace::root().join("docs/watching-it.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let failures: BTreeSet<&str> =
        rows.filter(|(_, rest)| rest.starts_with('5')).map(|(name, _)| name).collect();
    let rules = read("rules.yml");
    let selector = rules
        .split("answered_by=~\"")
        .find(|rest| rest.starts_with("edge_unjudged|auth_invalid"))
        .unwrap();
    let selected: BTreeSet<&str> = selector.split('"').next().unwrap().split('|').collect();
    assert_eq!(selected, failures);
}

#[test]
fn every_expression_has_a_value_and_each_alert_fires_for_its_fault_alone() {
    let (scene, store) = Scene::start();
    let envoys = [&scene.envoy, &scene.wrong].map(|envoy| envoy.admin_address());
    let prometheus = Prometheus::start(&envoys, scene.store_metrics);
    let (begun, is_over) = (Instant::now(), AtomicBool::new(false));
    scope(|scope| {
        let _ends = Sets(&is_over);
        for client in 0..3 {
            let (scene, is_over) = (&scene, &is_over);
            scope.spawn(move || scene.ask(client, is_over));
        }
        // Longer than any alert waits, and than most windows.
        sleep(Duration::from_secs(15));
        let quiet = prometheus.query("max_over_time(ALERTS{alertstate=\"firing\"}[5m])");
        assert!(quiet.is_empty(), "{quiet:#?}");

        scene.break_it();
        let last = ["BackupSharingCountHostDown", "BackupSharingCountUnseen"].map(str::to_owned);
        let (last, all) = (BTreeSet::from(last), names());
        let fired = prometheus.wait_for(&(&all - &last));
        assert!(last.iter().all(|name| !fired.contains_key(name)), "{fired:#?}");
        drop(store);
        let fired: BTreeMap<_, _> = fired.into_iter().chain(prometheus.wait_for(&last)).collect();
        // Prometheus puts an error of a template in the text's place.
        assert!(fired.values().all(|summary| !summary.contains("<error")), "{fired:#?}");
    });
    assert_eq!(prometheus.errors(), Vec::<Value>::new());
    let empty: Vec<String> = all_expressions()
        .into_iter()
        .filter(|expression| {
            !prometheus.had(&hurried(expression).replace("$__rate_interval", "5s"))
        })
        .collect();
    assert!(empty.is_empty(), "These have no value:\n{}", empty.join("\n"));
    let dashboard = serde_json::from_str(&read("dashboard.json")).unwrap();
    let picture = picture::svg(&dashboard, &prometheus, begun.elapsed().as_secs_f64());
    if let Some(file) = env::var_os("DASHBOARD_PICTURE") {
        fs::write(workspace::root().join(file), picture).unwrap();
    }
}
