//! `cargo xtask dist`: the module as it is handed out.
//!
//! It is built once, with the names of its functions. The copy without names is what Envoy loads; the other
//! turns the numbers of a trap's backtrace into names.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use sha2::{Digest, Sha256};
use testkit::Progress;
use testkit::{Result, workspace};
use walrus::ModuleConfig;

/// Build the module to hand out, with its sha256 and a copy with names, into target/dist
#[derive(Args)]
pub struct Options {}

/// What was made.
pub struct Dist {
    /// What Envoy loads.
    pub module: PathBuf,
    /// The same code, with the names of its functions.
    pub named: PathBuf,
    /// The module's sha256, as `sha256sum --check` reads it.
    pub sum: PathBuf,
}

/// What Envoy is to find in the module. The SDK exports every callback there is, and Envoy enters each that
/// is exported, whether or not it has anything to do.
const EXPORTS: &str = include_str!("../../../src/glue/exports.txt");

/// Makes it and says where it is.
pub fn run(_options: &Options) -> Result<()> {
    let dist = build(&folder())?;
    for path in [&dist.module, &dist.named, &dist.sum] {
        let size = fs::metadata(path).context("reading target/dist")?.len();
        println!("{:>9} bytes  {}", size, path.display());
    }
    Ok(())
}

/// `target/dist`
pub fn folder() -> PathBuf {
    workspace::target_dir().join("dist")
}

/// Makes it in a folder.
pub fn build(folder: &Path) -> Result<Dist> {
    const NAME: &str = "backup_sharing_count";
    let whole = fs::read(workspace::filter_module_with_names(Progress::Shown)?)
        .context("reading the module")?;
    let (module, named) = (trimmed(&whole, false)?, trimmed(&whole, true)?);
    let sum: String = Sha256::digest(&module).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::create_dir_all(folder).context("creating target/dist")?;
    let write = |name: String, content: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        anyhow::Ok(path)
    };
    Ok(Dist {
        module: write(format!("{NAME}.wasm"), &module)?,
        named: write(format!("{NAME}.debug.wasm"), &named)?,
        sum: write(format!("{NAME}.wasm.sha256"), format!("{sum}  {NAME}.wasm\n").as_bytes())?,
    })
}

/// A module with no other exports than those, without what only they need, and without custom sections,
/// but for the names if they are wanted.
fn trimmed(wasm: &[u8], names: bool) -> Result<Vec<u8>> {
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
    walrus::passes::gc::run(&mut module);
    Ok(module.emit_wasm())
}
