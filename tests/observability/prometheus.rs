//! A running Prometheus, with the shipped files at sixty times their speed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tempfile::TempDir;
use testkit::debian::PROMETHEUS;
use testkit::{PATIENCE, http, ports, wait_for, workspace};

/// Where the shipped files are.
pub fn shipped(file: &str) -> PathBuf {
    workspace::root().join("deploy/observability").join(file)
}

/// A shipped file.
pub fn read(file: &str) -> String {
    fs::read_to_string(shipped(file)).unwrap()
}

/// The same rules and settings with a second for each minute and a minute for each hour, and nothing else changed: windows,
/// `for`, and how often is scraped and evaluated keep their proportions.
pub fn hurried(text: &str) -> String {
    let lines = text.lines().map(|line| match line.trim_start().strip_prefix("for: ") {
        Some(time) => line.replace(time, &time.replacen('m', "s", 1)),
        None => {
            line.replace("m]", "s]").replace("h]", "m]").replace("interval: 15s", "interval: 250ms")
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A running Prometheus. Dropping it kills it.
pub struct Prometheus {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes these Envoys' admin addresses, and the count store's metrics there.
    pub fn start(envoys: &[SocketAddr], store: SocketAddr) -> Prometheus {
        let folder = tempfile::tempdir().unwrap();
        let mut config = hurried(&read("prometheus.yml"));
        let envoys: Vec<String> = envoys.iter().map(|at| format!("\"{at}\"")).collect();
        for (from, to) in
            [("\"127.0.0.1:9901\"", envoys.join(", ")), ("127.0.0.1:9102", store.to_string())]
        {
            assert!(config.contains(from), "prometheus.yml no longer has {from} to replace.");
            config = config.replace(from, &to);
        }
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        fs::write(folder.path().join("rules.yml"), hurried(&read("rules.yml"))).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free_port().unwrap()));
        let process = PROMETHEUS
            .command()
            .unwrap()
            .current_dir(folder.path())
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn"])
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let prometheus = Prometheus { process, address, _folder: folder };
        wait_for("Prometheus", PATIENCE, || {
            let answer = http::request(address, "GET", "/-/ready", &[]).ok()?;
            (answer.status == 200).then_some(())
        })
        .unwrap();
        prometheus
    }

    /// What `/api/v1/WHAT` answers.
    fn get(&self, what: &str) -> Value {
        let answer = http::request(self.address, "GET", format!("/api/v1/{what}"), &[]).unwrap();
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(json["status"], "success", "{what}: {json}");
        json["data"].clone()
    }

    /// The series that an expression has now.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let encoded = utf8_percent_encode(expression, NON_ALPHANUMERIC);
        let result = self.get(&format!("query?query={encoded}"))["result"].clone();
        result.as_array().unwrap().clone()
    }

    /// The same over a time, in seconds of Prometheus's clock, in 200 steps.
    pub fn query_range(&self, expression: &str, start: f64, end: f64) -> Vec<Value> {
        let expression = hurried(expression).replace("$__rate_interval", "5s");
        let encoded = utf8_percent_encode(&expression, NON_ALPHANUMERIC);
        let step = (end - start) / 200.0;
        let what = format!("query_range?query={encoded}&start={start}&end={end}&step={step}");
        self.get(&what)["result"].as_array().unwrap().clone()
    }

    /// Its clock.
    pub fn now(&self) -> f64 {
        self.get("query?query=time()")["result"][0].as_f64().unwrap()
    }

    /// Whether an expression had a number at any time of the last minutes.
    pub fn had(&self, expression: &str) -> bool {
        // A subquery takes what is one series at a time: a number from the others is worth as much.
        let all = format!("count(({expression}) > -Inf)[{}s:500ms]", 2 * PATIENCE.as_secs());
        !self.query(&all).is_empty()
    }

    /// The rules that could not be evaluated, and why.
    pub fn errors(&self) -> Vec<Value> {
        let groups = self.get("rules")["groups"].clone();
        let rules =
            groups.as_array().unwrap().iter().flat_map(|one| one["rules"].as_array().unwrap());
        rules.filter(|rule| rule["health"] != "ok").cloned().collect()
    }

    /// Waits until these alerts have fired, if not at the same time. What they and all others that fire meanwhile say, by
    /// their names.
    pub fn wait_for(&self, expected: &BTreeSet<String>) -> BTreeMap<String, String> {
        let mut fired = BTreeMap::new();
        let waited = wait_for("the alerts", PATIENCE, || {
            let alerts = self.get("alerts")["alerts"].clone();
            for alert in alerts.as_array().unwrap().iter().filter(|one| one["state"] == "firing") {
                let text = |pointer| alert.pointer(pointer).unwrap().as_str().unwrap().to_owned();
                fired.insert(text("/labels/alertname"), text("/annotations/summary"));
            }
            sleep(Duration::from_millis(100));
            expected.iter().all(|name| fired.contains_key(name)).then_some(())
        });
        waited.unwrap_or_else(|error| {
            panic!("{error} {expected:?} were expected. These fired: {fired:#?}")
        });
        fired
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
