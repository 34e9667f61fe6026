//! `count-store` with PostgreSQL: what it says of a database it cannot use, which tables it takes, and whom it trusts.

#![cfg(test)]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{
    Folder, LONG, PATH, Server, count_in, csv, line, loading, object, said, serving, signal, uuid,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use testkit::{postgres, wait_for};

/// What a command that fails says, without the program's name.
fn refused(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{command:?}");
    let said = said(&output);
    let sentence = said.strip_prefix("count-store: ").and_then(|said| said.strip_suffix(".\n"));
    sentence.expect(&said).to_owned()
}

/// Loads good rows.
fn fill(folder: &Folder, database: &str, rows: &str) {
    let output = loading(database, &folder.write("good.csv", rows)).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_database_that_cannot_be_used_is_a_sentence() {
    let folder = Folder::new();
    let server = postgres::Server::start().unwrap();
    let (url, address) = (server.url(), server.address());
    let serve = |database: &str| refused(serving(database));

    let none =
        format!("No database to count in. {address} has no table backup_sharing in its database");
    assert_eq!(serve(&url), none);
    fill(&folder, &url, &csv(0, 3));
    assert_eq!(Server::start(serving(&url)).count(), 3);

    let said = |why: &str| format!("No database to count in. {address}: {why}");
    assert_eq!(serve(&server.url_of("nope")), said("database \"nope\" does not exist"));
    let stranger = url.replace("postgres@", "stranger@");
    assert_eq!(serve(&stranger), said("role \"stranger\" does not exist"));
    let no_tls = "error performing TLS handshake: server does not support TLS";
    assert_eq!(serve(&format!("{url}?sslmode=require")), said(no_tls));

    let mut client = server.client().unwrap();
    client.batch_execute("CREATE ROLE reader LOGIN").unwrap();
    let reader = url.replace("postgres@", "reader@");
    let denied = "lets this role read no backup_sharing: permission denied for table backup_sharing \
                  (GRANT SELECT)";
    assert_eq!(serve(&reader), format!("No database to count in. {address} {denied}"));
    client.batch_execute("GRANT SELECT ON backup_sharing TO reader").unwrap();
    assert_eq!(Server::start(serving(&reader)).count(), 3);
    let rows = folder.write("more.csv", csv(3, 4));
    let said = refused(loading(&reader, &rows));
    let denied = format!(
        "Could not write to the database at {address}: must be owner of table backup_sharing. Nothing was loaded"
    );
    assert!(
        said == denied || said.contains("permission denied for table backup_sharing"),
        "{said}"
    );

    // PostgreSQL's own version cannot be set, but what tells it can be stood in front of.
    client
        .batch_execute(
            "CREATE FUNCTION current_setting(text) RETURNS text LANGUAGE sql AS $$SELECT '110022'$$;
             ALTER ROLE reader SET search_path = public, pg_catalog",
        )
        .unwrap();
    let old = "is PostgreSQL 11, and it takes 12 or newer";
    assert_eq!(serve(&reader), format!("No database to count in. {address} {old}"));

    server.stop().unwrap();
    let refused = "error connecting to server: Connection refused (os error 111)";
    assert_eq!(serve(&url), format!("No database to count in. {address}: {refused}"));
    let said = self::refused(loading(&url, &rows));
    assert_eq!(said, format!("No database to load into. {address}: {refused}"));
}

#[test]
fn options_for_postgresql_mean_nothing_to_a_file() {
    let folder = Folder::with_rows(3);
    for option in
        [["--table", "t"], ["--timeout", "1s"], ["--max-lag", "1s"], ["--connections", "1"]]
    {
        let mut command = folder.serving();
        command.args(option);
        assert!(
            refused(command).contains("are for PostgreSQL, and --database is a file"),
            "{option:?}"
        );
    }
    for bad in [
        ["--timeout", "9ms"],
        ["--timeout", "1"],
        ["--max-lag", "999ms"],
        ["--max-lag", "2h"],
        ["--connections", "0"],
    ] {
        let output = folder.serving().args(bad).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{bad:?}: {}", said(&output));
    }
}

#[test]
fn another_table_or_view_is_taken_if_it_has_the_columns() {
    let folder = Folder::new();
    let server = postgres::Server::start().unwrap();
    fill(&folder, &server.url(), &csv(0, 3));
    let mut client = server.client().unwrap();
    client
        .batch_execute(
            "CREATE SCHEMA \"Other\";
             CREATE VIEW \"Other\".sharings AS SELECT * FROM backup_sharing WHERE name <> 'backup 2';
             CREATE TABLE loose AS SELECT id::text, backup_id, from_project_id::varchar(64), to_project_id,
                 upper(name) AS name, status, volume_id::varchar, availability_zone FROM backup_sharing;
             INSERT INTO loose (id, from_project_id) VALUES ('of an older time', 'p1');
             CREATE VIEW broken AS SELECT id, backup_id, from_project_id, to_project_id,
                 convert_from(CASE name WHEN 'backup 1' THEN '\\xff' ELSE name::bytea END, 'UTF8') AS name,
                 status, volume_id, availability_zone FROM backup_sharing;
             CREATE VIEW number AS SELECT 1 AS id, backup_id, from_project_id, to_project_id, name,
                 status, volume_id, availability_zone FROM backup_sharing;
             CREATE VIEW project AS SELECT id, backup_id, id AS from_project_id, to_project_id, name,
                 status, volume_id, availability_zone FROM backup_sharing;
             CREATE VIEW less AS SELECT id, from_project_id, to_project_id, name, status FROM backup_sharing",
        )
        .unwrap();
    let serving = |table: &str| {
        let mut command = serving(server.url());
        command.args(["--table", table]);
        command
    };
    for (table, count) in [("\"Other\".sharings", 2), ("loose", 4), ("public.backup_sharing", 3)] {
        let store = Server::start(serving(table));
        assert_eq!(store.count(), count, "{table}");
        let count = |query: &str| count_in(&store.get(format!("{PATH}?{query}"), &[]));
        assert_eq!(count("name=BACKUP%201"), 1, "{table}");
        assert_eq!(count(&format!("volume_id={}&backup_id={0}", uuid(1))), 1, "{table}");
    }
    // A row that cannot be read is no row that does not match.
    let broken = Server::start(serving("broken"));
    assert_eq!(broken.count(), 3);
    assert_eq!(broken.get(format!("{PATH}?name=backup"), &[]).status, 500);
    let refused = |table: &str| refused(serving(table));
    let said = |what: &str| format!("No database to count in. {} {what}", server.address());
    assert_eq!(refused("sharings"), said("has no table sharings in its database"));
    assert_eq!(
        refused("x; DROP TABLE loose"),
        said("has no table x; DROP TABLE loose in its database")
    );
    assert_eq!(refused("less"), said("has no backup_id, volume_id, availability_zone in less"));
    let text = "(a view can give that)";
    assert_eq!(
        refused("number"),
        said(&format!("has id of number as integer, and it takes text or uuid {text}"))
    );
    assert_eq!(
        refused("project"),
        said(&format!("has from_project_id of project as uuid, and it takes text {text}"))
    );
}

#[test]
fn passwords_come_from_the_environment_or_a_file() {
    let folder = Folder::new();
    let server = postgres::Server::options().password("secret").start().unwrap();
    let address = server.address();
    let url = format!("postgres://postgres@{address}/postgres");
    let rows = folder.write("rows.csv", csv(0, 3));
    let missing = refused(loading(&url, &rows));
    assert_eq!(
        missing,
        format!(
            "No database to load into. {address}: invalid configuration: password missing: PGPASSWORD or --password-file"
        )
    );
    let mut wrong = loading(&url, &rows);
    wrong.env("PGPASSWORD", "guess");
    let said = format!("{address}: password authentication failed for user \"postgres\"");
    assert_eq!(refused(wrong), format!("No database to load into. {said}"));
    assert!(loading(&url, &rows).env("PGPASSWORD", "secret").status().unwrap().success());

    let file = folder.write("password", "secret\n# of the first line only\n");
    let mut command = serving(&url);
    command.arg("--password-file").arg(file);
    assert_eq!(Server::start(command).count(), 3);
    let mut command = serving(&url);
    command.arg("--password-file").arg(folder.write("empty", "\n"));
    assert!(refused(command).ends_with("empty is empty"));
    // Seen by everybody, so refused, and not repeated.
    let output = serving(url.replace("postgres@", "postgres:secret@")).output().unwrap();
    let said = common::said(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("PGPASSWORD") && !said.contains("secret"), "{said}");
}

#[test]
fn certificates_are_looked_at_as_the_url_says() {
    let folder = Folder::new();
    let issuer = |name: &str| {
        let mut ca = CertificateParams::new([]).unwrap();
        ca.distinguished_name.push(rcgen::DnType::CommonName, name);
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap()
    };
    let (ours, others) = (issuer("ours"), issuer("others"));
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &ours).unwrap();
    let server = postgres::Server::options();
    let server = server.tls(&certificate.pem(), &key.serialize_pem()).start().unwrap();
    let [ours, others] = [("ours", ours), ("others", others)]
        .map(|(name, issuer)| folder.write(name, issuer.pem()).to_str().unwrap().to_owned());
    let port = server.address().port();
    let url = |host: &str, rest: &str| {
        format!("postgres://postgres@{host}:{port}/postgres?sslmode={rest}")
    };
    fill(&folder, &url("127.0.0.1", "require"), &csv(0, 3));
    for (host, rest) in [
        ("127.0.0.1", "prefer".to_owned()),
        ("127.0.0.1", format!("verify-ca&sslrootcert={ours}")),
        ("127.0.0.1", format!("require&sslrootcert={ours}")),
        ("localhost", format!("verify-full&sslrootcert={ours}")),
    ] {
        assert_eq!(Server::start(serving(url(host, &rest))).count(), 3, "{host} {rest}");
    }
    let unknown = "invalid peer certificate: UnknownIssuer";
    for (host, rest, why) in [
        ("127.0.0.1", "disable".to_owned(), "no encryption"),
        ("127.0.0.1", format!("verify-full&sslrootcert={ours}"), "certificate not valid for name"),
        ("localhost", format!("verify-full&sslrootcert={others}"), unknown),
        ("localhost", format!("verify-ca&sslrootcert={others}"), unknown),
        ("localhost", format!("require&sslrootcert={others}"), unknown),
    ] {
        let said = refused(serving(url(host, &rest)));
        assert!(said.contains(why), "{host} {rest}: {said}");
    }
}

#[test]
fn rows_are_added_all_or_none() {
    let folder = Folder::new();
    let server = postgres::Server::start().unwrap();
    let url = server.url();
    let load = |name: &str, content: &str| loading(&url, &folder.write(name, content));
    // A database without a table has none after a load that failed.
    let twice =
        |number| format!("id: expected one that no other row has, got \"{}\"", uuid(number));
    for (content, place) in [
        (csv(0, 2) + &line(1), &format!("line 4: {}", twice(1))[..]),
        (csv(0, 2) + &line(2).replacen(&uuid(2), "x", 1), "line 4: id: expected a UUID, got \"x\""),
    ] {
        let said = refused(load("bad.csv", &content));
        assert_eq!(
            said,
            format!("{}, {place}. Nothing was loaded", folder.path("bad.csv").display())
        );
        let mut client = server.client().unwrap();
        let found = client.query_one("SELECT to_regclass('backup_sharing') IS NULL", &[]).unwrap();
        assert!(found.get::<_, bool>(0), "{content}");
    }
    fill(&folder, &url, &csv(0, 3));
    let store = Server::start(serving(&url));
    let again = format!("[\n{},\n{}]", object(7), object(1));
    for (name, content, place) in
        [("again.csv", csv(5, 7) + &line(1), "line 4"), ("again.json", again, "row 2, line 7")]
    {
        let said = refused(load(name, &content));
        let file = folder.path(name);
        let why = format!("{place}: {}", twice(1));
        assert_eq!(said, format!("{}, {why}. Nothing was loaded", file.display()));
        assert_eq!(store.count(), 3);
    }
    let output = load("more.csv", &csv(3, 5)).output().unwrap();
    assert!(output.stdout.starts_with(b"loaded 2 rows in "), "{}", said(&output));
    assert_eq!(store.count(), 5);

    // What a row calls may name lines too.
    let trigger = "CREATE FUNCTION refuse(text, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
            IF $1 = $2 THEN RAISE 'it is refused'; END IF; END $$;
        CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM refuse(NEW.name, 'backup 8'); RETURN NEW; END $$;
        CREATE TRIGGER judge BEFORE INSERT ON backup_sharing FOR EACH ROW EXECUTE FUNCTION judge()";
    server.client().unwrap().batch_execute(trigger).unwrap();
    let said = refused(load("judged.csv", &csv(5, 10)));
    let why = "line 5: the row could not be stored: it is refused";
    assert!(said.ends_with(&format!("judged.csv, {why}. Nothing was loaded")), "{said}");
}

#[test]
fn a_load_that_is_told_to_stop_leaves_nothing() {
    let server = postgres::Server::start().unwrap();
    let mut command = loading(server.url(), Path::new("-"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(csv(0, 5_000).as_bytes()).unwrap();
    let mut client = server.client().unwrap();
    let mut copies = || {
        let copies = "SELECT FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active'";
        client.query(copies, &[]).unwrap().len()
    };
    wait_for("the rows to be on their way", LONG, || (copies() == 1).then_some(())).unwrap();
    signal(&child, "INT");
    // It hears of the signal at the next row.
    let _ = input.write_all(line(5_000).as_bytes());
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains("nterrupted. Nothing was loaded."), "{said}");
    wait_for("the copy to end", LONG, || (copies() == 0).then_some(())).unwrap();
    let found = client.query_one("SELECT to_regclass('backup_sharing') IS NULL", &[]).unwrap();
    assert!(found.get::<_, bool>(0));
}

#[test]
fn rows_that_no_standby_has_confirmed_are_no_success() {
    let folder = Folder::new();
    let server = postgres::Server::start().unwrap();
    fill(&folder, &server.url(), &csv(0, 3));
    // There is no such standby, so a commit waits for ever.
    let wait = "ALTER SYSTEM SET synchronous_standby_names = 'nobody'";
    let mut client = server.client().unwrap();
    client.batch_execute(wait).unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    let mut command = loading(server.url(), &folder.write("more.csv", csv(3, 5)));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let waiting = "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'";
    wait_for("the commit to wait", LONG, || {
        (client.query(waiting, &[]).unwrap().len() == 1).then_some(())
    })
    .unwrap();
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = format!(
        "count-store: The rows are loaded at {}, but: canceling wait for synchronous replication due to user request.\n",
        server.address()
    );
    assert_eq!(said(&output), expected);
}
