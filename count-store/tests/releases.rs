//! Databases that another release or an operator made or changed: served, brought up to date
//! by a load, or refused by name.

#![cfg(test)]

mod common;

use common::{Folder, csv, header, insert, line, rows, said, uuid};
use count_store::columns::COLUMNS;
use rusqlite::Connection;

/// A database as it was before the indexes that each filter has now.
fn earlier(folder: &Folder) -> Connection {
    let columns = COLUMNS.each_ref().map(|column| {
        let key = if column.name == "id" { " PRIMARY KEY" } else { "" };
        format!("{} TEXT NOT NULL{key}", column.name)
    });
    let schema = format!(
        "CREATE TABLE backup_sharing ({}) WITHOUT ROWID;
        CREATE INDEX backup_sharing_from ON backup_sharing (from_project_id, to_project_id,
            backup_id, volume_id, status, availability_zone, name);
        CREATE INDEX backup_sharing_from_by_zone ON backup_sharing (from_project_id)",
        columns.join(", ")
    );
    let database = Connection::open(folder.database()).unwrap();
    database.execute_batch(&schema).unwrap();
    database
}

/// Adds a row of `p1`, with `id` wherever something must be unlike in each row.
fn add(database: &Connection, id: &str) {
    insert(database, |column| match column {
        "from_project_id" => "p1".to_owned(),
        "to_project_id" => "p2".to_owned(),
        "status" => "error".to_owned(),
        _ => id.to_owned(),
    });
}

#[test]
fn a_database_of_an_earlier_release_counts_and_is_renewed_by_a_load() {
    let folder = Folder::new();
    let database = earlier(&folder);
    (0..3).for_each(|number| add(&database, &uuid(number)));
    let server = folder.serve(&[]);
    assert_eq!(server.count(), 3);
    server.signal("TERM");
    let (_, notice) = server.end();
    assert!(notice.contains("lacks indexes that this release makes"), "{notice}");

    // A load that fails leaves it as it was.
    assert!(!folder.load("bad.csv", csv(3, 4) + &line(1)).status.success());
    let schema = "SELECT group_concat(sql, ';') FROM sqlite_schema WHERE sql IS NOT NULL";
    let schema = |database: &Connection| -> String {
        database.query_row(schema, [], |row| row.get(0)).unwrap()
    };
    assert!(schema(&database).contains("WITHOUT ROWID"));
    assert_eq!(rows(&folder).len(), 3);

    folder.fill(&csv(3, 4));
    assert_eq!(rows(&folder).len(), 4);
    let renewed = schema(&database);
    folder.fill(&header());
    let fresh = Folder::new();
    fresh.fill(&header());
    assert_eq!(renewed, schema(&Connection::open(fresh.database()).unwrap()));
    let server = folder.serve(&[]);
    assert_eq!(server.count(), 4);
    server.signal("TERM");
    assert_eq!(server.end().1, "");
}

/// A database of another release: its columns, and a row of p1 unless they are none.
fn of_another_release(columns: &[&str], rows: u32) -> Folder {
    let folder = Folder::new();
    let database = Connection::open(folder.database()).unwrap();
    let list = columns.join(", ");
    database.execute_batch(&format!("CREATE TABLE backup_sharing ({list})")).unwrap();
    for number in 0..rows {
        let values = columns.iter().map(|column| match *column {
            "id" | "backup_id" | "volume_id" => format!("'{}'", uuid(number)),
            column => format!("'{}'", if column == "from_project_id" { "p1" } else { "x" }),
        });
        let values = values.collect::<Vec<_>>().join(", ");
        database.execute(&format!("INSERT INTO backup_sharing VALUES ({values})"), []).unwrap();
    }
    folder
}

#[test]
fn a_column_that_is_missing_is_named_and_added_if_rows_may_lack_it() {
    for column in &COLUMNS {
        let missing = column.name;
        let others = COLUMNS.iter().map(|column| column.name).filter(|name| *name != missing);
        let columns: Vec<&str> = others.collect();
        let folder = of_another_release(&columns, 2);
        let database = folder.database().display().to_string();
        let served = folder.serving().output().unwrap();
        assert_eq!(served.status.code(), Some(1));
        let sentence = format!(
            "count-store: {database} is of another release: its table backup_sharing lacks {missing}. \
             `count-store load --database {database} SHARINGS` brings it up to date, "
        );
        assert!(said(&served).starts_with(&sentence), "{}", said(&served));

        let loaded = folder.load("a.csv", csv(7, 8));
        if column.may_be_empty {
            assert!(loaded.status.success(), "{}", said(&loaded));
            assert_eq!(folder.serve(&[]).count(), 3);
            let database = Connection::open(folder.database()).unwrap();
            let query = "SELECT count(*) FROM backup_sharing WHERE to_project_id = 'x' AND ";
            let moved =
                database.query_row(&format!("{query} {missing} = ''"), [], |row| row.get(0));
            assert_eq!(moved, Ok(2), "{missing}");
            continue;
        }
        assert_eq!(loaded.status.code(), Some(1));
        let sentence = format!(
            "count-store: {database} is of another release, and cannot be brought up to date: its \
             rows lack the column {missing}, which no row may be without. Nothing was loaded. Load \
             into another database.\n"
        );
        assert_eq!(said(&loaded), sentence);
        // Without rows there is nothing that could lack anything.
        let folder = of_another_release(&columns, 0);
        folder.fill(&csv(7, 8));
        assert_eq!(folder.serve(&[]).count(), 1, "{missing}");
    }
}

#[test]
fn a_column_that_is_not_known_is_kept() {
    let mut columns: Vec<&str> = COLUMNS.iter().map(|column| column.name).chain(["note"]).collect();
    let folder = of_another_release(&columns, 2);
    assert_eq!(folder.serve(&[]).count(), 2);
    folder.fill(&csv(7, 8));
    let notes = |folder: &Folder| -> u32 {
        let database = Connection::open(folder.database()).unwrap();
        database.query_row("SELECT count(note) FROM backup_sharing", [], |row| row.get(0)).unwrap()
    };
    assert_eq!((folder.serve(&[]).count(), notes(&folder)), (3, 2));

    columns.retain(|column| *column != "name");
    let folder = of_another_release(&columns, 2);
    let loaded = folder.load("a.csv", csv(7, 8));
    assert!(said(&loaded).contains("its column note is not known here, and would be lost"));
    assert_eq!(notes(&folder), 2);
}

#[test]
fn an_index_with_other_columns_is_made_anew() {
    let folder = Folder::with_rows(90);
    let database = Connection::open(folder.database()).unwrap();
    let index = || -> String {
        let query = "SELECT sql FROM sqlite_schema WHERE name = 'backup_sharing_to_by_zone'";
        database.query_row(query, [], |row| row.get(0)).unwrap()
    };
    let ours = index();
    let other = "DROP INDEX backup_sharing_to_by_zone;
                 CREATE INDEX backup_sharing_to_by_zone ON backup_sharing (to_project_id)";
    database.execute_batch(other).unwrap();
    let server = folder.serve(&[]);
    server.signal("TERM");
    assert!(server.end().1.contains("lacks indexes that this release makes"));
    folder.fill(&csv(90, 91));
    assert_eq!(index(), ours);
}

#[test]
fn what_others_made_of_a_database_is_kept_or_the_load_refused() {
    let folder = Folder::with_rows(3);
    let database = Connection::open(folder.database()).unwrap();
    let indexes = || -> u32 {
        let count = "SELECT count(*) FROM sqlite_schema WHERE type = 'index'";
        database.query_row(count, [], |row| row.get(0)).unwrap()
    };
    let ours = indexes();
    database.execute_batch("CREATE INDEX \"of \"\"theirs\" ON backup_sharing (name)").unwrap();
    folder.fill(&csv(3, 90));
    assert_eq!(indexes(), ours + 1);

    database.execute_batch("CREATE UNIQUE INDEX one ON backup_sharing (backup_id)").unwrap();
    let loaded = folder.load("a.csv", csv(90, 91).replacen(&uuid(90), &uuid(91), 1));
    assert!(loaded.status.success(), "{}", said(&loaded));
    let loaded = folder.load("a.csv", csv(90, 91));
    let why = "UNIQUE constraint failed: backup_sharing.backup_id";
    assert!(said(&loaded).contains(why), "{}", said(&loaded));

    // A view goes on to count after the rows have moved to another table, and rows that
    // refer to them stay.
    let folder = Folder::new();
    let database = earlier(&folder);
    add(&database, "1");
    database
        .execute_batch(
            "CREATE VIEW all_of_them AS SELECT id FROM backup_sharing;
             CREATE TABLE notes (of TEXT REFERENCES backup_sharing (id) ON DELETE CASCADE);
             INSERT INTO notes VALUES ('1')",
        )
        .unwrap();
    folder.fill(&csv(0, 3));
    let count = |table: &str| -> u32 {
        let count = format!("SELECT count(*) FROM {table}");
        database.query_row(&count, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("all_of_them"), count("notes")), (4, 1));
    database.execute("INSERT INTO notes VALUES (?1)", [uuid(2)]).unwrap();

    let folder = Folder::new();
    let database = earlier(&folder);
    let trigger = "CREATE TRIGGER theirs AFTER INSERT ON backup_sharing BEGIN SELECT 1; END";
    database.execute_batch(trigger).unwrap();
    let loaded = folder.load("a.csv", csv(0, 3));
    assert!(said(&loaded).contains("its trigger theirs would be lost. "), "{}", said(&loaded));
}
