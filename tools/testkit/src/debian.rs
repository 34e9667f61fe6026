//! Programs of Debian's packages, unpacked into the target folder: nothing is installed, and no root is needed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::workspace;
use crate::{Progress, Result, command, kept};

/// A program that packages of Debian hold.
pub struct Program {
    /// Its name: a file of `/usr/bin`.
    pub name: &'static str,
    /// The package that holds it, and those that hold the libraries it asks for.
    pub packages: &'static [&'static str],
}

/// Prometheus itself.
pub const PROMETHEUS: Program = Program { name: "prometheus", packages: &["prometheus"] };

/// What checks Prometheus's rules.
pub const PROMTOOL: Program = Program { name: "promtool", packages: &["prometheus"] };

/// What reads images without a container engine.
pub const SKOPEO: Program = Program {
    name: "skopeo",
    packages: &["skopeo", "libgpgme11", "libassuan0", "libdevmapper1.02.1"],
};

impl Program {
    /// A command that runs it. apt fetches the packages once; it holds them to Debian's signature.
    ///
    /// # Errors
    /// If apt cannot fetch them.
    pub fn command(&self) -> Result<Command> {
        if command::output(Command::new("apt-get").arg("--version"))?.is_none() {
            // No Debian, no Ubuntu: whoever runs this installs the program.
            return Ok(Command::new(self.name));
        }
        let home = workspace::target_dir().join("debian").join(self.packages[0]);
        let root = kept(&home, &self.packages.join(" "), |folder| self.unpack(folder))?;
        let mut command = Command::new(root.join("usr/bin").join(self.name));
        let libraries = fs::read_dir(root.join("usr/lib")).into_iter().flatten().flatten();
        let libraries = libraries.map(|entry| entry.path()).filter(|path| path.is_dir());
        command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries)?);
        Ok(command)
    }

    fn unpack(&self, folder: &Path) -> Result<()> {
        eprintln!("Fetching Debian's {} into target/ (once, some seconds) …", self.packages[0]);
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
        apt_get(&[&["download"], self.packages].concat())?;
        for entry in fs::read_dir(&apt).context("reading what apt fetched")? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                let mut unpack = Command::new("dpkg-deb");
                command::run(unpack.arg("-x").arg(path).arg(folder), Progress::Quiet)?;
            }
        }
        if !folder.join("usr/bin").join(self.name).is_file() {
            bail!("Debian's {} has no program {}.", self.packages[0], self.name);
        }
        fs::remove_dir_all(apt).context("removing what apt fetched")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_runs() {
        for program in [PROMETHEUS, PROMTOOL, SKOPEO] {
            let version = program.command().unwrap().arg("--version").output().unwrap();
            let said = command::said(&version);
            assert!(version.status.success() && said.contains(program.name), "{said}");
        }
    }
}
