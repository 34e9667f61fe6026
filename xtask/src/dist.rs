//! `cargo xtask dist`: the module as it is handed out.
//!
//! It is built once, with the names of its functions, and optimised by Binaryen's wasm-opt where there is
//! one. The copy without names is what Envoy loads; the other turns the numbers of a trap's backtrace
//! into names.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    let named = match optimise(&named)? {
        Some(optimised) => optimised,
        None => {
            eprintln!(
                "There is no wasm-opt on the PATH: the module is a tenth larger than it could be. \
                 Debian and Homebrew have it in the package binaryen."
            );
            named
        }
    };
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

/// What wasm-opt makes of a module, beside it; names are kept. `None` if there is no wasm-opt.
fn optimise(module: &Path) -> Result<Option<PathBuf>> {
    // What rustc uses. wasm-opt would take it from the module, but an older one does not know all of
    // the names there.
    const FEATURES: [&str; 6] = [
        "--enable-bulk-memory",
        "--enable-multivalue",
        "--enable-mutable-globals",
        "--enable-nontrapping-float-to-int",
        "--enable-reference-types",
        "--enable-sign-ext",
    ];
    let optimised = module.with_extension("opt.wasm");
    let mut wasm_opt = Command::new("wasm-opt");
    wasm_opt.args(FEATURES).args(["-O3", "-g"]).arg(module).arg("-o").arg(&optimised);
    match wasm_opt.status() {
        Ok(status) if status.success() => Ok(Some(optimised)),
        Ok(status) => Err(Error::new(format!("wasm-opt failed ({status}); it says why above."))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::while_doing("run wasm-opt")(error)),
    }
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
