//! Proves that this store counts what the contract says, twice: by the library's
//! parser and statements alone, and as the service that is deployed.

#![cfg(test)]

mod common;

use common::{Folder, PATH, Server, count_in, insert, loading, object, said, serving, statement};
use count_store::sql::Statement;
use count_store::sqlite;
use oracles::meaning::{Row, Store, prove};
use rusqlite::{Connection, params_from_iter};
use testkit::{http, postgres};

/// The library, with a database that a test filled by hand.
struct Library(Connection);

impl Store for Library {
    fn load(&mut self, rows: &[Row]) {
        let transaction = self.0.transaction().unwrap();
        transaction.execute_batch(&sqlite::schema()).unwrap();
        for row in rows {
            insert(&transaction, |column| row.get(column).cloned().unwrap_or_default());
        }
        transaction.commit().unwrap();
    }

    fn count(&mut self, path_and_query: &str) -> u64 {
        let Statement { text, parameters } = statement(path_and_query);
        let mut statement = self.0.prepare_cached(&text).unwrap();
        let count: i64 =
            statement.query_row(params_from_iter(parameters), |row| row.get(0)).unwrap();
        count.try_into().unwrap()
    }
}

/// `count-store load` and `count-store serve`, of a database.
struct Service {
    folder: Folder,
    database: String,
    running: Option<(Server, http::Connection)>,
}

impl Service {
    fn of_file() -> Service {
        let folder = Folder::new();
        let database = folder.database().to_str().unwrap().to_owned();
        Service { folder, database, running: None }
    }

    fn of_postgres(server: &postgres::Server, database: &str) -> Service {
        Service { folder: Folder::new(), database: server.url_of(database), running: None }
    }

    fn start(&mut self) {
        let server = Server::start(serving(&self.database));
        let connection = http::Connection::open(server.address).unwrap();
        self.running = Some((server, connection));
    }
}

impl Store for Service {
    fn load(&mut self, rows: &[Row]) {
        let json = serde_json::to_string(rows).unwrap();
        let file = self.folder.write("rows.json", json);
        let output = loading(&self.database, &file).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        self.start();
    }

    fn count(&mut self, path_and_query: &str) -> u64 {
        let (_, connection) = self.running.as_mut().unwrap();
        count_in(&connection.request("GET", path_and_query, &[]).unwrap())
    }
}

#[test]
fn the_library_counts_as_documented() {
    prove(&mut Library(Connection::open_in_memory().unwrap()), 5000);
}

#[test]
fn the_service_counts_as_documented() {
    prove(&mut Service::of_file(), 5000);
}

#[test]
fn the_service_counts_as_documented_in_postgresql() {
    let server = postgres::Server::start().unwrap();
    prove(&mut Service::of_postgres(&server, "postgres"), 5000);
}

/// Strings of public lists that have broken programs (the crate has their source), and quotations of every kind.
fn injections() -> Vec<String> {
    let quotations =
        ["'", "\"", "\\", "''", "$1", "$$", "%", "_", "?1", ":a", "\\'", "--", "/*", ";"];
    let ends = [
        "", " OR 1=1", " OR 'a'='a", "; DROP TABLE backup_sharing; --", ") UNION SELECT 1 --",
        " AND pg_sleep(9)",
    ];
    let ours = quotations.iter().flat_map(|one| ends.map(|end| format!("{one}{end}")));
    let strings = naughty_strings::BLNS.iter().map(|one| (*one).to_owned()).chain(ours);
    let is_name =
        |one: &String| (1..=255).contains(&one.chars().count()) && !one.contains(char::is_control);
    strings.filter(is_name).collect()
}

#[test]
fn injections_are_names_like_any_other() {
    let server = postgres::Server::start().unwrap();
    let names = injections();
    assert!(names.len() > 200, "{}", names.len());
    let rows: Vec<serde_json::Value> =
        (0..).zip(&names).map(|(number, name)| row(number, name)).collect();
    for mut service in [Service::of_file(), Service::of_postgres(&server, "postgres")] {
        let file = service.folder.write("rows.json", serde_json::to_string(&rows).unwrap());
        let output = loading(&service.database, &file).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        service.start();
        for name in &names {
            let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let folded = name.to_ascii_lowercase();
            let has = |other: &&String| other.to_ascii_lowercase().contains(&folded);
            let expected = names.iter().filter(has).count();
            let counted = service.count(&format!("{PATH}?name={encoded}"));
            assert_eq!(counted, expected as u64, "{name}");
        }
    }
}

/// What an encoding cannot hold is in no row, and no row can hold it.
#[test]
fn a_database_of_another_encoding_counts_what_it_can_hold() {
    let latin =
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'";
    let server = postgres::Server::options().sql(latin).start().unwrap();
    let mut service = Service::of_postgres(&server, "latin");
    let load = |rows: &[serde_json::Value]| {
        let file = service.folder.write("rows.json", serde_json::to_string(rows).unwrap());
        loading(&service.database, &file).output().unwrap()
    };
    assert!(load(&[row(1, "Dépôt"), row(2, "DéPOT")]).status.success());
    let said = said(&load(&[row(3, "depot"), row(4, "仓库")]));
    assert!(said.contains("rows.json, row 2, line 1: the row could not be stored: "), "{said}");
    service.start();
    // As everywhere, ASCII letters are alike and others are not.
    for (name, expected) in [("d%C3%A9p", 2), ("p%C3%B4t", 1), ("d%C3%89p", 0), ("%E4%BB%93", 0)] {
        assert_eq!(service.count(&format!("{PATH}?name={name}")), expected, "{name}");
    }
}

/// The `number`th row, with a name.
fn row(number: u32, name: &str) -> serde_json::Value {
    let mut row: serde_json::Value = serde_json::from_str(&object(number)).unwrap();
    row["name"] = name.into();
    row
}
