//! The filter without one of the things that make it fast, each built from altered sources, so that
//! what a thing is worth is measured and not remembered.

use std::path::PathBuf;

use testkit::Result;
use testkit::altered::Alteration;

use super::bench::Contender;

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
];

/// Builds those among the contenders.
pub fn build(contenders: &[Contender]) -> Result<Vec<(Contender, PathBuf)>> {
    let mut built = Vec::new();
    for variant in VARIANTS {
        let contender = Contender::Variant(variant.name);
        if contenders.contains(&contender) {
            eprintln!("   building {} …", variant.name);
            built.push((contender, variant.build()?));
        }
    }
    Ok(built)
}
