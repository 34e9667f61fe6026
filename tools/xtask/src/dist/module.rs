//! Building the module: all that decides its bytes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context, anyhow, bail, ensure};
use cargo_metadata::{Message, MetadataCommand, Package};
use testkit::workspace::{self, WASM_TARGET};
use testkit::{Progress, Result};
use toml::{Table, Value};
use walrus::{ModuleConfig, RawCustomSection};

/// The module, and where it comes from.
pub struct Module {
    /// What Envoy loads.
    pub wasm: Vec<u8>,
    /// The same code, with the names of its functions: it turns the numbers of a trap's backtrace into names.
    pub named: Vec<u8>,
    /// The filter's own package.
    pub package: Package,
    /// Of the sources, as git names it, if it is known.
    pub revision: Option<String>,
    /// The packages whose code is in it, in the order of their names.
    pub dependencies: Vec<Package>,
    /// The release of Rust, whose standard library is in it too.
    pub rust: String,
}

const PACKAGE: &str = "backup-sharing-count";
/// What the filter's source reads the revision from.
const REVISION: &str = "BACKUP_SHARING_COUNT_REVISION";

/// What Envoy is to find in the module. The SDK exports every callback there is, and Envoy enters each that
/// is exported, whether or not it has anything to do.
const EXPORTS: &str = include_str!("../../../../src/glue/exports.txt");

/// Variables that would change the bytes, by how their names begin, and that what is said to Cargo below does not outweigh.
const NOT_PASSED_ON: [&str; 4] = ["CARGO_BUILD_", "CARGO_INCREMENTAL", "CARGO_TARGET_", "RUSTC"];

/// Builds it from a checkout. Its revision is git's if none is given.
pub fn build(sources: &Path, revision: Option<String>) -> Result<Module> {
    let rust = pinned_rust(sources)?;
    let revision = match revision {
        Some(revision) => Some(revision),
        None => git_revision(sources)?,
    };
    workspace::ensure_wasm_target(Progress::Shown)?;
    let metadata = MetadataCommand::new()
        .current_dir(sources)
        .other_options(["--locked", "--filter-platform", WASM_TARGET].map(str::to_owned).to_vec())
        .exec()
        .context("asking cargo what the filter is made of")?;

    let target = workspace::target_dir().join("dist-build");
    let profile = target.join("profile.toml");
    fs::create_dir_all(&target).context("creating target/dist-build")?;
    fs::write(&profile, fixed_profile(sources)?).context("writing target/dist-build")?;
    let mut cargo = workspace::cargo_build(&target);
    cargo.current_dir(sources).stderr(Stdio::inherit());
    cargo.args(["--locked", "--release", "--lib", "--package", PACKAGE, "--target", WASM_TARGET]);
    cargo.args(["--message-format", "json-render-diagnostics", "--config"]).arg(&profile);
    for (name, _) in env::vars_os() {
        if NOT_PASSED_ON.iter().any(|begin| name.as_encoded_bytes().starts_with(begin.as_bytes())) {
            cargo.env_remove(name);
        }
    }
    // They outweigh the flags of all configurations of Cargo.
    let flags = flags(sources, &rust, &metadata.packages)?;
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")).env_remove(REVISION);
    cargo.envs(revision.iter().map(|revision| (REVISION, revision)));
    let output = cargo.output().context("running cargo")?;
    ensure!(output.status.success(), "Cargo could not build the filter; it says why above.");

    // What was compiled for the module, and nothing that only ran while it was compiled.
    let (mut whole, mut compiled) = (None, BTreeSet::new());
    for message in Message::parse_stream(&*output.stdout) {
        let Message::CompilerArtifact(artifact) = message.context("reading what cargo says")?
        else {
            continue;
        };
        for file in &artifact.filenames {
            if file.components().any(|part| part.as_str() == WASM_TARGET) {
                compiled.insert(artifact.package_id.clone());
                whole = whole.or_else(|| (file.extension() == Some("wasm")).then(|| file.clone()));
            }
        }
    }
    let whole = fs::read(whole.context("Cargo names no module.")?).context("reading the module")?;
    let packages = metadata.packages.into_iter().filter(|package| compiled.contains(&package.id));
    let (own, mut dependencies): (Vec<_>, Vec<_>) =
        packages.partition(|package| package.name.as_str() == PACKAGE);
    dependencies
        .sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    let package = own.into_iter().next().context("Cargo does not know the filter.")?;

    let about = [("version", Some(package.version.to_string())), ("revision", revision.clone())];
    let (wasm, named) = (trimmed(&whole, false, &about)?, trimmed(&whole, true, &about)?);
    Ok(Module { wasm, named, package, revision, dependencies, rust: rust.release })
}

/// The compiler.
struct Rust {
    release: String,
    /// Of the compiler's own sources.
    commit: String,
    sysroot: String,
}

/// The release of Rust that rust-toolchain.toml names, or an error: another one makes other bytes.
fn pinned_rust(sources: &Path) -> Result<Rust> {
    let toolchain = table(&sources.join("rust-toolchain.toml"))?;
    let pinned = toolchain["toolchain"]["channel"].as_str().unwrap_or_default();
    let rustc = |option: &[&str]| ask(Command::new("rustc").args(option).current_dir(sources));
    let version = rustc(&["-vV"])?;
    let about = |what: &str| version.lines().find_map(|line| line.strip_prefix(what));
    match (about("release: "), about("commit-hash: ")) {
        (Some(release), Some(commit)) if release == pinned && commit != "unknown" => Ok(Rust {
            release: release.to_owned(),
            commit: commit.to_owned(),
            sysroot: rustc(&["--print", "sysroot"])?.trim().to_owned(),
        }),
        _ => bail!(
            "rust-toolchain.toml names Rust {pinned} as rustup installs it, and `rustc` is this:\n{version}\
             With rustup: `rustup toolchain install`."
        ),
    }
}

fn git_revision(sources: &Path) -> Result<Option<String>> {
    if !sources.join(".git").exists() {
        eprintln!(
            "These sources are not in git, so the module will not name their revision. `--revision` says it."
        );
        return Ok(None);
    }
    let mut git = Command::new("git");
    // No tag, only the commit.
    git.args(["describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]);
    ask(git.current_dir(sources)).map(|revision| Some(revision.trim().to_owned()))
}

/// `profile.release` of the sources, with names. On the command line of Cargo it outweighs a person's own configuration.
fn fixed_profile(sources: &Path) -> Result<String> {
    let mut manifest = table(&sources.join("Cargo.toml"))?;
    let profile = manifest.get_mut("profile").and_then(|profiles| profiles.get_mut("release"));
    let profile = profile.and_then(Value::as_table_mut).context("no profile.release")?;
    profile.insert("strip".to_owned(), "debuginfo".into());
    for off in ["debug", "debug-assertions", "incremental", "overflow-checks"] {
        profile.insert(off.to_owned(), false.into());
    }
    manifest.retain(|name, _| name == "profile");
    toml::to_string(&manifest).context("writing the profile")
}

/// The flags of a plain build, and such that leave out where this machine keeps packages, and the sources of the standard library
/// if they are installed.
fn flags(sources: &Path, rust: &Rust, packages: &[Package]) -> Result<Vec<String>> {
    let config = table(&sources.join(".cargo/config.toml"))?;
    let plain = config["target"][WASM_TARGET]["rustflags"].as_array().context("no rustflags")?;
    let mut flags: Vec<_> = plain.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let folders: BTreeSet<_> = packages
        .iter()
        .filter(|package| package.source.is_some())
        .filter_map(|package| package.manifest_path.parent()?.parent())
        .collect();
    flags.extend(folders.iter().map(|folder| format!("--remap-path-prefix={folder}=")));
    let Rust { commit, sysroot, .. } = rust;
    flags.push(format!("--remap-path-prefix={sysroot}/lib/rustlib/src/rust=/rustc/{commit}"));
    Ok(flags)
}

/// A module with no other exports than those, without what only they need, and with no custom sections but these, and the names
/// if they are wanted.
fn trimmed(wasm: &[u8], names: bool, about: &[(&str, Option<String>)]) -> Result<Vec<u8>> {
    let mut config = ModuleConfig::new();
    config.generate_name_section(names).generate_producers_section(false);
    let module = config.parse(wasm);
    let mut module = module.map_err(|error| anyhow!("Could not read the module: {error:#}."))?;
    let wanted: Vec<&str> = EXPORTS.lines().collect();
    let spare = module.exports.iter().filter(|export| !wanted.contains(&export.name.as_str()));
    for export in spare.map(|export| export.id()).collect::<Vec<_>>() {
        module.exports.delete(export);
    }
    for section in module.customs.iter().map(|(id, _)| id).collect::<Vec<_>>() {
        module.customs.delete(section);
    }
    for (name, value) in about {
        if let Some(value) = value {
            let (name, data) = ((*name).to_owned(), value.clone().into_bytes());
            module.customs.add(RawCustomSection { name, data });
        }
    }
    walrus::passes::gc::run(&mut module);
    Ok(module.emit_wasm())
}

fn table(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    text.parse().with_context(|| format!("reading {}", path.display()))
}

/// What a program says.
fn ask(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.output().with_context(|| format!("`{program}` is needed, and did not start"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{program}` failed: {}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
