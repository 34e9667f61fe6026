//! The table and indexes that a load makes (docs/decisions/2026-11-26-postgresql.md has what was measured).

use crate::columns::{COLUMNS, Column, Index, found_by};

/// The table, if nothing else is said.
pub(crate) const TABLE: &str = "backup_sharing";

/// The column with the name in lower case, as ASCII knows it.
pub(crate) const FOLDED: &str = "name_folded";

/// The index that keeps an id from being there twice.
pub(crate) const BY_ID: &str = "backup_sharing_by_id";

/// The sides of a sharing: a project's own, the other one, and what an index of that side is called.
const SIDES: [(&str, &str, &str); 2] = [
    ("from_project_id", "to_project_id", "from_by"),
    ("to_project_id", "from_project_id", "to_by"),
];

/// How a load's transaction begins. Loads wait for each other, so that one of them makes the table.
pub(crate) const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = 0; \
    SELECT pg_advisory_xact_lock(hashtext('backup_sharing'))";

/// The statement that makes the table, and the one index that names a row whose id is there already.
pub(crate) fn table() -> String {
    let columns = COLUMNS.each_ref().map(|column| match column.is_uuid() {
        true => format!("{} uuid NOT NULL", column.name),
        false => format!("{} text COLLATE \"C\" NOT NULL", column.name),
    });
    let names = COLUMNS.iter().map(|column| column.name).chain([FOLDED]);
    // Without figures of its values, every column is alike to the planner, whatever the projects' sizes: averages mislead it.
    let alike: Vec<String> = names.map(|name| format!("ALTER {name} SET STATISTICS 0")).collect();
    let [(_, by_id), ..] = &indexes()[..] else { return String::new() };
    format!(
        "CREATE TABLE {TABLE} ({}, {FOLDED} text COLLATE \"C\" NOT NULL GENERATED ALWAYS AS (lower(name)) STORED); \
         ALTER TABLE {TABLE} {}; {by_id}",
        columns.join(", "),
        alike.join(", ")
    )
}

/// The indexes: the name of each, and the statement that makes it if it is not there. The first is of the ids.
///
/// Each holds its side, its column, and all columns that leave more rows than this one does, so that every set of filters is
/// answered from one index alone: that of the filter that leaves the fewest.
pub(crate) fn indexes() -> Vec<(String, String)> {
    let mut indexes = Vec::new();
    let mut add = |unique: &str, name: &str, columns: &[&str]| {
        let (name, columns) = (format!("{TABLE}_{name}"), columns.join(", "));
        let make = format!("CREATE {unique}INDEX IF NOT EXISTS {name} ON {TABLE} ({columns})");
        indexes.push((name, make));
    };
    add("UNIQUE ", "by_id", &["id"]);
    let few: Vec<&str> = found_by(Index::FewRows).collect();
    let many: Vec<&str> = found_by(Index::ManyRows).chain([FOLDED]).collect();
    add("", "by_projects", &[&["from_project_id", "to_project_id"], &many[..]].concat());
    for (side, other, prefix) in SIDES {
        for (at, column) in few.iter().enumerate() {
            let rest = few.get(at..).unwrap_or_default();
            let columns = [&[side, column, other], rest.get(1..).unwrap_or_default(), &many[..]];
            add("", &format!("{prefix}_{}", Column::short(column)), &columns.concat());
        }
        for (at, column) in found_by(Index::ManyRows).enumerate() {
            let rest = many.get(at..).unwrap_or_default();
            add("", &format!("{prefix}_{}", Column::short(column)), &[&[side], rest].concat());
        }
    }
    indexes
}

/// What a session is told that counts in a table of ours: to use the indexes, and not to think about it again.
pub const SETTINGS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
    SET enable_bitmapscan = off; SET jit = off; SET max_parallel_workers_per_gather = 0";

/// What makes the rows of a load quick to count.
pub(crate) fn tidy() -> String {
    format!("VACUUM (ANALYZE) {TABLE}")
}
