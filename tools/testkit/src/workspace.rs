//! Where the workspace is, and what is built from it: the filter's module and the count store.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{anyhow, bail};

use crate::Result;
use crate::command::{self, Progress};

/// The variable that names another build of the filter for tests and experiments.
pub const FILTER_MODULE: &str = "FILTER_MODULE";

/// What Envoy's V8 runs.
pub const WASM_TARGET: &str = "wasm32-wasip1";

/// The workspace's root folder, known when this crate is compiled.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").components().collect::<PathBuf>()
}

/// Cargo's target folder: `CARGO_TARGET_DIR` if set (from the root if relative), else `target`.
pub fn target_dir() -> PathBuf {
    from_root("CARGO_TARGET_DIR").unwrap_or_else(|| root().join("target"))
}

/// The filter as Envoy loads it, built quietly. See [`filter_module_with`].
pub fn filter_module() -> Result<PathBuf> {
    filter_module_with(Progress::Quiet)
}

/// The filter as Envoy loads it: `FILTER_MODULE` if set, else built in release mode.
///
/// `FILTER_MODULE` lets the same tests judge a module that was built or downloaded elsewhere. Each
/// process builds at most once; later calls return the first call's result.
pub fn filter_module_with(progress: Progress) -> Result<PathBuf> {
    static MODULE: Once = Once::new();
    once(&MODULE, || match from_root(FILTER_MODULE) {
        Some(module) if module.is_file() => Ok(module),
        Some(module) => Err(anyhow!(
            "FILTER_MODULE names {}, which is not a file. Correct it, or unset it to build the module.",
            module.display()
        )),
        None => plain_filter_module(progress),
    })
}

/// The count store's program, built quietly, but for a program that measures: its build takes minutes, and a person waits. See
/// [`count_store_binary_with`].
pub fn count_store_binary() -> Result<PathBuf> {
    count_store_binary_with(if cfg!(debug_assertions) { Progress::Quiet } else { Progress::Shown })
}

/// The count store's program, built at most once per process: in the profile `tools` for a program
/// that is itself optimised, as those that measure are, else in the dev profile.
pub fn count_store_binary_with(progress: Progress) -> Result<PathBuf> {
    static BINARY: Once = Once::new();
    once(&BINARY, || {
        let mut build = cargo_build(&target_dir());
        // With a target set, cargo would put the program into a folder named for it.
        let (profile, folder) =
            if cfg!(debug_assertions) { ("dev", "debug") } else { ("tools", "tools") };
        build.args(["-p", "count-store", "--profile", profile]);
        command::run(build.env_remove("CARGO_BUILD_TARGET"), progress)?;
        let name = format!("count-store{}", env::consts::EXE_SUFFIX);
        built(target_dir().join(folder).join(name))
    })
}

/// A file that is made once in a process.
pub(crate) type Once = OnceLock<Result<PathBuf>>;

/// Makes it, or says again what came of that.
pub(crate) fn once(file: &Once, make: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
    file.get_or_init(make).as_ref().cloned().map_err(|error| anyhow!("{error:#}"))
}

/// The filter as `cargo build` makes it, whatever `FILTER_MODULE` says.
pub fn plain_filter_module(progress: Progress) -> Result<PathBuf> {
    ensure_wasm_target(progress)?;
    let mut build = cargo_build(&target_dir());
    build.args(["--release", "--target", WASM_TARGET]);
    build.args(["-p", "backup-sharing-count", "--lib"]);
    command::run(&mut build, progress)?;
    let folder = target_dir().join(WASM_TARGET).join("release");
    built(folder.join("backup_sharing_count.wasm"))
}

/// Adds the wasm target if this toolchain lacks it.
///
/// rustc is asked, not rustup: a toolchain from elsewhere may have the target and no rustup.
pub fn ensure_wasm_target(progress: Progress) -> Result<()> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--print", "target-libdir", "--target", WASM_TARGET]);
    if let Some(output) = command::output(rustc.current_dir(root()))? {
        let folder = String::from_utf8_lossy(&output.stdout);
        if output.status.success() && Path::new(folder.trim()).is_dir() {
            return Ok(());
        }
    }
    let mut rustup = Command::new("rustup");
    rustup.current_dir(root());
    if command::output(rustup.arg("--version"))?.is_none() {
        bail!(
            "Rust's target {WASM_TARGET} is missing, and there is no rustup to add it. \
             Install rustup, or that target's standard library with whatever installed Rust."
        );
    }
    let mut add = Command::new("rustup");
    add.args(["target", "add", WASM_TARGET]);
    command::run(add.current_dir(root()), progress)
}

/// `cargo build` at the root, shielded from the `cargo test` or `cargo run` around this process.
///
/// Cargo tells the programs it runs about *their* package. Passed on, those variables would reach
/// the nested build's scripts and cause needless rebuilds. Flags a person sets (`RUSTFLAGS`,
/// `CARGO_PROFILE_*`) stay.
pub fn cargo_build(target: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg("build").current_dir(root());
    // Named, so that what we compute and where cargo writes cannot differ.
    cargo.arg("--target-dir").arg(target);
    for (name, _) in env::vars_os() {
        if describes_the_caller(&name) {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn describes_the_caller(name: &OsString) -> bool {
    const PREFIXES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    const NAMES: [&str; 4] =
        ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR", "OUT_DIR"];
    name.to_str().is_some_and(|name| {
        NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// A path from the environment. Relative ones count from the root: a test's current folder is its
/// package, which is not where the person typed the command.
pub(crate) fn from_root(variable: &str) -> Option<PathBuf> {
    let value = env::var_os(variable).filter(|value| !value.is_empty())?;
    Some(root().join(value))
}

fn built(path: PathBuf) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path);
    }
    Err(anyhow!(
        "Cargo built without complaint, but {} is not there. Look for a build.target or a [lib] name that moves it.",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }

    #[test]
    fn only_the_callers_own_variables_are_dropped() {
        for name in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "OUT_DIR"] {
            assert!(describes_the_caller(&name.into()), "{name}");
        }
        for name in ["RUSTFLAGS", "CARGO_HOME", "CARGO_PROFILE_RELEASE_LTO"] {
            assert!(!describes_the_caller(&name.into()), "{name}");
        }
    }
}
