//! The module as OCI images, in a layout that registries are filled from. Istio's and Envoy Gateway's loaders take either:
//!
//! | reference | what | for |
//! |---|---|---|
//! | `image` | a layer with `/plugin.wasm`, as `docker build --target filter` makes it | everything that reads images |
//! | `artifact` | the module itself as a layer, and what runs it | what reads the module without unpacking one |

use std::io::Write;

use anyhow::Context;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use testkit::Result;

use super::module::Module;
use super::sha256;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The files of a layout, by their paths.
pub fn layout(module: &Module) -> Result<Vec<(String, Vec<u8>)>> {
    let mut blobs = Blobs(Vec::new());
    let image = image(module, &mut blobs)?;
    let artifact = artifact(module, &mut blobs);
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [named(image, "image"), named(artifact, "artifact")],
    });
    let mut files = blobs.0;
    files.push(("oci/index.json".to_owned(), index.to_string().into_bytes()));
    files.push(("oci/oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
    Ok(files)
}

fn image(module: &Module, blobs: &mut Blobs) -> Result<Value> {
    let tar = tar(&module.wasm).context("packing the module")?;
    // The date in gzip's header is 0 unless told otherwise.
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    gzip.write_all(&tar).context("packing the module")?;
    let layer = gzip.finish().context("packing the module")?;
    // Loaders ask for no platform; container engines refuse an image without one.
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&tar))]},
    });
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blobs.json("application/vnd.oci.image.config.v1+json", &config),
        "layers": [blobs.add("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
        "annotations": annotations(module),
    });
    manifest["annotations"]["module.wasm.image/variant"] = "compat".into();
    Ok(blobs.json(MANIFEST, &manifest))
}

fn artifact(module: &Module, blobs: &mut Blobs) -> Value {
    const RUNTIME: &str = "application/vnd.module.wasm.config.v1+json";
    let runtime =
        json!({"type": "envoy_proxy", "abiVersions": ["0.2.1"], "config": {"root_ids": []}});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": RUNTIME,
        "config": blobs.json("application/vnd.oci.empty.v1+json", &json!({})),
        // Loaders count them: two.
        "layers": [
            blobs.json(RUNTIME, &runtime),
            blobs.add("application/vnd.module.wasm.content.layer.v1+wasm", module.wasm.clone()),
        ],
        "annotations": annotations(module),
    });
    blobs.json(MANIFEST, &manifest)
}

/// `/plugin.wasm` alone, with nothing in it that differs from one machine or day to another.
fn tar(wasm: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_path("plugin.wasm")?;
    header.set_size(wasm.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    let mut tar = tar::Builder::new(Vec::new());
    tar.append(&header, wasm)?;
    tar.into_inner()
}

fn annotations(module: &Module) -> Value {
    let mut annotations = json!({
        "org.opencontainers.image.title": module.package.name.as_str(),
        "org.opencontainers.image.description": module.package.description,
        "org.opencontainers.image.licenses": module.package.license,
        "org.opencontainers.image.version": module.package.version.to_string(),
    });
    if let Some(revision) = &module.revision {
        annotations["org.opencontainers.image.revision"] = revision.as_str().into();
    }
    annotations
}

fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    descriptor
}

/// Content under its digest, by the path in the layout.
struct Blobs(Vec<(String, Vec<u8>)>);

impl Blobs {
    /// Adds one and describes it.
    fn add(&mut self, media_type: &str, content: Vec<u8>) -> Value {
        let (digest, size) = (sha256(&content), content.len());
        self.0.push((format!("oci/blobs/sha256/{digest}"), content));
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size})
    }

    fn json(&mut self, media_type: &str, content: &Value) -> Value {
        self.add(media_type, content.to_string().into_bytes())
    }
}
