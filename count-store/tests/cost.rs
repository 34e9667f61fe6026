//! What a count costs, in steps of SQLite's virtual machine: not what other
//! projects share, and with an equality not even what the project shares.

// clippy.toml lets tests do so; it does not know that helpers of tests are tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects)]

mod common;

use backup_sharing_count::filters::FilterRules;
use backup_sharing_count::request::Validator;
use common::{PATH, uuid};
use count_store::{sql, sqlite};
use rusqlite::{Connection, StatementStatus, params_from_iter};

/// `p1` shares so many backups, and so many are shared to it.
#[derive(Clone, Copy)]
struct Size {
    /// Rows that every equality of [`QUERIES`] matches.
    matches: u32,
    /// Rows of `p1` that none of them matches.
    rest: u32,
    /// Rows of other projects that all of them would match.
    foreign: u32,
}

/// A call for each filter of a project's rows, and some for two.
fn queries() -> Vec<String> {
    let one = uuid(1);
    let mut queries = vec![String::new()];
    let equalities = [
        format!("backup_id={one}"),
        format!("volume_id={one}"),
        "status=error".to_owned(),
        "availability_zone=z1".to_owned(),
    ];
    for side in ["", "share_to_me=true&"] {
        let other = if side.is_empty() { "to_project_id=p2" } else { "from_project_id=p2" };
        for filter in equalities.iter().map(String::as_str).chain([other]) {
            queries.push(format!("{side}{filter}"));
            queries.push(format!("{side}{filter}&name=BACKUP"));
        }
        queries.push(format!("{side}{}", equalities.join("&")));
        queries.push(format!("{side}name=BACKUP"));
        queries.push(side.trim_end_matches('&').to_owned());
    }
    queries.dedup();
    queries
}

fn database(size: Size) -> Connection {
    let database = Connection::open_in_memory().unwrap();
    database.execute_batch(&sqlite::schema()).unwrap();
    let mut number = 0;
    let mut insert = |from: &str, to: &str, is_match: bool| {
        number += 1;
        let (backup, status, zone) =
            if is_match { (uuid(1), "error", "z1") } else { (uuid(number), "available", "z2") };
        let row = [&uuid(number), &backup, from, to, "backup", status, &backup, zone];
        let insert = "INSERT INTO backup_sharing VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        database.prepare_cached(insert).unwrap().execute(row).unwrap();
    };
    // In between each other, as time brings them.
    for round in 0..size.matches.max(size.rest).max(size.foreign) {
        if round < size.foreign {
            insert(&format!("a{}", round % 100), &format!("z{}", round % 100), true);
        }
        for (exists, other) in [(round < size.matches, "p2"), (round < size.rest, "p3")] {
            if exists {
                insert("p1", other, other == "p2");
                insert(other, "p1", other == "p2");
            }
        }
    }
    database
}

/// What a call counts, and in how many steps.
fn cost(database: &Connection, query: &str) -> (u32, i32) {
    let validator = Validator::new(FilterRules::default()).unwrap();
    let path = format!("{PATH}?{query}");
    let target = validator.locate(path.as_bytes()).unwrap();
    let statement =
        sql::count(&validator.check(target, [(&b":method"[..], &b"GET"[..])].into_iter()).unwrap());
    let mut prepared = database.prepare(&statement.text).unwrap();
    let parameters = params_from_iter(&statement.parameters);
    let count = prepared.query_row(parameters, |row| row.get(0)).unwrap();
    assert_eq!(prepared.get_status(StatementStatus::FullscanStep), 0, "{query}");
    assert_eq!(prepared.get_status(StatementStatus::Sort), 0, "{query}");
    (count, prepared.get_status(StatementStatus::VmStep))
}

/// Costs of all calls.
fn costs(size: Size) -> Vec<(String, (u32, i32))> {
    let database = database(size);
    queries().into_iter().map(|query| (query.clone(), cost(&database, &query))).collect()
}

#[test]
fn rows_of_other_projects_cost_nothing() {
    let few = Size { matches: 100, rest: 900, foreign: 10 };
    let many = Size { foreign: 20_000, ..few };
    assert_eq!(costs(few), costs(many));
}

#[test]
fn an_equality_costs_with_its_matches() {
    let small = Size { matches: 10, rest: 10, foreign: 10 };
    let costs_of = |size| {
        let mut costs = costs(size);
        costs.retain(|(query, _)| query.replace("name=", "").contains("="));
        costs.retain(|(query, _)| {
            !["share_to_me=true", "share_to_me=true&name=BACKUP"].contains(&query.as_str())
        });
        costs
    };
    let expected = costs_of(small);
    assert_eq!(expected, costs_of(Size { rest: 5000, ..small }), "not with the project's rows");

    for ((query, (few, cheap)), (_, (many, dear))) in
        expected.into_iter().zip(costs_of(Size { matches: 1010, ..small }))
    {
        assert_eq!((few, many), (10, 1010), "{query}");
        let each = (dear - cheap) / 1000;
        assert!((1..=12).contains(&each), "{query}: {each} steps for each match");
    }
}
