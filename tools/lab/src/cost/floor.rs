//! The least that a wasm filter can cost: `floor.wat`, filled in for a case.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use minijinja::{Environment, Value, context};
use testkit::wasm::header_map::encode;
use testkit::workspace;

use super::config::Answer;
use super::requests::{Case, End};

/// Writes the module for a case that ends in this answer, and returns the file.
pub fn build(case: &Case, answer: &Answer) -> Result<PathBuf> {
    let asked = [
        (":method", "GET"),
        (":path", case.path()),
        (":authority", "store"),
        ("accept", "application/json"),
    ];
    let headers: Vec<_> = answer.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    let text = Environment::new().render_str(
        include_str!("floor.wat"),
        context! {
            status => answer.status,
            asked => bytes(&encode(&asked)),
            headers => bytes(&encode(&headers)),
            body => bytes(answer.body.as_bytes()),
            end => match case.end {
                End::Rejected => "rejected",
                End::Counted => "counted",
                End::Passed => "passed",
            },
        },
    )?;
    let module = wat::parse_str(text).context("building the floor")?;
    let file = workspace::target_dir().join(format!("lab/floor_{}.wasm", case.name));
    fs::create_dir_all(file.with_file_name(""))?;
    fs::write(&file, module).with_context(|| format!("writing {}", file.display()))?;
    Ok(file)
}

/// As a string of wasm's text format, and its length.
fn bytes(bytes: &[u8]) -> Value {
    let text: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    context! { text, length => bytes.len() }
}
