//! The filter without one of the things that make it fast, each built from altered sources, so that
//! what a thing is worth is measured and not remembered.

use testkit::Result;
use testkit::altered::{Alteration, Replacement};

use super::bench::{Contender, Modules};
use super::plan::Setup;

const CALLBACKS: &str = "src/glue/callbacks.rs";

macro_rules! replaced {
    ($name:literal, $file:expr, $from:literal, $to:literal $(,)?) => {
        Alteration {
            name: $name,
            replacements: &[Replacement { file: $file, from: $from, to: $to }],
            arguments: &[],
        }
    };
}

/// The cases in which they are measured, with few headers, unless others are named: the shortest way
/// through the filter and the longest.
pub const CASES: [&str; 2] = ["method", "count"];

/// All of them. A replaced text that moved on is an error of the measurement, and of a test.
pub static VARIANTS: &[Alteration] = &[
    Alteration {
        name: "opt-level-s",
        replacements: &[],
        arguments: &["--config", "profile.release.opt-level=\"s\""],
    },
    Alteration {
        name: "no-lto",
        replacements: &[],
        arguments: &[
            "--config",
            "profile.release.lto=false",
            "--config",
            "profile.release.codegen-units=16",
        ],
    },
    Alteration {
        name: "simd",
        replacements: &[],
        arguments: &["--config", "target.wasm32-wasip1.rustflags=[\"-Ctarget-feature=+simd128\"]"],
    },
    // The path by itself, then the whole head.
    replaced!("path-first", CALLBACKS, "SMALL_HEAD: usize = 56", "SMALL_HEAD: usize = 0"),
    // The host's bytes from the allocator.
    replaced!("no-scratch", "src/glue/scratch.rs", "SIZE: usize = 8 * 1024", "SIZE: usize = 0"),
    // Header fields for the host in memory of their own.
    replaced!("no-reuse", "src/glue/map.rs", "ORDINARY: usize = 8 * 1024", "ORDINARY: usize = 0"),
    // The whole head of the store's answer.
    replaced!(
        "answer-head",
        "src/store/outcome.rs",
        "matches!(status, b\"401\" | b\"407\" | b\"429\" | b\"503\")",
        "!status.is_empty()",
    ),
    // serde_json for every answer.
    replaced!(
        "serde-count",
        "src/store/answer.rs",
        "plain_count(body).or_else(||",
        "plain_count(&[]).or_else(||",
    ),
    // Two callbacks that Envoy enters for each request and that have nothing to do.
    replaced!(
        "idle-callbacks",
        CALLBACKS,
        "/// A callout has ended.",
        "#[unsafe(no_mangle)]
extern \"C\" fn proxy_on_log(_context: u32) {}
#[unsafe(no_mangle)]
extern \"C\" fn proxy_on_response_headers(_context: u32, _fields: usize, _end: u32) -> u32 {
    CONTINUE
}
/// A callout has ended.",
    ),
];

/// All of them, as who is measured.
pub fn contenders() -> impl Iterator<Item = Contender> {
    VARIANTS.iter().map(|variant| Contender::Variant(variant.name))
}

/// Builds ours, and those among the contenders.
pub fn build(setups: &[Setup]) -> Result<Modules> {
    let mut modules = Modules::ours()?;
    for variant in VARIANTS {
        let contender = Contender::Variant(variant.name);
        if setups.iter().any(|setup| setup.contenders.contains(&contender)) {
            eprintln!("   building {} …", variant.name);
            modules.variants.insert(variant.name, variant.build()?);
        }
    }
    Ok(modules)
}
