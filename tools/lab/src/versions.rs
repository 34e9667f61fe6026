//! The filter in each release of Envoy it is held to: the contract's cases, what a store does wrong, faults
//! under load, and `envoy.yaml` as it ships.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::json;
use testkit::cases::envoy::Outcome;
use testkit::envoy::{self, Envoy, RELEASES, Verdict, release_binary, validate_with};
use testkit::{cases, store_faults};

use crate::faults::{self, Setup};
use crate::{Findings, Options, anywhere, shipped};

/// A line of the page.
#[derive(Debug, Serialize)]
struct Release {
    version: &'static str,
    cases: Held,
    outcomes: Held,
    /// Not in the quick form.
    faults: Option<Held>,
    configuration_accepted: bool,
    /// What a QUERY without `content-type` gets, and whether the filter gave it.
    query_status: u16,
    query_by_filter: bool,
}

/// How many there were, and what went wrong.
#[derive(Debug, Serialize)]
struct Held {
    of: usize,
    amiss: usize,
}

/// Runs the oldest release, or all.
pub fn run(options: &Options) -> Result<Findings> {
    let (mut releases, mut failures) = (Vec::new(), Vec::new());
    for version in options.pick(&RELEASES[..1], &RELEASES[..]) {
        let binary = release_binary(version)?;
        must_be(&binary, version)?;
        let envoy = || Envoy::options().binary(&binary);
        let mut held = |Outcome { cases, failures: amiss }| {
            let held = Held { of: cases, amiss: amiss.len() };
            failures.extend(amiss.iter().map(|failure| format!("Envoy {version}: {failure}")));
            held
        };
        let cases = held(cases::envoy::run(envoy())?);
        let outcomes = held(store_faults::run(envoy())?);
        let faults = match options.quick {
            true => None,
            false => {
                let options = &Options { quick: true, ..Options::default() };
                let found = faults::run_with(Setup { binary: Some(&binary), options })?;
                let cases = found.figures["rows"].as_array().map_or(0, Vec::len);
                Some(held(Outcome { cases, failures: found.failures }))
            }
        };
        // Nothing listens when a configuration is validated.
        let verdict = validate_with(&binary, &shipped(&[anywhere()], anywhere())?)?;
        if let Verdict::Refused(why) = &verdict {
            failures.push(format!("Envoy {version} refuses envoy.yaml: {why}"));
        }
        let configuration_accepted = matches!(verdict, Verdict::Accepted);
        let (query_status, query_by_filter) = query(envoy())?;
        releases.push(Release {
            version,
            cases,
            outcomes,
            faults,
            configuration_accepted,
            query_status,
            query_by_filter,
        });
    }
    Findings::new(json!({ "releases": releases }), failures)
}

/// A table of releases is worth nothing if one program stood for them all.
fn must_be(binary: &Path, version: &str) -> Result<()> {
    let output = Command::new(binary).arg("--version").output();
    let output = output.context("ask Envoy for its version")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said.contains(&format!("/{version}/")), "Envoy {version} says it is {}", said.trim());
    Ok(())
}

/// What a QUERY without `content-type` gets, and whether from the filter.
fn query(options: envoy::Options) -> Result<(u16, bool)> {
    let fixture = store_faults::start(options, None)?;
    let answer = fixture.request("count", "QUERY", store_faults::PATH, &[])?;
    Ok((answer.status, answer.header("content-type") == Some("application/json")))
}
