//! What a count costs, in steps of SQLite's virtual machine: not what other
//! projects share, and with an equality not even what the project shares.

#![cfg(test)]

mod common;

use backup_sharing_count::filters::{FILTERS, Meaning};
use common::{PATH, insert, statement, uuid};
use count_store::sqlite;
use rusqlite::{Connection, StatementStatus, params_from_iter};

/// How many backups `p1` shares, and how many are shared to it.
#[derive(Clone, Copy)]
struct Size {
    /// Rows that every equality of [`QUERIES`] matches.
    matches: u32,
    /// Rows of `p1` that none of them matches.
    rest: u32,
    /// Rows of other projects that all of them would match.
    foreign: u32,
}

/// The value of a column in the rows that match, and in the others.
fn value(column: &str, is_match: bool) -> String {
    match column {
        "name" => "backup".to_owned(),
        "status" => (if is_match { "error" } else { "available" }).to_owned(),
        "availability_zone" => (if is_match { "z1" } else { "z2" }).to_owned(),
        _ => uuid(u32::from(is_match)),
    }
}

/// The equalities, each with the value that matches.
fn equalities(side: &str) -> Vec<String> {
    let equal = FILTERS.iter().filter_map(|filter| match filter.meaning {
        Meaning::Equals(column) if column == side => None,
        Meaning::Equals("from_project_id" | "to_project_id") => Some(format!("{}=p2", filter.name)),
        Meaning::Equals(column) => Some(format!("{}={}", filter.name, value(column, true))),
        Meaning::Side | Meaning::Contains(_) => None,
    });
    equal.collect()
}

/// A call for each filter of a project's rows, and some for two.
fn queries() -> Vec<String> {
    let mut queries = Vec::new();
    for (side, column) in [("", "from_project_id"), ("share_to_me=true", "to_project_id")] {
        let mut add = |query: &str| queries.push([side, query].join("&"));
        let equalities = equalities(column);
        for filter in &equalities {
            add(filter);
            add(&format!("{filter}&name=BACKUP"));
        }
        add(&equalities.join("&"));
        add("name=BACKUP");
        add("");
    }
    queries
}

fn database(size: Size) -> Connection {
    let database = Connection::open_in_memory().unwrap();
    database.execute_batch(&sqlite::schema()).unwrap();
    let mut numbers = 2..;
    let mut insert_row = |from: &str, to: &str, is_match: bool| {
        let number = numbers.next().unwrap();
        insert(&database, |column| match column {
            "id" => uuid(number),
            "from_project_id" => from.to_owned(),
            "to_project_id" => to.to_owned(),
            // Few rows have one value of such a column.
            "backup_id" | "volume_id" if !is_match => uuid(number),
            column => value(column, is_match),
        });
    };
    // In between each other, as time brings them.
    for round in 0..size.matches.max(size.rest).max(size.foreign) {
        if round < size.foreign {
            insert_row(&format!("a{}", round % 100), &format!("z{}", round % 100), true);
        }
        for (exists, other) in [(round < size.matches, "p2"), (round < size.rest, "p3")] {
            if exists {
                insert_row("p1", other, other == "p2");
                insert_row(other, "p1", other == "p2");
            }
        }
    }
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
        costs.retain(|(query, _)| {
            let mut filters = query.split('&').filter(|filter| !filter.is_empty());
            !filters.all(|filter| ["share_to_me=true", "name=BACKUP"].contains(&filter))
        });
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
