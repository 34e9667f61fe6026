//! schemathesis: requests made of `openapi.yaml`, and every answer held to it.
//!
//! What it finds that is no fault is left out in `clients/hooks.py`, each with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use testkit::envoy_yaml::start_before;
use testkit::workspace;

use super::python::Python;
use super::{folder, store};
use crate::Options;

/// The day the experiment was written.
const SEED: &str = "20261123";

/// What is written wrong into a copy of the document, and what must be seen of it.
const WRONG: [(&str, &str, &str); 4] = [
    ("error_restoring, restoring]", "error_restoring, restoring, lost]", "RejectedPositiveData"),
    ("maxLength: 255", "maxLength: 20", "AcceptedNegativeData"),
    ("\"400\":", "\"418\":", "UndefinedStatusCode"),
    ("maximum: 9223372036854775807", "maximum: 1", "JsonSchemaError"),
];

/// What the page shows.
#[derive(Debug, Serialize)]
pub struct Figures {
    version: String,
    seed: &'static str,
    requests: u64,
    failures: usize,
    /// What it took for a failure and `hooks.py` did not.
    no_failures: u64,
    /// Of Envoy's access log.
    answers: Vec<Answers>,
    mistakes_planted: usize,
    mistakes_seen: BTreeSet<String>,
}

/// Who answered, with what, and how often.
#[derive(Debug, Serialize)]
struct Answers {
    by: String,
    status: u64,
    times: usize,
}

/// Its own report.
#[derive(Debug, Deserialize)]
struct Report {
    schemathesis_version: String,
    complete: bool,
    test_cases: Cases,
    filtered: u64,
    failures: Vec<Failure>,
}

#[derive(Debug, Deserialize)]
struct Cases {
    generated: u64,
    errored: u64,
    without_checks: u64,
}

#[derive(Debug, Deserialize)]
struct Failure {
    #[serde(rename = "type")]
    kind: String,
}

/// Holds `envoy.yaml` to the document, and to a wrong copy.
pub fn run(python: &Python, options: &Options, failures: &mut Vec<String>) -> Result<Figures> {
    let store = store(&[])?;
    let start = || start_before(&[store.0.address()], store.0.address(), &[]);
    let (envoy, listener) = start()?;
    let document = workspace::root().join("openapi.yaml");
    let more = ["--max-examples", options.pick("400", "6000")];
    let (report, said) = ask(python, &document, &format!("http://{listener}"), &more)?;
    let log = envoy.stop()?;
    let Cases { generated, errored, without_checks } = report.test_cases;
    let at_least = options.pick(400, 5000);
    if generated < at_least {
        failures.push(format!("schemathesis made {generated} requests, not {at_least}"));
    }
    if errored + without_checks > 0 {
        failures.push(format!("schemathesis did not check all it made: {:?}", report.test_cases));
    }
    if !report.failures.is_empty() || !report.complete {
        failures.push(format!("{said}\nschemathesis found {:?}", report.failures));
    }

    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let path = folder.path().join("wrong.yaml");
    let mut wrong = fs::read_to_string(&document).context("read openapi.yaml")?;
    for (from, to, _) in WRONG {
        ensure!(wrong.contains(from), "openapi.yaml no longer has `{from}`");
        wrong = wrong.replacen(from, to, 1);
    }
    fs::write(&path, wrong).context("write a wrong document")?;
    let (envoy, listener) = start()?;
    let more = ["--phases", "coverage"];
    let (seen, _) = ask(python, &path, &format!("http://{listener}"), &more)?;
    envoy.stop()?;
    let seen: BTreeSet<_> = seen.failures.into_iter().map(|failure| failure.kind).collect();
    for (_, to, _) in WRONG.iter().filter(|(.., kind)| !seen.contains(*kind)) {
        failures.push(format!("schemathesis does not see that `{to}` is wrong"));
    }
    Ok(Figures {
        version: report.schemathesis_version,
        seed: SEED,
        requests: generated,
        failures: report.failures.len(),
        no_failures: report.filtered,
        answers: answers(&log)?,
        mistakes_planted: WRONG.len(),
        mistakes_seen: seen,
    })
}

/// Runs it, and reads its own report whatever it ends with; and what it said.
fn ask(python: &Python, document: &Path, url: &str, more: &[&str]) -> Result<(Report, String)> {
    let here = tempfile::tempdir().context("make a temporary folder")?;
    let path = here.path().join("report.json");
    let output = python
        .schemathesis()
        .arg("run")
        .arg(document)
        .args(["--url", url, "--checks", "all", "--mode", "all", "--seed", SEED])
        .args(["--continue-on-failure", "--no-color", "--generation-database", "none"])
        .args(["--report", "json", "--report-json-path"])
        .arg(&path)
        .args(more)
        .env("SCHEMATHESIS_HOOKS", folder().join("hooks.py"))
        .current_dir(here.path())
        .output()
        .context("run schemathesis")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = fs::read_to_string(&path).with_context(|| format!("read its report: {said}"))?;
    let report = serde_json::from_str(&report).context("understand schemathesis's report")?;
    Ok((report, said))
}

/// How often the access log names each `answered_by` and status.
fn answers(log: &str) -> Result<Vec<Answers>> {
    let mut times = BTreeMap::new();
    for line in log.lines().filter(|line| line.starts_with('{')) {
        let line: Value = serde_json::from_str(line).context("understand the access log")?;
        let by = line["answered_by"].as_str().unwrap_or("nobody").to_owned();
        *times.entry((by, line["status"].as_u64().unwrap_or_default())).or_default() += 1;
    }
    Ok(times.into_iter().map(|((by, status), times)| Answers { by, status, times }).collect())
}
