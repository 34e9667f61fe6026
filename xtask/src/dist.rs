//! `cargo xtask dist`: the module as it is handed out.
//!
//! It is built once, with the names of its functions. The copy without them is what Envoy loads;
//! the other turns the numbers of a trap's backtrace into names.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use sha2::{Digest, Sha256};
use testkit::Progress;
use testkit::{Error, Result, workspace};
use wasm_encoder::{Module, RawSection};
use wasmparser::{Parser, Payload};

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

/// Makes it and says where it is.
pub fn run(_options: &Options) -> Result<()> {
    let dist = build(&workspace::target_dir().join("dist"))?;
    for path in [&dist.module, &dist.named, &dist.sum] {
        let size = fs::metadata(path).map_err(Error::while_doing("read target/dist"))?.len();
        println!("{:>9} bytes  {}", size, path.display());
    }
    Ok(())
}

/// Makes it in a folder.
pub fn build(folder: &Path) -> Result<Dist> {
    const NAME: &str = "backup_sharing_count";
    let named = workspace::filter_module_with_names(Progress::Shown)?;
    let named = fs::read(named).map_err(Error::while_doing("read the module"))?;
    let module = without_custom_sections(&named)?;
    let sum: String = Sha256::digest(&module).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::create_dir_all(folder).map_err(Error::while_doing("create target/dist"))?;
    let write = |name: String, content: &[u8]| {
        let path = folder.join(name);
        let failed = Error::while_doing(format!("write {}", path.display()));
        fs::write(&path, content).map_err(failed)?;
        Ok(path)
    };
    Ok(Dist {
        module: write(format!("{NAME}.wasm"), &module)?,
        named: write(format!("{NAME}.debug.wasm"), &named)?,
        sum: write(format!("{NAME}.wasm.sha256"), format!("{sum}  {NAME}.wasm\n").as_bytes())?,
    })
}

/// The module without names, producers and whatever else does not run. Envoy reads one custom
/// section only, of modules compiled ahead of time, and this is none.
fn without_custom_sections(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(Error::while_doing("read the module"))?;
        if let Payload::CustomSection(_) = payload {
            continue;
        }
        if let Some((id, range)) = payload.as_section() {
            let data = wasm.get(range).unwrap_or_default();
            module.section(&RawSection { id, data });
        }
    }
    Ok(module.finish())
}
