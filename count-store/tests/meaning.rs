//! Proves that this store counts what the contract says, twice: by the library's
//! parser and statements alone, and as the service that is deployed.

#![cfg(test)]

mod common;

use common::{Folder, Server, count_in, insert, said, statement};
use count_store::sql::Statement;
use count_store::sqlite;
use oracles::meaning::{Row, Store, prove};
use rusqlite::{Connection, params_from_iter};
use testkit::http;

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

/// `count-store load` and `count-store serve`.
struct Service {
    folder: Folder,
    running: Option<(Server, http::Connection)>,
}

impl Store for Service {
    fn load(&mut self, rows: &[Row]) {
        let json = serde_json::to_string(rows).unwrap();
        let output = self.folder.load("rows.json", json);
        assert!(output.status.success(), "{}", said(&output));
        let server = self.folder.serve(&[]);
        let connection = http::Connection::open(server.address).unwrap();
        self.running = Some((server, connection));
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
    prove(&mut Service { folder: Folder::new(), running: None }, 5000);
}
