//! Every call is answered from an index on the path's project: no shape of
//! filters reads a row that the project has no part in.

// clippy.toml lets tests do so; it does not know that helpers of tests are tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects)]

mod common;

use std::collections::HashSet;

use backup_sharing_count::call::Call;
use backup_sharing_count::filters::{Domain, FILTERS, FilterRules};
use backup_sharing_count::sql::{self, Statement};
use common::{Folder, PATH, csv, uuid};
use rusqlite::{Connection, params_from_iter};

/// The statements of every side with every set of filters.
fn statements() -> Vec<(&'static str, Statement)> {
    let call = Call::new(FilterRules::default()).unwrap();
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
        let path = format!("{PATH}?{query}");
        let target = call.locate(path.as_bytes()).unwrap();
        let request = call.check(target, &[(b":method", b"GET")]).unwrap();
        let side = if query.contains("share_to_me") { "to_project_id" } else { "from_project_id" };
        (side, sql::count(&request))
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
    assert_eq!(texts.len(), 256, "2 sides, 7 filters");
    for (side, Statement { text, parameters }) in &statements {
        let mut explain = database.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
        let details = explain.query_map(params_from_iter(parameters), |row| row.get(3)).unwrap();
        let plan: Vec<String> = details.map(Result::unwrap).collect();
        let [plan] = &plan[..] else { panic!("{text}\n{plan:?}") };
        let (other, index) = match *side {
            "from_project_id" => ("to_project_id", "backup_sharing_from"),
            _ => ("from_project_id", "backup_sharing_to"),
        };
        let search = "SEARCH backup_sharing USING COVERING INDEX";
        if text.contains(&format!("{other} = ?")) {
            // Both indexes begin with these two columns, so either will do.
            let (one, two) =
                (format!("({side}=? AND {other}=?"), format!("({other}=? AND {side}=?"));
            assert!(plan.starts_with(search), "{text}\n{plan}");
            assert!(plan.contains(&one) || plan.contains(&two), "{text}\n{plan}");
        } else {
            assert!(plan.starts_with(&format!("{search} {index} ({side}=?")), "{text}\n{plan}");
        }
    }
}
