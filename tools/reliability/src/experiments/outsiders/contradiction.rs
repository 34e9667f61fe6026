//! schemathesis: requests made of `openapi.yaml`, and every answer held to it.
//!
//! What it finds that is no fault is left out in `clients/hooks.py`, each with its reason.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;
use testkit::{Error, Result, workspace};

use super::environment::{Environment, clients};
use super::stack::{self, Stack};
use crate::{Scale, Section};

/// The day the experiment was written.
const SEED: &str = "20261123";

/// What is written wrong into a copy of the document, and what must be seen of it.
const WRONG: [(&str, &str, &str); 4] = [
    ("error_restoring, restoring]", "error_restoring, restoring, lost]", "RejectedPositiveData"),
    ("maxLength: 255", "maxLength: 20", "AcceptedNegativeData"),
    ("\"400\":", "\"418\":", "UndefinedStatusCode"),
    ("maximum: 9223372036854775807", "maximum: 1", "JsonSchemaError"),
];

/// Holds the stack to the document, and to the wrong copy.
pub fn run(python: &Environment, scale: Scale, section: &mut Section) -> Result<()> {
    let folder = stack::folder()?;
    let store = stack::store(&folder, &[])?;
    let stack = Stack::start(store.address())?;
    let url = format!("http://{}", stack.listener);
    let document = workspace::root().join("openapi.yaml");
    let more = ["--max-examples", scale.pick("400", "6000")];
    let report = ask(python, &document, &url, folder.path(), &more)?;
    let answers = stack.stop()?;
    judge(&report, &answers, scale.pick(400, 5000), section);

    let stack = Stack::start(store.address())?;
    let url = format!("http://{}", stack.listener);
    let wrong = wrong(&stack::read(&document)?)?;
    let path = folder.path().join("wrong.yaml");
    fs::write(&path, wrong).map_err(Error::while_doing("write a wrong document"))?;
    let seen = ask(python, &path, &url, folder.path(), &["--phases", "coverage"])?;
    let seen = kinds(&seen);
    for (_, to, kind) in WRONG {
        if !seen.contains(&kind.to_owned()) {
            section.failures.push(format!("schemathesis does not see that `{to}` is wrong"));
        }
    }
    let _ = writeln!(
        section.text,
        "The instrument sees: of a copy of the document with {} mistakes it reported {}.\n",
        WRONG.len(),
        seen.join(", ")
    );
    Ok(())
}

fn wrong(document: &str) -> Result<String> {
    WRONG.iter().try_fold(document.to_owned(), |document, (from, to, _)| {
        match document.contains(from) {
            true => Ok(document.replacen(from, to, 1)),
            false => Err(Error::new(format!("openapi.yaml no longer has `{from}`."))),
        }
    })
}

/// Runs schemathesis and reads its own report, whatever it ends with.
fn ask(
    python: &Environment,
    document: &Path,
    url: &str,
    folder: &Path,
    more: &[&str],
) -> Result<Value> {
    let path = folder.join("report.json");
    let _ = fs::remove_file(&path); // an older one must not stand for this run
    let output = python
        .schemathesis()
        .arg("run")
        .arg(document)
        .args(["--url", url, "--checks", "all", "--mode", "all", "--seed", SEED])
        .args(["--continue-on-failure", "--no-color", "--generation-database", "none"])
        .args(["--report", "json", "--report-json-path"])
        .arg(&path)
        .args(more)
        .env("SCHEMATHESIS_HOOKS", clients().join("hooks.py"))
        .current_dir(folder)
        .output()
        .map_err(Error::while_doing("run schemathesis"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let text = stack::read(&path).map_err(|error| Error::new(format!("{error}\n{said}")))?;
    let mut report: Value = serde_json::from_str(&text)
        .map_err(Error::while_doing("understand schemathesis's report"))?;
    report["said"] = said.into();
    Ok(report)
}

fn kinds(report: &Value) -> Vec<String> {
    let failures = report["failures"].as_array().into_iter().flatten();
    failures.filter_map(|failure| Some(failure["type"].as_str()?.to_owned())).collect()
}

fn judge(
    report: &Value,
    answers: &BTreeMap<(String, u64), usize>,
    at_least: u64,
    section: &mut Section,
) {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let cases = &report["test_cases"];
    let (generated, version) = (number(&cases["generated"]), &report["schemathesis_version"]);
    if generated < at_least {
        section.failures.push(format!("schemathesis made {generated} requests, not {at_least}"));
    }
    if number(&cases["errored"]) + number(&cases["without_checks"]) > 0 {
        section.failures.push(format!("schemathesis did not check all it made: {cases}"));
    }
    if !kinds(report).is_empty() || report["complete"] != Value::Bool(true) {
        let said = report["said"].as_str().unwrap_or_default();
        section.failures.push(format!("{said}\nschemathesis found {:?}", kinds(report)));
    }
    let _ = writeln!(
        section.text,
        "schemathesis {} made {generated} requests of `openapi.yaml`, right and wrong ones, with \
         seed {SEED}, and held every answer to it with all its checks: {} failures. {} times it \
         took for a fault what is none, for one of two reasons (`tools/reliability/clients/hooks.py`): \
         OpenAPI cannot say that the two spellings of the zone exclude each other; and Envoy \
         itself answers 400 to a QUERY without `content-type` (with one, the filter says 405). \
         Its stateful \
         phase does not apply: one operation, which changes nothing.\n",
        version.as_str().unwrap_or("?"),
        kinds(report).len(),
        number(&report["filtered"]),
    );
    let _ = writeln!(section.text, "| answered by | status | times |\n|---|---|---|");
    for ((by, status), times) in answers {
        let _ = writeln!(section.text, "| `{by}` | {status} | {times} |");
    }
    section.text.push('\n');
}
