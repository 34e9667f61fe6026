//! From sections to `docs/performance.md` and `docs/performance.json`.
//!
//! Each section is also kept under `target/bench/`, so that one part can be measured again without
//! the others; the documents are put together from what is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use testkit::{Error, Result, workspace};

use crate::parts::PARTS;
use crate::{Options, Part, Section};

/// What stands above the sections.
const PREFACE: &str = include_str!("preface.md");

/// What stands below them.
const REST: &str = include_str!("where-the-rest-goes.md");

/// Runs the parts of these names, or all, and prints their sections. Keeps them if they are
/// complete.
///
/// # Errors
/// If a part could not be measured. A target that was missed is none: it is said on standard
/// error and shown in the section.
pub fn run(options: &Options, names: &[String]) -> Result<()> {
    let mut errors = Vec::new();
    for part in PARTS {
        if !names.is_empty() && !names.iter().any(|name| name == part.name) {
            continue;
        }
        eprintln!("== {} …", part.name);
        let section = match (part.run)(options) {
            Ok(section) => section,
            Err(error) => {
                errors.push(format!("{}: {error}", part.name));
                continue;
            }
        };
        println!("## {}\n\n{}\n", part.title, section.text.trim_end());
        for missed in &section.missed {
            eprintln!("MISSED: {missed}");
        }
        for (name, svg) in &section.charts {
            write(&folder()?.join(name), svg)?;
        }
        if options.are_complete() {
            keep(part, &section)?;
        }
    }
    if options.are_complete() {
        write_documents()?;
    }
    match errors.as_slice() {
        [] => Ok(()),
        errors => Err(Error::new(errors.join("\n"))),
    }
}

/// `target/bench/`.
fn folder() -> Result<PathBuf> {
    let folder = workspace::target_dir().join("bench");
    let made = fs::create_dir_all(&folder);
    made.map_err(Error::while_doing(format!("make {}", folder.display())))?;
    Ok(folder)
}

fn keep(part: &Part, section: &Section) -> Result<()> {
    let folder = folder()?;
    let (command, date) = (format!("cargo xtask bench {}", part.name), today());
    let text =
        format!("## {}\n\n`{command}`, {date}.\n\n{}\n", part.title, section.text.trim_end());
    write(&folder.join(format!("{}.md", part.name)), &text)?;
    let data = json!({"command": command, "date": date, "data": section.data});
    write(&folder.join(format!("{}.json", part.name)), &data.to_string())?;
    for (name, svg) in &section.charts {
        write(&workspace::root().join("docs").join(name), svg)?;
    }
    Ok(())
}

/// Puts the documents together, unless a section is missing that they need.
fn write_documents() -> Result<()> {
    let (mut document, mut data) = (PREFACE.to_owned(), Map::new());
    let folder = folder()?;
    for part in PARTS {
        let kept = |kind: &str| folder.join(format!("{}.{kind}", part.name));
        let kept = fs::read_to_string(kept("md")).ok().zip(read_json(&kept("json")));
        let Some((text, json)) = kept else {
            if part.optional {
                document.push_str(&format!("\n## {}\n\nNot measured here.\n", part.title));
                continue;
            }
            eprintln!("docs/performance.md is not written: `{}` was not run yet.", part.name);
            return Ok(());
        };
        document.push('\n');
        document.push_str(&text);
        data.insert(part.name.to_owned(), json);
    }
    document.push('\n');
    document.push_str(REST);
    let docs = workspace::root().join("docs");
    write(&docs.join("performance.md"), &document)?;
    // A line for each part.
    let lines = data.iter().map(|(name, json)| format!("{}: {json}", Value::from(name.as_str())));
    let json = format!("{{\n{}\n}}\n", lines.collect::<Vec<_>>().join(",\n"));
    write(&docs.join("performance.json"), &json)
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::while_doing(format!("write {}", path.display())))
}

/// Today, as in `23 Nov 2026`.
fn today() -> String {
    let now = httpdate::fmt_http_date(SystemTime::now());
    now.get(5..16).unwrap_or_default().to_owned()
}
