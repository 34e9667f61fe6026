//! `count-store load`: good files, bad files, and what is left of them.

// clippy.toml lets tests do so; it does not know that helpers of tests are tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects)]

mod common;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Folder, HEADER, Server, count_store, csv, line, said, uuid};
use rusqlite::Connection;

const COLUMNS: &str = "id, backup_id, from_project_id, to_project_id, name, status, volume_id, \
                       availability_zone";

/// All rows of a database, as CSV.
fn rows(folder: &Folder) -> Vec<String> {
    let database = Connection::open(folder.database()).unwrap();
    let query = format!("SELECT {} FROM backup_sharing", COLUMNS.replace(", ", "||','||"));
    let mut query = database.prepare(&query).unwrap();
    let rows = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|row| row.unwrap() + "\n").collect()
}

/// Loads a bad file: the error, after the file's name and before "Nothing was loaded".
fn refused(name: &str, content: impl AsRef<[u8]>) -> String {
    let folder = Folder::new();
    folder.fill(&csv(1000, 1003));
    let output = folder.load(name, content);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    assert_eq!(rows(&folder).len(), 3, "nothing of {name} is kept");
    let said = said(&output);
    let file = folder.path(name);
    let said = said.strip_prefix(&format!("count-store: {}, ", file.display())).expect(&said);
    said.strip_suffix(". Nothing was loaded.\n").expect(said).to_owned()
}

fn object(number: u32) -> String {
    let uuid = uuid(number);
    format!(
        r#"{{"id": "{uuid}", "backup_id": "{uuid}", "from_project_id": "p1",
           "to_project_id": "p2", "name": "backup {number}", "status": "available",
           "volume_id": "{uuid}", "availability_zone": "eu-de-01"}}"#
    )
}

#[test]
fn csv_rows_are_added() {
    let folder = Folder::new();
    let output = folder.load("a.csv", csv(0, 2));
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(stdout.starts_with("loaded 2 rows in ") && stdout.ends_with(" s\n"), "{stdout}");
    assert_eq!(said(&output), "", "no progress bar without a terminal");
    folder.fill(&csv(2, 3));
    assert_eq!(rows(&folder), [line(0), line(1), line(2)]);
}

#[test]
fn csv_columns_may_come_in_any_order_and_line_ends_of_both_kinds() {
    let folder = Folder::new();
    let id = uuid(0xABC).to_uppercase();
    let file = format!(
        "\u{FEFF}name,availability_zone,status,volume_id,to_project_id,from_project_id,backup_id,id\r\n\
         \r\n\"a \"\"b\"\", c\",,available,{id},P2,p1,{id},{id}\r\n"
    );
    folder.fill(&file);
    let id = uuid(0xABC);
    assert_eq!(rows(&folder), [format!("{id},{id},p1,P2,a \"b\", c,available,{id},\n")]);
}

#[test]
fn json_rows_are_added() {
    let folder = Folder::new();
    let nothing = object(1).replace("\"backup 1\"", "null").replace("eu-de-01", "");
    let output = folder.load("a.JSON", format!("[{}, {nothing}]\n", object(0)));
    assert!(output.status.success(), "{}", said(&output));
    let bare = line(1).replace("backup 1", "").replace("eu-de-01", "");
    assert_eq!(rows(&folder), [line(0), bare]);
    assert!(folder.load("none.json", "[]").stdout.starts_with(b"loaded 0 rows"));
    let output = folder.load("one.json", format!("[{}]", object(2)));
    assert!(output.stdout.starts_with(b"loaded 1 row in "));
}

#[test]
fn json_may_begin_with_a_byte_order_mark() {
    let folder = Folder::new();
    let output = folder.load("a.json", format!("\u{FEFF}\n[{}]", object(0)));
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(rows(&folder), [line(0)]);
}

#[test]
fn standard_input_is_a_file_too() {
    let folder = Folder::new();
    let load = |input: Stdio| {
        let mut command = folder.loading(Path::new("-"));
        command.stdin(input).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    // Of either format, from a pipe.
    for (number, rows) in [(0, csv(0, 1)), (1, format!("\u{FEFF}\n [{}]", object(1)))] {
        let mut child = load(Stdio::piped());
        child.stdin.take().unwrap().write_all(rows.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{number}");
    }
    // From a file, which is read again for the line of an id that is there twice.
    let file = |content: String| Stdio::from(File::open(folder.write("a", content)).unwrap());
    assert!(load(file(csv(2, 3))).wait().unwrap().success());
    assert_eq!(rows(&folder), [line(0), line(1), line(2)]);
    let output = load(file(csv(3, 5) + &line(4))).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let id = uuid(4);
    let why = format!("line 4: id: expected one that no other row has, got \"{id}\"");
    assert_eq!(said(&output), format!("count-store: standard input, {why}. Nothing was loaded.\n"));
    assert_eq!(rows(&folder).len(), 3);
    let output = load(Stdio::null()).wait_with_output().unwrap();
    assert!(said(&output).contains("standard input, line 1: expected a header line"));
}

#[test]
fn a_database_is_a_file_and_the_same_one_to_load_and_serve() {
    let folder = Folder::new();
    let rows = folder.write("a.csv", csv(0, 3));
    let run = |arguments: &[&str]| {
        let mut command = count_store();
        command.args(arguments).current_dir(folder.path("")).stdout(Stdio::piped());
        command
    };
    for name in [":memory:", "file:a.db", "file:a?mode=memory", "", "/dev/null", ".", "a.db/"] {
        for arguments in [
            &["load", "--database", name, "a.csv"][..],
            &["serve", "--listen", "127.0.0.1:0", "--database", name],
        ] {
            let output = run(arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{name:?}: {}", said(&output));
            assert!(!said(&output).contains("panicked"));
        }
    }
    let left: Vec<_> = std::fs::read_dir(folder.path("")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");

    // Written as a path, any name is one.
    let rows = rows.to_str().unwrap();
    assert!(run(&["load", "--database", "./file:a.db", rows]).status().unwrap().success());
    assert!(folder.path("file:a.db").is_file());
    let server = run(&["serve", "--database", "./file:a.db", "--listen", "127.0.0.1:0"]);
    assert_eq!(Server::start(server).count(), 3);
}

#[test]
fn a_bad_csv_row_is_named_by_its_line() {
    let bad = |text: &str| line(2).replacen(&uuid(2), text, 1);
    for (content, error) in [
        (csv(0, 2) + &bad("x"), "line 4: id: expected a UUID, got \"x\""),
        ((csv(0, 2) + &bad("x")).replace('\n', "\r\n"), "line 4: id: expected a UUID, got \"x\""),
        (csv(0, 2) + "\n\r\n\n" + &bad("x"), "line 7: id: expected a UUID, got \"x\""),
        (csv(0, 2) + bad("").trim(), "line 4: id: expected a UUID, got nothing"),
        (csv(0, 2) + &bad("x,y"), "line 4: expected 8 values, got 9"),
        (csv(0, 2) + "x", "line 4: expected 8 values, got 1"),
        (
            csv(0, 1) + &line(1).replace("backup 1", "\"a\nb\"") + &bad("x"),
            "line 3: name: expected at most 255 characters, none of them a control character, \
             got \"a\u{FFFD}b\"",
        ),
        (csv(0, 1) + "\"open\n\n", "line 3: expected 8 values, got 1"),
        (
            HEADER.to_owned() + &line(0).replace("p1", "p 1"),
            "line 2: from_project_id: expected 1 to 64 of 0-9 A-Z a-z _ -, got \"p 1\"",
        ),
        (
            HEADER.to_owned() + &line(0).replace("available", "Available"),
            "line 2: status: expected a lower-case word, got \"Available\"",
        ),
    ] {
        assert_eq!(refused("bad.csv", &content), error, "{content}");
    }
    let not_utf_8 = [csv(0, 1).as_bytes(), b"\xFF,\n"].concat();
    assert_eq!(refused("bad.csv", not_utf_8), "line 3: expected UTF-8");
}

#[test]
fn a_csv_header_names_each_column_once() {
    for (header, error) in [
        (String::new(), format!("expected a header line with the columns {COLUMNS}, got nothing")),
        (
            HEADER.replace("status", "state"),
            format!("expected the columns {COLUMNS}, got \"state\""),
        ),
        (HEADER.replace(",status", ""), "the column status is missing".to_owned()),
        (HEADER.replace("id,backup", "id,id,backup"), "the column id is there twice".to_owned()),
    ] {
        assert_eq!(refused("bad.csv", header), format!("line 1: {error}"));
    }
}

#[test]
fn a_bad_json_row_is_named_by_its_line() {
    let good = object(0); // three lines
    for (content, error) in [
        (
            format!("[\n{good},\n{}]", object(1).replace("p2", "p/2")),
            "row 2, line 6: to_project_id: expected 1 to 64 of 0-9 A-Z a-z _ -, got \"p/2\"",
        ),
        (
            format!("[{}]", good.replace("\"p2\"", "2")),
            "row 1, line 2: invalid type: integer `2`, expected to_project_id to be 1 to 64 of 0-9 A-Z a-z _ -",
        ),
        (
            format!("[{}]", good.replace("\"available\"", "null")),
            "row 1, line 2: status: expected a lower-case word, got nothing",
        ),
        (
            format!("[{}]", good.replace("\"status\": \"available\",", "")),
            "row 1, line 3: status is missing",
        ),
        (
            format!("[{}]", good.replace("{", "{\"name\": \"\", ")),
            "row 1, line 2: name is given twice",
        ),
        (format!("[\n{good}\n{good}]"), "row 2, line 5: expected `,` or `]`"),
        (format!("[{good},\n"), "row 2, line 4: the file ends before its array does"),
        (format!("[{good}]\n{{}}"), "line 4: trailing characters"),
        // All in one line, where "line 1" would say nothing.
        (
            format!("[{},{}]", good, object(1).replace("p2", "p/2")).replace('\n', ""),
            "row 2, line 1: to_project_id: expected 1 to 64 of 0-9 A-Z a-z _ -, got \"p/2\"",
        ),
        (String::new(), "line 1: the file ends before its array does"),
        ("{}".to_owned(), "line 1: invalid type: map, expected an array of rows"),
    ] {
        assert_eq!(refused("bad.json", &content), error, "{content}");
    }
    let unknown = format!("[\n{}]", good.replace("status", "state"));
    let error = format!("row 1, line 3: expected the members {COLUMNS}, got \"state\"");
    assert_eq!(refused("bad.json", unknown), error);
}

#[test]
fn an_id_is_there_once_in_the_file_and_in_the_database() {
    let error = |place, number| {
        let id = uuid(number);
        format!("{place}: id: expected one that no other row has, got \"{id}\"")
    };
    assert_eq!(refused("twice.csv", csv(0, 2) + &line(0)), error("line 4", 0));
    assert_eq!(refused("again.csv", csv(0, 2) + &line(1000)), error("line 4", 1000));
    let twice = format!("[\n{},\n{}]", object(7), object(7));
    assert_eq!(refused("twice.json", twice), error("row 2, line 7", 7));
}

/// What a database was before the indexes that each filter has now.
const EARLIER: &str = "
    CREATE TABLE backup_sharing (id TEXT NOT NULL PRIMARY KEY, backup_id TEXT NOT NULL,
        from_project_id TEXT NOT NULL, to_project_id TEXT NOT NULL, name TEXT NOT NULL,
        status TEXT NOT NULL, volume_id TEXT NOT NULL, availability_zone TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX backup_sharing_from ON backup_sharing (from_project_id, to_project_id,
        backup_id, volume_id, status, availability_zone, name);
    CREATE INDEX backup_sharing_to ON backup_sharing (to_project_id, from_project_id,
        backup_id, volume_id, status, availability_zone, name)";

#[test]
fn a_database_of_an_earlier_release_counts_and_is_renewed_by_a_load() {
    let folder = Folder::new();
    let database = Connection::open(folder.database()).unwrap();
    database.execute_batch(EARLIER).unwrap();
    let insert = "INSERT INTO backup_sharing VALUES (?1, ?1, 'p1', 'p2', 'a', 'error', ?1, 'z')";
    for number in 0..3 {
        database.execute(insert, [uuid(number)]).unwrap();
    }
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
    folder.fill(HEADER);
    let fresh = Folder::new();
    fresh.fill(HEADER);
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
    let all: Vec<&str> = COLUMNS.split(", ").collect();
    for missing in &all {
        let columns: Vec<&str> = all.iter().copied().filter(|column| column != missing).collect();
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
        if ["name", "availability_zone"].contains(missing) {
            assert!(loaded.status.success(), "{}", said(&loaded));
            assert_eq!(folder.serve(&[]).count(), 3);
            let is_empty = |row: &String| row.contains(",,") || row.contains(",\n");
            assert_eq!(rows(&folder).into_iter().filter(is_empty).count(), 2, "{missing}");
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
    let mut columns: Vec<&str> = COLUMNS.split(", ").chain(["note"]).collect();
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
fn what_others_made_of_a_database_is_kept_or_the_load_refused() {
    let folder = Folder::new();
    folder.fill(&csv(0, 3));
    let database = Connection::open(folder.database()).unwrap();
    database.execute_batch("CREATE INDEX \"of \"\"theirs\" ON backup_sharing (name)").unwrap();
    folder.fill(&csv(3, 90));
    let indexes = "SELECT count(*) FROM sqlite_schema WHERE type = 'index'";
    let indexes: u32 = database.query_row(indexes, [], |row| row.get(0)).unwrap();
    assert_eq!(indexes, 11);

    database.execute_batch("CREATE UNIQUE INDEX one ON backup_sharing (backup_id)").unwrap();
    let loaded = folder.load("a.csv", csv(90, 91).replacen(&uuid(90), &uuid(91), 1));
    assert!(loaded.status.success(), "{}", said(&loaded));
    let loaded = folder.load("a.csv", csv(90, 91));
    let why = "UNIQUE constraint failed: backup_sharing.backup_id";
    assert!(said(&loaded).contains(why), "{}", said(&loaded));

    // A view goes on to count after the rows have moved to another table, and rows that
    // refer to them stay.
    let folder = Folder::new();
    let database = Connection::open(folder.database()).unwrap();
    database.execute_batch(EARLIER).unwrap();
    database
        .execute_batch(
            "CREATE VIEW all_of_them AS SELECT id FROM backup_sharing;
             CREATE TABLE notes (of TEXT REFERENCES backup_sharing (id) ON DELETE CASCADE);
             INSERT INTO backup_sharing VALUES ('1', 'b', 'p1', 'p2', '', 'error', 'v', '');
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
    let database = Connection::open(folder.database()).unwrap();
    database.execute_batch(EARLIER).unwrap();
    let trigger = "CREATE TRIGGER theirs AFTER INSERT ON backup_sharing BEGIN SELECT 1; END";
    database.execute_batch(trigger).unwrap();
    let loaded = folder.load("a.csv", csv(0, 3));
    assert!(said(&loaded).contains("its trigger theirs would be lost. "), "{}", said(&loaded));
}

#[test]
fn what_never_ends_is_not_kept_in_memory() {
    let endless = " ".repeat(2 << 20);
    for (name, content, place) in [
        ("a.csv", csv(0, 2) + "\"" + &endless, "line 4"),
        ("a.csv", endless.clone(), "line 1"),
        ("a.json", format!("[{}, {{\"name\": \"{endless}", object(0)), "row 2, line 3"),
    ] {
        assert_eq!(refused(name, content), format!("{place}: a row of more than 1 MiB"));
    }
    let name = "x".repeat(1000);
    let said = refused("a.csv", HEADER.replace("status", &name));
    assert!(said.len() < 300 && said.contains("got \"xxx"), "{said}");
    let said = refused("a.json", format!("[{{\"{name}\": 1}}]"));
    assert!(said.len() < 300 && said.contains("got \"xxx"), "{said}");
    // Many rows are no long row.
    Folder::new().fill(&csv(0, 20_000));
}

#[test]
fn a_file_that_cannot_be_read_makes_no_database() {
    let folder = Folder::new();
    for (name, sentence) in [
        ("missing.csv", "Could not open {}: No such file or directory (os error 2)."),
        (".", "{} is a folder, not a file."),
    ] {
        let file = folder.path(name);
        let output = folder.loading(&file).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let sentence = sentence.replace("{}", &file.display().to_string());
        assert_eq!(said(&output), format!("count-store: {sentence}\n"));
    }
    assert!(!folder.database().exists());
}

#[test]
fn what_is_no_database_stays_as_it_is() {
    let folder = Folder::new();
    let text = "not a database, and long enough to be sure of it".repeat(100);
    let database = folder.write("count.db", &text);
    let output = folder.load("a.csv", csv(0, 1));
    assert_eq!(output.status.code(), Some(1));
    let why = format!("the database {}: it is not an SQLite database", database.display());
    assert_eq!(said(&output), format!("count-store: Could not open {why}.\n"));
    assert_eq!(std::fs::read_to_string(database).unwrap(), text);
}

#[test]
fn help_is_for_a_person_and_wrong_usage_is_2() {
    let help = |arguments: &[&str]| {
        let output = count_store().args(arguments).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(help(&["--help"]).contains("Add the rows of a file to the database"));
    assert!(help(&["load", "--help"]).contains("nothing of the file is kept"));
    assert!(help(&["serve", "--help"]).contains("--token-file <FILE>"));
    for wrong in [&[][..], &["count"], &["load", "a.csv"], &["serve", "--database", "a.db"]] {
        assert_eq!(count_store().args(wrong).output().unwrap().status.code(), Some(2), "{wrong:?}");
    }
}

/// As somebody would paste it, but for the server, which is started by the test.
#[test]
fn the_example_in_the_help_works() {
    for arguments in [&["--help"][..], &["load", "--help"]] {
        let help =
            String::from_utf8(count_store().args(arguments).output().unwrap().stdout).unwrap();
        let (_, example) = help.split_once("Example:\n\n").expect(&help);
        let (load, serve) = example.split_once("count-store serve").expect(example);
        let folder = Folder::new();
        let program = Path::new(env!("CARGO_BIN_EXE_count-store")).parent().unwrap();
        let output = Command::new("/bin/sh")
            .args(["-euc", load])
            .env("PATH", program)
            .current_dir(folder.path(""))
            .output()
            .unwrap();
        assert!(output.stdout.starts_with(b"loaded 2 rows in "), "{}", said(&output));

        std::fs::rename(folder.path("sharings.db"), folder.database()).unwrap();
        let (_, target) = serve.split_once("http://127.0.0.1:8080").expect(serve);
        let target = target.trim().trim_end_matches('\'');
        assert_eq!(folder.serve(&[]).get(target, &[]).text(), "{\"count\":1}");
    }
}
