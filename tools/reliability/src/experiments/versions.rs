//! The filter in each release of Envoy it is held to: the contract's cases, the store-outcome
//! table, and `envoy.yaml` as it ships.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use testkit::cases::envoy::Outcome;
use testkit::envoy::{Envoy, Options, RELEASES, Verdict, release_binary, validate_with};
use testkit::envoy_yaml::{self, Places};
use testkit::{Error, Result, cases, store_faults, workspace};

use super::faults;
use crate::{Scale, Section};

/// Runs the oldest release, or all.
///
/// # Errors
/// If a release cannot be had or started.
pub fn run(scale: Scale) -> Result<Section> {
    let releases = scale.pick(&RELEASES[..1], &RELEASES[..]);
    let mut section = Section {
        text: "One module, built once, in each release; a wheel pinned by hash each \
               (`tools/testkit/envoy/`). The cases are `tests/cases.toml`; a store's wrongs are those of \
               `tests/store_faults.rs`, with their answers and times; the faults under load are those \
               of the experiment `faults` in its short form.\n\n\
               | Envoy | cases that hold | store's wrongs answered as documented | \
               faults under load | `envoy.yaml` | `QUERY` without `content-type` |\n\
               |---|---|---|---|---|---|\n"
            .to_owned(),
        failures: Vec::new(),
    };
    for version in releases {
        let binary = release_binary(version)?;
        must_be(&binary, version)?;
        let options = || Envoy::options().binary(&binary);
        let cases = held(version, cases::envoy::run(options())?, &mut section.failures);
        let rows = held(version, store_faults::run(options())?, &mut section.failures);
        let shipped = match shipped(&binary)? {
            Verdict::Accepted => "accepted",
            Verdict::Refused(why) => {
                section.failures.push(format!("Envoy {version} refuses envoy.yaml: {why}"));
                "refused"
            }
        };
        let faults = match scale {
            Scale::Quick => "–".to_owned(),
            Scale::Full => {
                borne(version, faults::table(Some(&binary), Scale::Quick)?, &mut section.failures)
            }
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            section.text,
            "| {version} | {cases} | {rows} | {faults} | {shipped} | {} |",
            query(options())?
        );
    }
    section.text.push_str(
        "\nThe last column is the one difference seen: 1.40 knows the method QUERY and that it must \
         have a `content-type`, and refuses one without before a filter sees it.\n",
    );
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

/// `13, nothing amiss`; what was amiss becomes failures.
fn borne(version: &str, table: Section, failures: &mut Vec<String>) -> String {
    // The first row names the columns; the line below it begins without a space.
    let rows = table.text.lines().filter(|line| line.starts_with("| ")).count();
    let borne = match table.failures.len() {
        0 => format!("{}, nothing amiss", rows.saturating_sub(1)),
        amiss => format!("{}, {amiss} amiss", rows.saturating_sub(1)),
    };
    failures.extend(table.failures.iter().map(|failure| format!("Envoy {version}: {failure}")));
    borne
}

/// Who answers a QUERY without `content-type`, and what.
fn query(options: Options) -> Result<String> {
    let fixture = store_faults::start(options)?;
    let answer = fixture.request("count", "QUERY", store_faults::PATH, &[])?;
    Ok(match answer.header("content-type") {
        Some("application/json") => format!("{} from the filter", answer.status),
        _ => format!("{} from Envoy", answer.status),
    })
}

/// What the release thinks of the shipped configuration.
fn shipped(binary: &Path) -> Result<Verdict> {
    // Nothing listens when a configuration is validated.
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let module = workspace::filter_module()?;
    let (listener, admin, store) = (at(10000), at(9901), at(8080));
    let yaml = envoy_yaml::with_places(Places {
        listener,
        admin,
        stores: &[store],
        backend: store,
        module: &module,
    })?;
    validate_with(binary, &yaml)
}
