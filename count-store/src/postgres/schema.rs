//! The schema, and its one statement more than SQLite's: a name in lower case, which an index can hold.

use crate::columns::{COLUMNS, Index, found_by};

/// The table, if nothing else is said.
pub(crate) const TABLE: &str = "backup_sharing";

/// The column with the name in lower case, as ASCII knows it.
pub(crate) const FOLDED: &str = "name_folded";

/// How a load's transaction begins. Loads wait for each other, so that one of them makes the table.
pub(crate) const BEGIN: &str = "BEGIN; \
    SET LOCAL statement_timeout = 0; \
    SET LOCAL maintenance_work_mem = '256MB'; \
    SELECT pg_advisory_xact_lock(hashtext('backup_sharing'))";

/// The statement that makes the table, and the one index that a load needs to name a row.
pub(crate) fn table() -> String {
    let columns = COLUMNS.each_ref().map(|column| match column.is_uuid() {
        true => format!("{} uuid NOT NULL", column.name),
        false => format!("{} text COLLATE \"C\" NOT NULL", column.name),
    });
    format!(
        "CREATE TABLE {TABLE} ({}, {FOLDED} text COLLATE \"C\" GENERATED ALWAYS AS (lower(name)) STORED); \
         CREATE UNIQUE INDEX {TABLE}_by_id ON {TABLE} (id)",
        columns.join(", ")
    )
}

/// The statements that make the indexes, those that are not there yet.
pub(crate) fn indexes() -> String {
    let mut statements =
        vec![format!("CREATE UNIQUE INDEX IF NOT EXISTS {TABLE}_by_id ON {TABLE} (id)")];
    let mut many: Vec<&str> = found_by(Index::ManyRows).collect();
    many.push(FOLDED);
    let mut add = |name: &str, columns: &[&str]| {
        statements.push(format!(
            "CREATE INDEX IF NOT EXISTS {TABLE}_{name} ON {TABLE} ({})",
            columns.join(", ")
        ));
    };
    add("by_projects", &[&["from_project_id", "to_project_id"], &many[..]].concat());
    for (side, prefix) in [("from_project_id", "from_by"), ("to_project_id", "to_by")] {
        for column in found_by(Index::FewRows) {
            add(&format!("{prefix}_{column}"), &[side, column]);
        }
        for (at, column) in found_by(Index::ManyRows).enumerate() {
            let rest = many.get(at..).unwrap_or_default();
            add(&format!("{prefix}_{column}"), &[&[side], rest].concat());
        }
    }
    statements.join("; ")
}

/// What makes the rows of a load quick to count.
pub(crate) fn tidy() -> String {
    format!("VACUUM (ANALYZE) {TABLE}")
}
