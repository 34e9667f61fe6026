//! `cargo xtask dist` as somebody runs it, read by programs and libraries that others wrote. `.ci/run` holds the module that it
//! makes to the contract's cases.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use cyclonedx_bom::models::bom::Bom;
use cyclonedx_bom::validation::Validate;
use serde_json::Value;
use testkit::debian::SKOPEO;
use testkit::workspace;
use wasmparser::{Parser, Payload};

/// `target/dist`, made once for all tests.
static DIST: LazyLock<PathBuf> = LazyLock::new(|| {
    let made = dist().status().unwrap();
    assert!(made.success());
    workspace::target_dir().join("dist")
});

fn dist() -> Command {
    let mut dist = Command::new(env!("CARGO_BIN_EXE_xtask"));
    dist.arg("dist");
    dist
}

fn made(name: &str) -> Vec<u8> {
    fs::read(DIST.join(name)).unwrap()
}

fn module() -> Vec<u8> {
    made("backup_sharing_count.wasm")
}

/// What a program says, which must succeed.
fn said(command: &mut Command) -> String {
    let Output { status, stdout, .. } = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(status.success(), "{command:?}: {status}");
    String::from_utf8(stdout).unwrap()
}

fn program(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A module's custom sections, and the bytes of its code.
fn read(wasm: &[u8]) -> (BTreeMap<String, Vec<u8>>, Vec<u8>) {
    let (mut custom, mut code) = (BTreeMap::new(), Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.unwrap() {
            Payload::CustomSection(section) => {
                custom.insert(section.name().to_owned(), section.data().to_vec());
            }
            Payload::CodeSectionStart { range, .. } => code = wasm[range].to_vec(),
            _ => {}
        }
    }
    (custom, code)
}

/// The revision that the module names.
fn revision() -> Option<String> {
    read(&module()).0.remove("revision").map(|revision| String::from_utf8(revision).unwrap())
}

/// In the custom sections that `wasm-tools metadata` reads.
#[test]
fn the_module_says_what_it_is_and_its_copy_has_names() {
    let (custom, code) = read(&module());
    let (mut named, same_code) = read(&made("backup_sharing_count.debug.wasm"));
    assert!(named.remove("name").is_some() && named == custom, "{named:?}, {custom:?}");
    assert!(!code.is_empty() && code == same_code, "the named copy has other code");

    assert_eq!(custom["version"], env!("CARGO_PKG_VERSION").as_bytes());
    let mut git = Command::new("git");
    let head = git.args(["rev-parse", "HEAD"]).current_dir(workspace::root());
    let expected = workspace::root().join(".git").exists().then(|| said(head).trim().to_owned());
    let revision = revision();
    let clean = revision.as_deref().map(|revision| revision.trim_end_matches("-dirty"));
    assert_eq!(clean, expected.as_deref());
    let in_code = revision.is_none_or(|revision| {
        module().windows(revision.len()).filter(|bytes| *bytes == revision.as_bytes()).count() == 2
    });
    assert!(in_code, "the start-up line does not name the revision");
}

#[test]
fn the_sums_are_those_of_all_that_was_made() {
    said(Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&*DIST));
    let files = said(Command::new("find").args([".", "-type", "f"]).current_dir(&*DIST));
    let sums = String::from_utf8(made("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count() + 1, files.lines().count(), "{files}");
}

/// A module as Istio (pkg/wasm/imagefetcher.go) and Envoy Gateway (internal/wasm/imagefetcher.go) look for it: in a layer of the
/// last place, or as one of two layers.
#[test]
fn loaders_find_the_module_in_both_images() {
    let folder = tempfile::tempdir().unwrap();
    let fetch = |name: &str| {
        let copy = folder.path().join(name);
        let mut skopeo = SKOPEO.command().unwrap();
        skopeo.args(["--insecure-policy", "copy"]);
        skopeo.arg(format!("oci:{}:{name}", DIST.join("oci").display()));
        said(skopeo.arg(format!("dir:{}", copy.display())));
        let manifest: Value =
            serde_json::from_slice(&fs::read(copy.join("manifest.json")).unwrap()).unwrap();
        let layers = manifest["layers"].as_array().unwrap().clone();
        let file = move |layer: &Value| {
            copy.join(layer["digest"].as_str().unwrap().trim_start_matches("sha256:"))
        };
        (manifest, layers, file)
    };

    let (manifest, layers, file) = fetch("image");
    assert_ne!(manifest["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
    let last = layers.last().unwrap();
    assert_eq!(last["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    let mut tar = Command::new("tar");
    let unpacked = tar.arg("-xzOf").arg(file(last)).arg("plugin.wasm").output().unwrap();
    assert!(unpacked.stdout == module(), "another module");
    let mut skopeo = SKOPEO.command().unwrap();
    let about =
        said(skopeo.arg("inspect").arg(format!("oci:{}:image", DIST.join("oci").display())));
    assert!(about.contains("\"Os\": \"linux\""), "{about}");

    let (_, layers, file) = fetch("artifact");
    assert_ne!(
        layers.last().unwrap()["mediaType"],
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "it would be read as the other one"
    );
    assert_eq!(layers.len(), 2);
    const MODULE: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
    let raw = layers.iter().find(|layer| layer["mediaType"] == MODULE).unwrap();
    assert!(fs::read(file(raw)).unwrap() == module(), "another module");
}

/// Cargo's own list, which is made in another way.
#[test]
fn the_sbom_and_the_licences_name_each_package_in_the_module() {
    let mut tree = Command::new("cargo");
    tree.args(["tree", "--locked", "--package", "backup-sharing-count", "--prefix", "none"]);
    tree.args(["--target", "wasm32-wasip1", "--edges", "normal,no-proc-macro"]);
    let tree = said(tree.args(["--format", "{p}|{l}"]).current_dir(workspace::root()));
    let mut expected: BTreeSet<_> = tree
        .lines()
        .map(|line| {
            let (package, licence) = line.trim_end_matches(" (*)").split_once('|').unwrap();
            let mut words = package.split(' ');
            let (name, version) = (words.next().unwrap(), words.next().unwrap());
            let licence = licence.replace('/', " OR ");
            format!("{name} {}: {licence}", version.trim_start_matches('v'))
        })
        .collect();
    let licences = String::from_utf8(made("LICENSES.txt")).unwrap();
    for line in &expected {
        assert!(licences.lines().any(|listed| listed == line), "{line}");
    }
    let own = concat!("backup-sharing-count ", env!("CARGO_PKG_VERSION"), ": Apache-2.0");
    assert!(expected.remove(own), "{expected:?}");

    let sbom = Bom::parse_from_json(&*made("backup_sharing_count.cdx.json")).unwrap();
    let validity = sbom.validate();
    assert!(validity.passed(), "{validity:?}");
    assert!(sbom.serial_number.is_none());
    let listed = sbom.components.unwrap().0.into_iter().map(|component| {
        let licences = component.licenses.unwrap();
        let [cyclonedx_bom::models::license::LicenseChoice::Expression(licence)] = &licences.0[..]
        else {
            panic!("{licences:?}")
        };
        format!("{} {}: {licence}", component.name, component.version.unwrap())
    });
    let mut listed: BTreeSet<_> = listed.collect();
    assert!(listed.remove("rust-std 1.95.0: MIT OR Apache-2.0"), "{listed:?}");
    assert_eq!(listed, expected);
}

#[test]
fn another_folder_home_day_and_configuration_make_the_same_bytes() {
    let elsewhere = tempfile::tempdir().unwrap();
    let at = |path: &str| elsewhere.path().join(path);
    let sources = at("a folder whose name is longer/sources");
    fs::create_dir_all(&sources).unwrap();
    // As if unpacked on another day.
    let mut pack = Command::new("tar");
    pack.args(["--exclude=target", "--exclude=.git", "--mtime=@86400", "-cf"])
        .arg(at("sources.tar"));
    said(pack.arg(".").current_dir(workspace::root()));
    said(Command::new("tar").arg("-xf").arg(at("sources.tar")).current_dir(&sources));

    // What another person may have set.
    fs::create_dir_all(at(".cargo")).unwrap();
    let configuration = "[profile.release]\nopt-level = 1\noverflow-checks = true\n\
        [build]\nrustflags = [\"-Cdebuginfo=2\"]\n\
        [target.wasm32-wasip1]\nrustflags = [\"-Ctarget-feature=+simd128\"]\n";
    fs::write(at(".cargo/config.toml"), configuration).unwrap();
    let home = PathBuf::from(env::var_os("HOME").unwrap());
    let theirs = |variable: &str, default: &str| {
        env::var_os(variable).map_or_else(|| home.join(default), PathBuf::from)
    };
    let cargo_home = theirs("CARGO_HOME", ".cargo");
    fs::create_dir_all(at("home/of another/cargo")).unwrap();
    for name in ["config.toml", "registry"] {
        if cargo_home.join(name).exists() {
            symlink(cargo_home.join(name), at("home/of another/cargo").join(name)).unwrap();
        }
    }
    // A compiler beside the sources of its library, as editors want them. It finds them from where it is itself.
    let mut rustc = Command::new("rustc");
    let sysroot = said(rustc.args(["--print", "sysroot"]).current_dir(workspace::root()));
    let entries = |folder: &str| {
        let folder = Path::new(sysroot.trim()).join(folder);
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())
    };
    for folder in ["bin", "lib", "lib/rustlib/src/rust/library/std/src"] {
        fs::create_dir_all(at("sysroot").join(folder)).unwrap();
    }
    fs::write(at("sysroot/lib/rustlib/src/rust/library/std/src/lib.rs"), "").unwrap();
    for path in entries("lib/rustlib").filter(|path| !path.ends_with("src")) {
        symlink(&path, at("sysroot/lib/rustlib").join(path.file_name().unwrap())).unwrap();
    }
    for path in entries("bin").chain(entries("lib")).filter(|path| path.is_file()) {
        let folder = path.parent().unwrap().file_name().unwrap();
        let copy = at("sysroot").join(folder).join(path.file_name().unwrap());
        fs::hard_link(&path, &copy).or_else(|_| fs::copy(&path, &copy).map(drop)).unwrap();
    }
    let path = env::split_paths(&env::var_os("PATH").unwrap()).collect::<Vec<_>>();
    let path = env::join_paths([at("sysroot/bin")].into_iter().chain(path)).unwrap();

    let mut other = dist();
    // Cargo tells tests of the library of its own compiler.
    other.env("PATH", path).env_remove("LD_LIBRARY_PATH");
    other.arg("--sources").arg(&sources);
    other.args(revision().iter().flat_map(|revision| ["--revision", revision]));
    other.env("HOME", at("home")).env("CARGO_HOME", at("home/of another/cargo"));
    other.env("RUSTUP_HOME", theirs("RUSTUP_HOME", ".rustup"));
    other.env("CARGO_TARGET_DIR", at("target"));
    for (name, value) in [
        ("USER", "other"),
        ("TZ", "Asia/Tokyo"),
        ("SOURCE_DATE_EPOCH", "86400"),
        ("RUSTFLAGS", "-Copt-level=1"),
        ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
        ("CARGO_INCREMENTAL", "1"),
    ] {
        other.env(name, value);
    }
    said(&mut other);
    let theirs = fs::read_to_string(at("target/dist/SHA256SUMS")).unwrap();
    assert_eq!(theirs, String::from_utf8(made("SHA256SUMS")).unwrap());
}

#[test]
fn another_rust_and_a_missing_git_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let sources = folder.path();
    let pinned = workspace::root().join("rust-toolchain.toml");
    fs::copy(pinned, sources.join("rust-toolchain.toml")).unwrap();
    fs::create_dir(sources.join(".git")).unwrap();
    let refusal = |release: &str| {
        let about = format!("echo release: {release}; echo commit-hash: 0");
        program(&sources.join("rustc"), &format!("#!/bin/sh\n{about}\n"));
        let output = dist().arg("--sources").arg(sources).env("PATH", sources).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = refusal("1.94.0");
    assert!(said.contains("names Rust 1.95.0") && said.contains("release: 1.94.0"), "{said}");
    let said = refusal("1.95.0");
    assert!(said.contains("`git` is needed"), "{said}");
}
