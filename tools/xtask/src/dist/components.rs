//! What the module is made of: the SBOM, in CycloneDX's JSON, and the licences.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context;
use cargo_metadata::Package;
use serde_json::{Value, json};
use testkit::Result;

use super::module::Module;
use super::sha256;

/// The licence of Rust's standard library, which is no package of Cargo.
const RUST: &str = "MIT OR Apache-2.0";

/// The SBOM. No serial number and no date: they would differ each time.
pub fn sbom(module: &Module) -> Vec<u8> {
    let mut own = component(&module.package);
    own["hashes"] = json!([{"alg": "SHA-256", "content": sha256(&module.wasm)}]);
    if let Some(revision) = &module.revision {
        own["properties"] = json!([{"name": "revision", "value": revision}]);
    }
    let std = json!({
        "type": "library",
        "bom-ref": "rust-std",
        "name": "rust-std",
        "version": module.rust,
        "licenses": [{"expression": RUST}],
    });
    let sbom = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": own},
        "components": module.dependencies.iter().map(component).chain([std]).collect::<Vec<_>>(),
    });
    format!("{sbom:#}\n").into_bytes()
}

fn component(package: &Package) -> Value {
    let purl = format!("pkg:cargo/{}@{}", package.name, package.version);
    json!({
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "licenses": [{"expression": expression(package)}],
        "purl": purl,
    })
}

/// The licence of each package, then each text that they come with, once.
pub fn licences(module: &Module) -> Result<Vec<u8>> {
    let mut list = format!("rust-std {}: {RUST}\n", module.rust);
    let mut texts = BTreeMap::<String, Vec<String>>::new();
    for package in [&module.package].into_iter().chain(&module.dependencies) {
        let name = format!("{} {}", package.name, package.version);
        list.push_str(&format!("{name}: {}\n", expression(package)));
        // A member of the workspace has its licence there.
        let folder = package.manifest_path.parent().context("a package without a folder")?;
        for entry in fs::read_dir(folder).with_context(|| format!("reading {folder}"))? {
            let path = entry?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
            if ["LICEN", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"]
                .iter()
                .any(|begin| file.starts_with(begin))
                && path.is_file()
            {
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("reading {}", path.display()))?;
                texts.entry(text.trim().replace("\r\n", "\n")).or_default().push(name.clone());
            }
        }
    }
    let texts = texts.iter().map(|(text, of)| format!("\n---- {}\n\n{text}\n", of.join(", ")));
    Ok((list + &texts.collect::<String>()).into_bytes())
}

/// The licence as SPDX writes it; older packages have a `/` for `OR`.
fn expression(package: &Package) -> String {
    package.license.as_deref().unwrap_or("NOASSERTION").replace('/', " OR ")
}
