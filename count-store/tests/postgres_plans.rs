//! In PostgreSQL, every call is answered from one index alone: by the path's project and the filter that leaves the fewest rows.
//! It reads neither what other projects share nor, with an equality, what does not match.

#![cfg(test)]

mod common;

use backup_sharing_count::filters::{Domain, FILTERS, Meaning};
use common::sizes::{Size, has_equality, queries};
use common::{Folder, PATH, header, line, loading, request, said, uuid};
use count_store::columns::COLUMNS;
use count_store::postgres::{SETTINGS, count};
use count_store::sql::Statement;
use serde_json::Value;
use testkit::postgres::{Client, Server};
use tokio_postgres::SimpleQueryMessage;

/// The columns that an index begins with after the project's side, the one that leaves the fewest rows first, and the end of
/// that index's name.
const BEST: [(&str, &str); 6] = [
    ("backup_id", "by_backup"),
    ("volume_id", "by_volume"),
    ("from_project_id", "by_projects"),
    ("to_project_id", "by_projects"),
    ("status", "by_status"),
    ("availability_zone", "by_zone"),
];

/// A session like the service's, in a new database that `count-store load` has filled.
fn loaded(server: &Server, name: &str, rows: &str) -> Client {
    let folder = Folder::new();
    server.client().unwrap().batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    let rows = folder.write("rows.csv", header() + rows);
    let output = loading(server.url_of(name), &rows).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let mut client = server.client_of(name).unwrap();
    client.batch_execute(SETTINGS).unwrap();
    client
}

/// The nodes of the plan that answered a call, from the top one to the scan.
fn explain(client: &mut Client, target: &str) -> Vec<Value> {
    let Statement { text, parameters } = count(&request(target));
    let types = vec!["text"; parameters.len()].join(", ");
    let values = parameters.join("', '");
    client.batch_execute(&format!("DEALLOCATE ALL; PREPARE asked ({types}) AS {text}")).unwrap();
    let explain =
        format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE asked ('{values}')");
    let answer = client.simple_query(&explain).unwrap();
    let explained = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let mut explained: Value = serde_json::from_str(explained.unwrap()).unwrap();
    let mut next = explained[0]["Plan"].take();
    let mut nodes = Vec::new();
    while !next.is_null() {
        let below = next["Plans"].take();
        assert!(below.as_array().is_none_or(|below| below.len() == 1), "{target}: {below}");
        nodes.push(next);
        next = below.get(0).cloned().unwrap_or_default();
    }
    nodes
}

/// A call of every set of filters, each of which has a value that some row has.
fn calls() -> impl Iterator<Item = String> {
    (0..1_u32 << FILTERS.len()).map(|shape| {
        let given = FILTERS.iter().enumerate().filter(|(bit, _)| shape & (1 << bit) != 0);
        let given: Vec<_> = given.map(|(_, filter)| filter).collect();
        let to_me = given.iter().any(|filter| filter.meaning == Meaning::Side);
        let query = given.iter().map(|filter| {
            let value = match (filter.domain, filter.name) {
                (Domain::Boolean, _) => "true".to_owned(),
                (Domain::Uuid, _) => uuid(1),
                (Domain::Text, "name") => "BACKUP%201".to_owned(),
                (Domain::Text, _) => "eu-de-01".to_owned(),
                (Domain::Status, _) => "available".to_owned(),
                (Domain::Project, name) => {
                    if to_me == (name == "to_project_id") { "p1" } else { "p2" }.to_owned()
                }
            };
            format!("{}={value}", filter.name)
        });
        format!("{PATH}?{}", query.collect::<Vec<_>>().join("&"))
    })
}

/// What is wrong with the plan of a call.
fn fault(scan: &Value, target: &str) -> Option<String> {
    let side = if target.contains("share_to_me") { "to_project_id" } else { "from_project_id" };
    // The zone's filter has another name than its column.
    let given = |(column, _): &(&'static str, &str)| {
        let mut filters = FILTERS.iter().filter(|it| it.meaning == Meaning::Equals(column));
        *column != side && filters.any(|filter| target.contains(&format!("{}=", filter.name)))
    };
    let text = |of: &str| scan[of].as_str().unwrap_or_default();
    let (kind, index, condition) = (text("Node Type"), text("Index Name"), text("Index Cond"));
    let best = BEST.into_iter().find(given);
    let wanted = [side].into_iter().chain(best.map(|(column, _)| column));
    let missing: Vec<_> =
        wanted.filter(|column| !condition.contains(&format!("{column} = "))).collect();
    if kind != "Index Only Scan" {
        Some(format!("{target}: a {kind} instead of an index only scan"))
    } else if !missing.is_empty() {
        Some(format!("{target}: {} is not looked for, but {condition}", missing.join(", ")))
    } else if best.is_some_and(|(_, end)| !index.ends_with(end)) {
        Some(format!("{target}: {index} is read, where {condition} leaves more rows"))
    } else {
        None
    }
}

#[test]
fn every_set_of_filters_is_found_in_one_index() {
    let server = Server::options().setting("autovacuum = off").start().unwrap();
    // What is shared by `p1`, and as much that is shared to it.
    let shared = |number| {
        let own_id = |line: String| line.replacen(&uuid(number), &uuid(number + 1_000), 1);
        line(number) + &own_id(line(number)).replace("p1,p2", "p2,p1")
    };
    let mut client = loaded(&server, "plans", &(0..1_000).map(shared).collect::<String>());
    let mut matches = 0.0;
    let mut faults = Vec::new();
    for call in calls() {
        let nodes = explain(&mut client, &call);
        let scan = nodes.last().unwrap();
        matches += scan["Actual Rows"].as_f64().unwrap();
        faults.extend(fault(scan, &call));
        if scan["Heap Fetches"] != 0 {
            faults.push(format!("{call}: {} rows were looked up", scan["Heap Fetches"]));
        }
    }
    assert!(matches > 10_000.0, "the calls find rows: {matches}");
    assert_eq!(faults, Vec::<String>::new());

    // Others write, and nobody has vacuumed yet.
    let deleted = "DELETE FROM backup_sharing WHERE name LIKE 'backup _00'";
    assert_eq!(client.execute(deleted, &[]).unwrap(), 18, "about 1 % of the rows");
    for call in calls() {
        let nodes = explain(&mut client, &call);
        faults.extend(fault(nodes.last().unwrap(), &call));
    }
    assert_eq!(faults, Vec::<String>::new(), "with rows that were deleted");
}

/// What a call costs.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// The rows it counts.
    matches: f64,
    /// The rows it reads.
    rows: f64,
    /// The blocks of 8 KiB that it reads.
    blocks: u64,
}

/// Costs of all calls.
fn costs(server: &Server, name: &str, size: Size) -> Vec<(String, Cost)> {
    let mut rows = String::new();
    size.each_row(|value| {
        let line = COLUMNS.each_ref().map(|column| value(column.name)).join(",");
        rows += &(line + "\n");
    });
    let mut client = loaded(server, name, &rows);
    let mut cost = |query: String| {
        let target = format!("{PATH}?{query}");
        // What a session learns once of an index is no cost of a count.
        explain(&mut client, &target);
        let nodes = explain(&mut client, &target);
        let [aggregate, found, ..] = &nodes[..] else { panic!("{query}: {nodes:?}") };
        let (scan, number) = (nodes.last().unwrap(), |value: &Value| value.as_f64().unwrap_or(0.0));
        let blocks = ["Shared Hit Blocks", "Shared Read Blocks"].map(|it| aggregate[it].as_u64());
        let cost = Cost {
            matches: number(&found["Actual Rows"]),
            rows: number(&scan["Actual Rows"]) + number(&scan["Rows Removed by Filter"]),
            blocks: blocks.into_iter().flatten().sum(),
        };
        (query, cost)
    };
    queries().into_iter().map(&mut cost).collect()
}

/// A level of the index more, and a block at each end.
const LARGER_INDEX: u64 = 3;

#[test]
fn other_rows_cost_nothing() {
    let server = Server::options().setting("autovacuum = off").start().unwrap();
    let few = Size { matches: 100, rest: 900, foreign: 10 };
    let (alone, among) =
        (costs(&server, "few", few), costs(&server, "many", Size { foreign: 20_000, ..few }));
    for ((query, alone), (_, among)) in alone.into_iter().zip(among) {
        assert_eq!((alone.matches, alone.rows), (among.matches, among.rows), "{query}");
        assert!(
            among.blocks <= alone.blocks + LARGER_INDEX,
            "{query} reads {} blocks where other projects have more rows, instead of {}: its index must begin \
             with the project's side (count-store/src/postgres/schema.rs)",
            among.blocks,
            alone.blocks
        );
    }

    let small = Size { matches: 10, rest: 10, foreign: 10 };
    let costs = |name, size| {
        let costs = costs(&server, name, size);
        costs.into_iter().filter(|(query, _)| has_equality(query))
    };
    let larger = costs("rest", Size { rest: 5_000, ..small });
    let matching = costs("matching", Size { matches: 1_010, ..small });
    for (((query, cost), (_, larger)), (_, matching)) in
        costs("small", small).zip(larger).zip(matching)
    {
        assert_eq!((cost.matches, cost.rows), (10.0, 10.0), "{query}");
        assert!(
            larger.rows == cost.rows && larger.blocks <= cost.blocks + LARGER_INDEX,
            "{query} reads {larger:?} instead of {cost:?} where the project has more rows, none of which match: \
             its column needs an index in count-store/src/columns.rs"
        );
        assert_eq!((matching.matches, matching.rows), (1_010.0, 1_010.0), "{query}");
        assert!(
            matching.blocks <= cost.blocks + 1_000 / 10,
            "{query} reads {} blocks for 1,010 matches",
            matching.blocks
        );
    }
}
