//! What a count costs, in steps of SQLite's virtual machine: not what other
//! projects share, and with an equality not even what the project shares.

#![cfg(test)]

mod common;

use common::sizes::{Size, has_equality, queries};
use common::{PATH, insert, statement};
use count_store::sqlite;
use rusqlite::{Connection, StatementStatus, params_from_iter};

fn database(size: Size) -> Connection {
    let database = Connection::open_in_memory().unwrap();
    database.execute_batch(&sqlite::schema()).unwrap();
    size.each_row(|value| insert(&database, value));
    database
}

/// What a call counts, and in how many steps.
fn cost(database: &Connection, query: &str) -> (u32, i32) {
    let statement = statement(&format!("{PATH}?{query}"));
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
        costs.retain(|(query, _)| has_equality(query));
        costs
    };
    let expected = costs_of(small);
    let with_more_rows = costs_of(Size { rest: 5000, ..small });
    for ((query, cost), (_, with_more)) in expected.iter().zip(&with_more_rows) {
        assert_eq!(
            cost, with_more,
            "{query} takes more steps where the project has more rows, none of which match: its \
             column needs an index in count-store/src/columns.rs"
        );
    }

    for ((query, (few, cheap)), (_, (many, dear))) in
        expected.into_iter().zip(costs_of(Size { matches: 1010, ..small }))
    {
        assert_eq!((few, many), (10, 1010), "{query}");
        let each = (dear - cheap) / 1000;
        let most = 4 + 2 * i32::try_from(query.matches('=').count()).unwrap();
        assert!((1..=most).contains(&each), "{query}: {each} steps for each match");
    }
}
