//! The folder of one server: its data, its socket, its log, and its programs if need be.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io::Write};

use anyhow::{Context, anyhow};
use tempfile::TempDir;

use super::owner::Owner;
use super::processes::Watchdog;
use crate::{Progress, Result, command};

/// A server's folder. Dropped, it is removed; if this process ends without dropping it, the watchdog removes it.
#[derive(Debug)]
pub(super) struct Home {
    owner: Owner,
    programs: PathBuf,
    // Before the folder: it shall not see that go.
    _watchdog: Watchdog,
    folder: TempDir,
}

// === impl Home ===

impl Home {
    /// A folder without data, whose server will be run by these programs.
    pub(super) fn new(programs: &Path) -> Result<Self> {
        let owner = Owner::of_servers();
        let folder = tempfile::Builder::new().prefix("postgres-").tempdir();
        let folder = folder.context("making a temporary folder")?;
        let mut programs = programs.to_owned();
        if !owner.reaches(&programs.join("postgres")) {
            programs = nearer(&programs, folder.path())?;
        }
        owner.takes(folder.path())?;
        let watchdog = Watchdog::start(owner, folder.path())?;
        Ok(Self { owner, programs, _watchdog: watchdog, folder })
    }

    /// Where it is: its socket too.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where PostgreSQL's programs are for it.
    pub(super) fn programs(&self) -> &Path {
        &self.programs
    }

    /// The data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// All the server has logged.
    pub(super) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    fn log_file(&self) -> PathBuf {
        self.path().join("log")
    }

    /// One of PostgreSQL's programs, run by the owner, with none of the caller's settings.
    pub(super) fn program(&self, name: &str) -> Command {
        let mut command = self.owner.command(&self.programs.join(name));
        for (name, _) in env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C").env("TZ", "UTC").env("HOME", self.path());
        command.current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Runs one to its end.
    pub(super) fn run(&self, name: &str, arguments: &[&str]) -> Result<()> {
        command::run(self.program(name).args(arguments), Progress::Quiet)
    }

    /// The server, about to log here.
    pub(super) fn server(&self) -> Result<Command> {
        let log = File::options().create(true).append(true).open(self.log_file());
        let log = log.and_then(|out| Ok((out.try_clone()?, out)));
        let (out, err) = log.context("writing PostgreSQL's log")?;
        let mut server = self.program("postgres");
        server.arg("-D").arg(self.data()).stdout(out).stderr(err);
        Ok(server)
    }

    /// Writes a file of the data folder, or appends to it.
    pub(super) fn write(&self, name: &str, append: bool, text: &str) -> Result<()> {
        let path = self.data().join(name);
        let mut options = File::options();
        options.create(true).write(true).append(append).truncate(!append);
        // A key that others may read is refused.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("writing {}", path.display()))?;
        self.owner.takes(&path)
    }
}

/// The installation of these programs again, in a folder that the owner can enter. Its files are links if that can be.
fn nearer(programs: &Path, folder: &Path) -> Result<PathBuf> {
    let away = || anyhow!("{} is in no folder.", programs.display());
    let installation = programs.parent().ok_or_else(away)?;
    let name = programs.file_name().ok_or_else(away)?;
    let copy = folder.join("installation");
    link_folder(installation, &copy)
        .with_context(|| format!("copying {} to {}", installation.display(), copy.display()))?;
    Ok(copy.join(name))
}

fn link_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            link_folder(&from, &to)?;
        } else if fs::hard_link(&from, &to).is_err() {
            // Another file system, most likely.
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}
