//! Programs of Debian's packages, unpacked into the target folder: nothing is installed, and no root is needed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::workspace;
use crate::{Progress, Result, command, kept};

/// A program that a package of Debian holds.
pub struct Program {
    /// Where it is in the package.
    pub file: &'static str,
    /// The package. What it depends on and this machine lacks comes with it.
    pub package: &'static str,
}

/// Chromium without a window: 100 MB, 300 MB unpacked. `/usr/bin` has a script that runs it where it would be installed.
pub const CHROMIUM: Program = Program {
    file: "usr/lib/chromium/chromium-headless-shell",
    package: "chromium-headless-shell",
};

/// Prometheus itself.
pub const PROMETHEUS: Program = Program { file: "usr/bin/prometheus", package: "prometheus" };

/// What checks Prometheus's rules.
pub const PROMTOOL: Program = Program { file: "usr/bin/promtool", package: "prometheus" };

/// What reads images without a container engine.
pub const SKOPEO: Program = Program { file: "usr/bin/skopeo", package: "skopeo" };

impl Program {
    /// A command that runs it. apt fetches the packages once; it holds them to Debian's signature.
    ///
    /// # Errors
    /// If apt cannot fetch them.
    pub fn command(&self) -> Result<Command> {
        if command::output(Command::new("apt-get").arg("--version"))?.is_none() {
            // No Debian, no Ubuntu: whoever runs this installs the program.
            return Ok(Command::new(self.name()));
        }
        let home = workspace::target_dir().join("debian").join(self.package);
        let root = kept(&home, self.package, |folder| self.unpack(folder))?;
        let mut command = Command::new(root.join(self.file));
        // Some packages have a folder of their own below the architecture's.
        let libraries = ["lib", "usr/lib"].into_iter().flat_map(|lib| folders(&root.join(lib)));
        let libraries: Vec<PathBuf> =
            libraries.flat_map(|folder| [folders(&folder), vec![folder]].concat()).collect();
        command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries)?);
        Ok(command)
    }

    fn name(&self) -> &OsStr {
        Path::new(self.file).file_name().unwrap_or_default()
    }

    fn unpack(&self, folder: &Path) -> Result<()> {
        eprintln!("Fetching Debian's {} into target/ (once, some seconds) …", self.package);
        let apt = folder.join("apt");
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(apt.join(part)).context("making a folder for apt")?;
        }
        // Lists of our own: a machine may have none, and those of the system are root's.
        let apt_get = |arguments: &[&str]| {
            let mut command = Command::new("apt-get");
            for (option, path) in [("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")] {
                command.arg("-o").arg(format!("{option}={}", apt.join(path).display()));
            }
            command.args(arguments).current_dir(&apt);
            command::run(&mut command, Progress::Quiet)
        };
        apt_get(&["update"])?;
        // Without the lock, which is root's: nothing is installed. Again, for the machine may have the package, but not here.
        let only = ["-o", "Debug::NoLocking=1", "--download-only", "--no-install-recommends"];
        apt_get(&[&only[..], &["--reinstall", "-y", "install", self.package]].concat())?;
        for entry in fs::read_dir(apt.join("cache/archives")).context("reading what apt fetched")? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                let mut unpack = Command::new("dpkg-deb");
                command::run(unpack.arg("-x").arg(path).arg(folder), Progress::Quiet)?;
            }
        }
        if !folder.join(self.file).is_file() {
            bail!("Debian's {} has no {}.", self.package, self.file);
        }
        fs::remove_dir_all(apt).context("removing what apt fetched")
    }
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_runs() {
        for program in [PROMETHEUS, PROMTOOL, SKOPEO] {
            let version = program.command().unwrap().arg("--version").output().unwrap();
            let (said, name) = (command::said(&version), program.name().to_string_lossy());
            assert!(version.status.success() && said.contains(&*name), "{said}");
        }
    }
}
