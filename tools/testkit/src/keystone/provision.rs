//! Where Keystone comes from: pinned packages and a bootstrapped template, both kept in the target folder.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::Context;
use rustix::process::getuid;

use crate::workspace::{Once, once};
use crate::{Progress, Result, command, kept, python, workspace};

/// Its name in sentences.
const KEYSTONE: &str = "Keystone";

/// What keystone 30 asks for.
const PYTHON: (u32, u32) = (3, 11);

/// The packages, every file by its hash.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// How Keystone is configured.
const CONFIGURATION: &str = include_str!("keystone.conf");

/// The password of the user `admin`.
pub(super) const ADMIN_PASSWORD: &str = "admin";

/// What fills the template, after `keystone-manage`.
const SETUP: [&[&str]; 4] = [
    &["db_sync"],
    &["fernet_setup"],
    &["credential_setup"],
    &["bootstrap", "--bootstrap-password", ADMIN_PASSWORD],
];

/// The installed packages, for `PYTHONPATH`: pip fetches them once.
pub(super) fn packages() -> Result<PathBuf> {
    static FOLDER: Once = Once::new();
    once(&FOLDER, || {
        let version = python::version(KEYSTONE, PYTHON)?;
        // Compiled packages are for one Python.
        let made_of = format!("Python {version}\n{REQUIREMENTS}");
        kept(&home().join("packages"), &made_of, |folder| {
            eprintln!("Installing Keystone into target/ (once, half a minute or more) …");
            let pins = workspace::root().join("tools/testkit/src/keystone/requirements.txt");
            python::install(KEYSTONE, &pins, folder)
        })
    })
}

/// Copies a configuration, keys, and a database with the user `admin` into `folder`.
pub(super) fn copy_template(folder: &Path) -> Result<()> {
    static FOLDER: Once = Once::new();
    let template = once(&FOLDER, || {
        let packages = packages()?;
        let made_of = format!("{SETUP:?}\n{CONFIGURATION}\n{REQUIREMENTS}");
        kept(&home().join("template"), &made_of, |folder| bootstrap(&packages, folder))
    })?;
    copy_folder(&template, folder).context("copying Keystone's template")
}

fn home() -> PathBuf {
    workspace::target_dir().join("keystone")
}

fn bootstrap(packages: &Path, folder: &Path) -> Result<()> {
    let configuration = fs::write(folder.join("keystone.conf"), CONFIGURATION);
    configuration.context("configuring Keystone's template")?;
    let manage = packages.join("bin/keystone-manage");
    for arguments in SETUP {
        let mut command = python::run(packages, &manage);
        command.args(["--config-file", "keystone.conf"]).args(arguments);
        if arguments.iter().all(|argument| argument.ends_with("_setup")) && getuid().is_root() {
            // Keystone will not guess for whom root makes keys.
            command.args(["--keystone-user", "root", "--keystone-group", "root"]);
        }
        command::run(command.current_dir(folder), Progress::Quiet)?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    // Keystone warns of keys that others may read.
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
