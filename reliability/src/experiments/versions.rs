//! The filter in each release of Envoy it is held to: the contract's cases, the store-outcome
//! table, and `envoy.yaml` as it ships.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use testkit::cases::envoy::Outcome;
use testkit::envoy::{Envoy, RELEASES, Verdict, release_binary, validate_with};
use testkit::production::{Places, envoy_yaml};
use testkit::{Error, Result, cases, outcomes, workspace};

use crate::{Scale, Section};

/// Runs the oldest release, or all.
///
/// # Errors
/// If a release cannot be had or started.
pub fn run(scale: Scale) -> Result<Section> {
    let releases = scale.pick(&RELEASES[..1], &RELEASES[..]);
    let mut section = Section {
        text: "One module, built once, in each release; a wheel pinned by hash each \
               (`testkit/envoy/`). The cases are `tests/cases.toml`; the table is what a store \
               does wrong, with its answers and times.\n\n\
               | Envoy | cases that hold | rows that hold | `envoy.yaml` |\n|---|---|---|---|\n"
            .to_owned(),
        failures: Vec::new(),
    };
    for version in releases {
        let binary = release_binary(version)?;
        must_be(&binary, version)?;
        let options = || Envoy::options().binary(&binary);
        let cases = held(version, cases::envoy::run(options())?, &mut section.failures);
        let rows = held(version, outcomes::run(options())?, &mut section.failures);
        let shipped = match shipped(&binary)? {
            Verdict::Accepted => "accepted",
            Verdict::Refused(why) => {
                section.failures.push(format!("Envoy {version} refuses envoy.yaml: {why}"));
                "refused"
            }
        };
        // Writing to a String cannot fail.
        let _ = writeln!(section.text, "| {version} | {cases} | {rows} | {shipped} |");
    }
    Ok(section)
}

/// A table of releases is worth nothing if one program stood for them all.
fn must_be(binary: &Path, version: &str) -> Result<()> {
    let output = Command::new(binary).arg("--version").output();
    let output = output.map_err(Error::while_doing("ask Envoy for its version"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match said.contains(&format!("/{version}/")) {
        true => Ok(()),
        false => Err(Error::new(format!("Envoy {version} says that it is {}", said.trim()))),
    }
}

/// `98 of 98`; the others become failures.
fn held(version: &str, outcome: Outcome, failures: &mut Vec<String>) -> String {
    let Outcome { cases, failures: new } = outcome;
    let held = format!("{} of {cases}", cases.saturating_sub(new.len()));
    failures.extend(new.into_iter().map(|failure| format!("Envoy {version}: {failure}")));
    held
}

/// What the release thinks of the shipped configuration.
fn shipped(binary: &Path) -> Result<Verdict> {
    // Nothing listens when a configuration is validated.
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let module = workspace::filter_module()?;
    let (listener, admin, store) = (at(10000), at(9901), at(8080));
    let yaml = envoy_yaml(Places { listener, admin, store, backend: store, module: &module })?;
    validate_with(binary, &yaml)
}
