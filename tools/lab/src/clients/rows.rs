//! The store's rows, counted here without its help.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::workspace;

use super::folder;

/// Whose client asks.
pub const PROJECT: &str = "17fbda95add24720a4038ba4b1c705ed";

/// The columns of both files, in order.
const COLUMNS: &str =
    "id,backup_id,from_project_id,to_project_id,name,status,volume_id,availability_zone";

/// The rows of both files.
pub struct Rows(Vec<Vec<String>>);

/// The files: the demo's, and names that are hard to put into a query.
pub fn files() -> [PathBuf; 2] {
    [workspace::root().join("demo/sharings.csv"), folder().join("sharings.csv")]
}

impl Rows {
    /// Reads them.
    pub fn read() -> Result<Self> {
        let mut rows = Vec::new();
        for path in files() {
            let text = fs::read_to_string(&path);
            let text = text.with_context(|| format!("read {}", path.display()))?;
            let mut lines = text.lines();
            let plain = lines.next() == Some(COLUMNS) && !text.contains('"');
            ensure!(plain, "{} is no longer as plain as it was", path.display());
            rows.extend(lines.map(|line| line.split(',').map(str::to_owned).collect()));
        }
        Ok(Self(rows))
    }

    /// How many fit these filters.
    pub fn count(&self, filters: &Value) -> u64 {
        self.0.iter().filter(|row| fits(row, filters)).count() as u64
    }
}

fn fits(row: &[String], filters: &Value) -> bool {
    let field = |name: &str| {
        let name = name.replace("avalilability", "availability");
        let at = COLUMNS.split(',').position(|column| column == name);
        at.and_then(|at| row.get(at)).map_or("", String::as_str)
    };
    let to_me = filters["share_to_me"] == true;
    field(if to_me { "to_project_id" } else { "from_project_id" }) == PROJECT
        && filters.as_object().into_iter().flatten().all(|(name, value)| {
            let value = value.as_str().unwrap_or_default();
            match name.as_str() {
                "share_to_me" => true,
                "name" => field(name).to_ascii_lowercase().contains(&value.to_ascii_lowercase()),
                "status" => field(name).eq_ignore_ascii_case(value),
                _ => field(name) == value,
            }
        })
}
