//! `cargo xtask dist`: what is handed out, the same bytes wherever, whenever and by whomever it is made (RELEASING.md).
//!
//! | module | what lives there |
//! |---|---|
//! | `module` | building the module: all that decides its bytes |
//! | `image` | the module as OCI images |
//! | `components` | what the module is made of: the SBOM and the licences |

mod components;
mod image;
mod module;

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use sha2::{Digest, Sha256};
use testkit::{Result, workspace};

/// Build what is handed out into target/dist: the module, a copy with the names of its functions, OCI images, an SBOM, licences,
/// the JSON Schema of the plugin configuration, and the sums of all
#[derive(Args, Default)]
pub struct Options {
    /// What the module calls its revision [default: git's, with `-dirty` behind it if a file is changed]
    #[arg(long)]
    revision: Option<String>,
    /// Another checkout to build from
    #[arg(long)]
    sources: Option<PathBuf>,
}

/// What Envoy loads.
pub const MODULE: &str = "backup_sharing_count.wasm";
const SCHEMA: &str = "plugin-configuration.schema.json";
const SUMS: &str = "SHA256SUMS";

/// Makes it, and says what and where.
pub fn run(options: &Options) -> Result<()> {
    let folder = build(options)?;
    print!("{}", fs::read_to_string(folder.join(SUMS)).context("reading the sums")?);
    println!("\nAll of it is in {}.", folder.display());
    Ok(())
}

/// Makes it, and says in which folder.
pub fn build(options: &Options) -> Result<PathBuf> {
    let sources = options.sources.clone().unwrap_or_else(workspace::root);
    let sources =
        sources.canonicalize().with_context(|| format!("reading {}", sources.display()))?;
    let module = module::build(&sources, options.revision.clone())?;
    let schema = fs::read(sources.join("docs").join(SCHEMA)).context("reading the JSON Schema")?;
    let mut files = image::layout(&module)?;
    files.extend([
        ("backup_sharing_count.cdx.json".to_owned(), components::sbom(&module)),
        ("LICENSES.txt".to_owned(), components::licences(&module)?),
        (SCHEMA.to_owned(), schema),
        (MODULE.to_owned(), module.wasm),
        ("backup_sharing_count.debug.wasm".to_owned(), module.named),
    ]);
    files.sort();
    let sums = files.iter().map(|(name, content)| format!("{}  {name}\n", sha256(content)));
    let sums = sums.collect::<String>().into_bytes();
    files.push((SUMS.to_owned(), sums));

    let folder = workspace::target_dir().join("dist");
    // A file of an earlier run must not look like one of this run.
    if folder.exists() {
        fs::remove_dir_all(&folder).context("clearing target/dist")?;
    }
    for (name, content) in files {
        let path = folder.join(name);
        let parent = path.parent().context("a file without a folder")?;
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, content))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    folder.canonicalize().context("reading target/dist")
}

/// As `sha256sum` and OCI write it.
fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
