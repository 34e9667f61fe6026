//! The folder of one server: its data, its socket, its log, and its programs if need be.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow};
use rustix::fs::statvfs;
use tempfile::TempDir;

use super::owner::Owner;
use super::processes::Watchdog;
use crate::{Progress, Result, command};

/// Where file systems in memory are. A server starts there three times as fast: it makes a thousand files.
const MEMORY: &str = "/dev/shm";

/// What must be free in memory, in bytes, before a server is put there. Docker leaves 64 MiB.
const MEMORY_FREE: u64 = 4 << 30;

/// A server's folder. Dropped, it is removed; if this process ends without dropping it, the watchdog removes it.
#[derive(Debug)]
pub(super) struct Home {
    owner: Owner,
    programs: PathBuf,
    // Before the folders: it shall not see them go.
    _watchdog: Watchdog,
    /// The programs, if the owner cannot reach them elsewhere.
    _installation: Option<TempDir>,
    folder: TempDir,
}

// === impl Home ===

impl Home {
    /// A folder without data, whose server will be run by these programs.
    pub(super) fn new(programs: &Path, place: &Path) -> Result<Self> {
        let owner = Owner::of_servers();
        let folder = temporary(place, owner)?;
        let (mut programs, mut installation) = (programs.to_owned(), None);
        if !owner.reaches(&programs.join("postgres")) {
            let nearer;
            (programs, nearer) = copy(&programs, owner)?;
            installation = Some(nearer);
        }
        let folders = [Some(folder.path()), installation.as_ref().map(TempDir::path)];
        let watchdog = Watchdog::start(owner, folders.into_iter().flatten())?;
        Ok(Self { owner, programs, _watchdog: watchdog, _installation: installation, folder })
    }

    /// Another one, with the same programs, beside this one.
    pub(super) fn another(&self) -> Result<Self> {
        Self::new(&self.programs, self.path().parent().unwrap_or(self.path()))
    }

    /// Where it is: its socket too.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
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
        // A key that others may read is refused.
        options.create(true).write(true).append(append).truncate(!append).mode(0o600);
        let written = options.open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        let written = written.and_then(|()| self.owner.takes(&path));
        written.with_context(|| format!("writing {}", path.display()))
    }
}

/// Where servers are put: in memory if there is room, unless the person who runs us said where temporary folders go.
pub(super) fn place() -> PathBuf {
    let free = statvfs(MEMORY).map_or(0, |memory| memory.f_bavail * memory.f_frsize);
    match env::var_os("TMPDIR") {
        None if free >= MEMORY_FREE => MEMORY.into(),
        _ => env::temp_dir(),
    }
}

fn temporary(place: &Path, owner: Owner) -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("postgres-").tempdir_in(place);
    let folder = folder.context("making a temporary folder")?;
    owner.takes(folder.path()).context("giving a temporary folder away")?;
    Ok(folder)
}

/// The installation of these programs again, in a folder that others can be let into. Its files are links if that can be.
/// Not in memory, where programs may be forbidden.
fn copy(programs: &Path, owner: Owner) -> Result<(PathBuf, TempDir)> {
    let away = || anyhow!("{} is in no folder.", programs.display());
    let installation = programs.parent().ok_or_else(away)?;
    let name = programs.file_name().ok_or_else(away)?;
    let folder = temporary(&env::temp_dir(), owner)?;
    let copy = folder.path().join("installation");
    link_folder(installation, &copy, owner)
        .with_context(|| format!("copying {} to {}", installation.display(), copy.display()))?;
    Ok((copy.join(name), folder))
}

fn link_folder(from: &Path, to: &Path, owner: Owner) -> io::Result<()> {
    fs::create_dir(to)?;
    // So that the watchdog can empty it. Not the files: they may be links.
    owner.takes(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            link_folder(&from, &to, owner)?;
        } else if fs::hard_link(&from, &to).is_err() {
            // Another file system, most likely.
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}
