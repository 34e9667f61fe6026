//! Every call is answered from an index on the path's project: no shape of
//! filters reads a row that the project has no part in.

#![cfg(test)]

mod common;

use std::collections::HashSet;

use backup_sharing_count::filters::{Domain, FILTERS};
use common::{Folder, PATH, csv, uuid};
use count_store::columns::{COLUMNS, Index, found_by};
use count_store::sql::Statement;
use rusqlite::{Connection, params_from_iter};

/// The statements of every side with every set of filters.
fn statements() -> Vec<(&'static str, Statement)> {
    let shapes = 0..1_u32 << FILTERS.len();
    let statement = |shape: u32| {
        let given = FILTERS.iter().enumerate().filter(|(bit, _)| shape & (1 << bit) != 0);
        let query: Vec<String> = given
            .map(|(_, filter)| {
                let value = match filter.domain {
                    Domain::Boolean => "true".to_owned(),
                    Domain::Uuid => uuid(1),
                    Domain::Text => "a".to_owned(),
                    Domain::Status => "available".to_owned(),
                    Domain::Project => "p2".to_owned(),
                };
                format!("{}={value}", filter.name)
            })
            .collect();
        let query = query.join("&");
        let side = if query.contains("share_to_me") { "to_project_id" } else { "from_project_id" };
        (side, common::statement(&format!("{PATH}?{query}")))
    };
    shapes.map(statement).collect()
}

#[test]
fn every_shape_searches_an_index_by_the_projects_side() {
    let folder = Folder::new();
    folder.fill(&csv(0, 100));
    let database = Connection::open(folder.database()).unwrap();
    let statements = statements();
    let texts: HashSet<&str> = statements.iter().map(|(_, one)| one.text.as_str()).collect();
    assert_eq!(texts.len(), 1 << FILTERS.len(), "2 sides, and each set of the other filters");
    for (side, Statement { text, parameters }) in &statements {
        let mut explain = database.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
        let details = explain.query_map(params_from_iter(parameters), |row| row.get(3)).unwrap();
        let plan: Vec<String> = details.map(Result::unwrap).collect();
        let [plan] = &plan[..] else { panic!("{text}\n{plan:?}") };
        let expected = format!("SEARCH backup_sharing USING {}", expected(side, text));
        assert_eq!(plan, &expected, "{text}");
    }
}

/// The index of a statement, and the columns it is searched by: the filter that leaves
/// the fewest rows, and after it all that the index can make use of.
fn expected(side: &str, text: &str) -> String {
    let given = |column: &str| text.contains(&format!("{column} = ?"));
    let by = |column: &str| {
        let short = column.trim_end_matches("_id").replace("availability_", "");
        format!("backup_sharing_{}_by_{short}", side.replace("_project_id", ""))
    };
    let many: Vec<&str> = found_by(Index::ManyRows).collect();
    let known = |columns: &[&'static str]| -> Vec<&str> {
        columns.iter().copied().take_while(|column| given(column)).collect()
    };
    let few = found_by(Index::FewRows).find(|column| given(column));
    let (index, columns) = if let Some(column) = few {
        (by(column), vec![side, column])
    } else if given("from_project_id") && given("to_project_id") {
        let both = [&["from_project_id", "to_project_id"], &many[..]].concat();
        ("backup_sharing_by_projects".to_owned(), known(&both))
    } else if let Some(at) = many.iter().position(|column| given(column)) {
        (by(many[at]), [vec![side], known(&many[at..])].concat())
    } else {
        // Any index for many rows would do; SQLite takes the shortest.
        (by(many.last().unwrap()), vec![side])
    };
    // Rows of one backup or volume are few, and may be looked up in the table; no others.
    let words: Vec<&str> = text.split([' ', '+', '(', ')']).collect();
    let is_read = |column: &&str| words.contains(column);
    let mut read = COLUMNS.iter().map(|column| column.name).filter(is_read);
    let covering = few.is_none() || read.all(|name| columns.contains(&name));
    let covering = if covering { "COVERING " } else { "" };
    let columns = columns.join("=? AND ");
    format!("{covering}INDEX {index} ({columns}=?)")
}
