//! `cargo xtask fuzz`: every target of `tools/oracles/fuzz/`, from the seeds there and what was found before.
//!
//! The targets are built without a sanitizer. Those look for memory errors, which the filter's safe
//! code cannot have, and need a nightly compiler.

mod finding;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use testkit::{Error, Result, workspace};

use finding::Finding;

/// Ask the filter and a second reading of the contract about inputs nobody thought of
#[derive(Args)]
pub struct Options {
    /// How long each target runs
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Makes the same inputs of the same program and corpus again [default: others each time]
    #[arg(long)]
    seed: Option<u32>,
    /// Targets, as their files in tools/oracles/fuzz/src/bin are called; all of them if none is named
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

const VERSION: &str = "0.13.2";

/// Builds the targets, runs as many at a time as there are cores, and prints what they found.
pub fn run(options: &Options) -> Result<()> {
    let targets = targets(&options.targets)?;
    let programs = build()?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!("{} targets, {cores} at a time, {} s each", targets.len(), options.seconds);

    let waiting = Mutex::new(targets.iter());
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.next());
    let worker = || {
        let mut found = Vec::new();
        while let Some(target) = next() {
            found.push(fuzz(target, &programs.join(target), options)?);
        }
        Ok(found)
    };
    let found: Vec<Result<Vec<Finding>>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        let ended = workers.into_iter().map(|worker| worker.join());
        ended.map(|found| found.unwrap_or_else(|_| Err(anyhow!("A worker panicked.")))).collect()
    });
    let mut found: Vec<Finding> =
        found.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    found.sort_by(|one, other| one.target.cmp(&other.target));

    println!("\n{}", Finding::HEADER);
    found.iter().for_each(|finding| println!("{finding}"));
    let crashes: Vec<String> = found.iter().filter_map(Finding::crash).collect();
    match crashes.is_empty() {
        true => Ok(()),
        false => Err(Error::msg(crashes.join("\n\n"))),
    }
}

/// The targets named, or all that there are.
fn targets(named: &[String]) -> Result<Vec<String>> {
    let folder = workspace::root().join("tools/oracles/fuzz/src/bin");
    let files = fs::read_dir(&folder).context("reading the folder of fuzz targets")?;
    let names = files.filter_map(|file| file.ok()?.path().file_stem()?.to_str().map(str::to_owned));
    let mut all: Vec<String> = names.collect();
    all.sort();
    match named.iter().find(|name| !all.contains(name)) {
        Some(name) => Err(anyhow!("There is no fuzz target {name}. There are {}.", all.join(", "))),
        None if named.is_empty() => Ok(all),
        None => Ok(named.to_vec()),
    }
}

/// Builds all targets and returns the folder of their programs.
fn build() -> Result<PathBuf> {
    let cargo_fuzz = cargo_fuzz()?;
    // cargo-fuzz cannot be told `--locked`.
    let lock = workspace::root().join("tools/oracles/fuzz/Cargo.toml");
    let mut metadata = cargo();
    metadata.args(["metadata", "--locked", "--format-version", "1", "--manifest-path"]).arg(lock);
    let lock = metadata.output().context("running cargo metadata")?;
    if !lock.status.success() {
        bail!(
            "tools/oracles/fuzz/Cargo.lock is behind; `cargo update --workspace --manifest-path tools/oracles/fuzz/Cargo.toml` mends it.\n{}",
            String::from_utf8_lossy(&lock.stderr)
        );
    }
    eprintln!("Building the fuzz targets; the first time takes minutes …");
    let (host, target_dir) = (host()?, workspace::target_dir().join("fuzz"));
    let mut build = Command::new(cargo_fuzz);
    build.args([
        "build", "--sanitizer", "none", "--target", &host, "--fuzz-dir", "tools/oracles/fuzz",
    ]);
    build.arg("--target-dir").arg(&target_dir);
    succeed(build.current_dir(workspace::root()), "build the fuzz targets")?;
    Ok(target_dir.join(host).join("release"))
}

/// cargo-fuzz of [`VERSION`], installed under the target folder if it is not there.
fn cargo_fuzz() -> Result<PathBuf> {
    let root = workspace::target_dir().join("cargo-fuzz");
    let program = root.join("bin/cargo-fuzz");
    let version = Command::new(&program).arg("--version").output();
    let there = version.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).trim() == format!("cargo-fuzz {VERSION}")
    });
    if !there {
        eprintln!("Installing cargo-fuzz {VERSION} into target/ (once) …");
        let mut install = cargo();
        install.args(["install", "--locked", "--force", "--version", VERSION, "--root"]);
        succeed(install.arg(root).arg("cargo-fuzz"), "install cargo-fuzz")?;
    }
    Ok(program)
}

/// The platform that cargo builds for by itself.
fn host() -> Result<String> {
    let rustc = Command::new("rustc").arg("-vV").current_dir(workspace::root()).output();
    let said = rustc.context("running rustc")?.stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host.")
}

/// Runs one target. What it finds worth keeping goes to `target/fuzz-corpus`, and what fails to
/// `target/fuzz-crashes`.
fn fuzz(target: &str, program: &Path, options: &Options) -> Result<Finding> {
    let corpus = workspace::target_dir().join("fuzz-corpus").join(target);
    let crashes = workspace::target_dir().join("fuzz-crashes").join(target);
    for folder in [&corpus, &crashes] {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    let fuzz = workspace::root().join("tools/oracles/fuzz");
    let output = Command::new(program)
        .arg(format!("-max_total_time={}", options.seconds))
        // 0 is libFuzzer's word for any.
        .arg(format!("-seed={}", options.seed.unwrap_or_default()))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .arg(format!("-dict={}", fuzz.join("dictionaries").join(target).display()))
        // An input that takes a second is a finding too.
        .args(["-print_final_stats=1", "-timeout=1"])
        .args([corpus, fuzz.join("seeds").join(target)])
        .output()
        .with_context(|| format!("running {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let finding = Finding::read(target, program, &said, output.status.success());
    println!("{target}: {} executions", finding.executions);
    Ok(finding)
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn succeed(command: &mut Command, what: &str) -> Result<()> {
    match command.status().with_context(|| format!("could not {what}"))? {
        status if status.success() => Ok(()),
        status => Err(anyhow!("Could not {what} ({status}); it says why above.")),
    }
}
