//! The Python on `PATH`, and packages for it that a file of requirements pins.

use std::path::Path;
use std::process::Command;

use anyhow::{anyhow, bail};

use crate::command;
use crate::{Error, Result};

/// Its version, such as `3.11`, if that is at least `oldest`. `whose` needs it, for the error's sentence.
pub fn version(whose: &str, oldest: (u32, u32)) -> Result<String> {
    let wanted = format!("{whose} needs Python {}.{} or newer with pip", oldest.0, oldest.1);
    let mut python = Command::new("python3");
    python.args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]);
    let Some(output) = command::output(&mut python)? else {
        bail!("{wanted}, and there is no python3 (Debian, Ubuntu: apt install python3-pip).");
    };
    let said = command::said(&output);
    let version = said.trim();
    let numbers = version
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    match numbers {
        Some(numbers) if numbers >= oldest => Ok(version.to_owned()),
        Some(_) => bail!("{wanted}, and python3 is {version}: put a newer one first on PATH."),
        None => bail!("{wanted}, and python3 does not say its version, but: {version}"),
    }
}

/// Installs what `requirements` pins, every file by its hash, into `packages`. `whose` names it in the error's
/// sentence.
///
/// It takes pip and no venv, which some distributions keep apart.
pub fn install(whose: &str, requirements: &Path, packages: &Path) -> Result<()> {
    let mut pip = pip("install", requirements, "--target", packages);
    match command::output(pip.arg("--quiet"))? {
        Some(output) if output.status.success() => Ok(()),
        Some(output) => Err(refusal(whose, requirements, &command::said(&output))),
        None => Err(anyhow!("There is no python3 to install {whose} with.")),
    }
}

/// A pip that puts what `requirements` pins, every file by its hash, into a folder, which the option `into` names.
pub(crate) fn pip(task: &str, requirements: &Path, into: &str, folder: &Path) -> Command {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", task, "--disable-pip-version-check"])
        // No dependencies but those that are pinned.
        .args(["--no-deps", "--require-hashes", "--only-binary=:all:", "-r"])
        .arg(requirements)
        .arg(into)
        .arg(folder)
        // A person's "only inside a virtualenv" protects folders of the system and the user: not this one.
        .env("PIP_REQUIRE_VIRTUALENV", "0");
    pip
}

/// A command that runs a Python program with these packages, with no proxy and none of the caller's Python settings.
pub fn run(packages: &Path, program: &Path) -> Command {
    let mut command = Command::new("python3");
    command.arg(program).env("PYTHONPATH", packages).env("NO_PROXY", "*");
    command.env_remove("PYTHONHOME").env_remove("PYTHONSTARTUP");
    command
}

/// What pip's failure means for the person, with pip's own last words.
fn refusal(whose: &str, requirements: &Path, said: &str) -> Error {
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing").trim();
    if said.contains("No module named pip") {
        anyhow!(
            "Python 3 is here without pip, which installs {whose} (Debian, Ubuntu: apt install python3-pip)."
        )
    } else if said.contains("DO NOT MATCH THE HASHES") {
        anyhow!(
            "A package of {whose} is not the one that {} pins (hash mismatch; {last}). Find out who changed it.",
            requirements.display()
        )
    } else {
        anyhow!(
            "{whose} could not be installed. Check the network and pip's index. pip said: {last}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pips_refusals_become_advice() {
        let cases = [
            ("python3: No module named pip\n", "apt install python3-pip"),
            ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n  Got 12ab\n\n", "Got 12ab"),
            ("ERROR: disk full\n", "pip said: ERROR: disk full"),
            ("", "pip said: nothing"),
        ];
        for (said, advice) in cases {
            let sentence = refusal("Keystone", Path::new("pins.txt"), said).to_string();
            assert!(sentence.contains(advice), "{said:?} became {sentence}");
        }
    }

    #[test]
    fn a_python_that_is_too_old_is_said_so() {
        let version = version("It", (3, 0)).unwrap();
        assert!(version.starts_with("3."), "{version}");
        let error = super::version("It", (4, 1)).unwrap_err().to_string();
        assert!(
            error
                .contains(&format!("needs Python 4.1 or newer with pip, and python3 is {version}")),
            "{error}"
        );
    }
}
