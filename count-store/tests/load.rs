//! `count-store load`: good files, bad files, and what is left of them.

#![cfg(test)]

mod common;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Folder, Server, count_store, csv, header, line, object, rows, said, uuid};
use count_store::columns::{COLUMNS, Column, names};

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
    let expected = line(0xABC).replace("p2", "P2").replace("backup 2748", "a \"b\", c");
    assert_eq!(rows(&folder), [expected.replace("eu-de-01", "")]);
}

#[test]
fn json_rows_are_added() {
    let folder = Folder::new();
    let nothing = object(1).replace("\"backup 1\"", "null").replace("eu-de-01", "");
    let output = folder.load("a.JSON", format!("[{}, {nothing}]\n", object(0)));
    assert!(output.status.success(), "{}", said(&output));
    let bare = line(1).replace("backup 1", "").replace("eu-de-01", "");
    assert_eq!(rows(&folder), [line(0), bare.clone()]);
    // What a row may be without may be left out, in CSV for all rows.
    let csv = Folder::new();
    csv.fill(&format!("id,backup_id,from_project_id,to_project_id,status,volume_id\n{0},{0},p1,p2,available,{0}\n", uuid(1)));
    let json = Folder::new();
    let left_out = object(1).replace("\"name\": \"backup 1\", ", "");
    let left_out = left_out.replace(", \"availability_zone\": \"eu-de-01\"", "");
    assert!(json.load("a.json", format!("[{left_out}]")).status.success());
    assert_eq!((rows(&csv), rows(&json)), (vec![bare.clone()], vec![bare]));
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
    let values = |line, got| format!("line {line}: expected {} values, got {got}", COLUMNS.len());
    for (content, error) in [
        (csv(0, 2) + &bad("x"), "line 4: id: expected a UUID, got \"x\""),
        ((csv(0, 2) + &bad("x")).replace('\n', "\r\n"), "line 4: id: expected a UUID, got \"x\""),
        (csv(0, 2) + "\n\r\n\n" + &bad("x"), "line 7: id: expected a UUID, got \"x\""),
        (csv(0, 2) + bad("").trim(), "line 4: id: expected a UUID, got nothing"),
        (csv(0, 2) + &bad("x,y"), &values(4, COLUMNS.len() + 1)),
        (csv(0, 2) + "x", &values(4, 1)),
        (
            csv(0, 1) + &line(1).replace("backup 1", "\"a\nb\"") + &bad("x"),
            "line 3: name: expected nothing or 1 to 255 characters, none of them a control character, \
             got \"a\u{FFFD}b\"",
        ),
        (csv(0, 1) + "\"open\n\n", &values(3, 1)),
        (
            header() + &line(0).replace("p1", "p 1"),
            "line 2: from_project_id: expected 1 to 64 of 0-9 A-Z a-z _ -, got \"p 1\"",
        ),
        (
            header() + &line(0).replace("available", "Available"),
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
        (
            String::new(),
            format!("expected a header line with the columns {}, got nothing", names()),
        ),
        (
            header().replace("status", "state"),
            format!("expected the columns {}, got \"state\"", names()),
        ),
        (header().replace(",status", ""), "the column status is missing".to_owned()),
        (header().replace("id,backup", "id,id,backup"), "the column id is there twice".to_owned()),
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
            "row 1, line 2: to_project_id: expected a string",
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
    let error = format!("row 1, line 3: expected the members {}, got \"state\"", names());
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
    let said = refused("a.csv", header().replace("status", &name));
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

/// As a reader would paste it, but for the server, which is started by the test.
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

#[test]
fn the_demonstration_and_the_contract_have_all_columns() {
    let (header, _) = include_str!("../../demo/sharings.csv").split_once('\n').unwrap();
    let (_, contract) =
        include_str!("../../docs/contract.md").split_once("## Count store").unwrap();
    for Column { name, .. } in &COLUMNS {
        assert!(
            header.split(',').any(|it| it == *name),
            "demo/sharings.csv lacks the column {name}"
        );
        let has = contract.split([' ', '\n', '`']).any(|word| word == *name);
        assert!(has, "docs/contract.md#count-store lacks the column {name}");
    }
}
