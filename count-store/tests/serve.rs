//! `count-store serve`: the documented call and its refusals, over a socket.

#![cfg(test)]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use common::{Folder, PATH, Server, count_in, count_store, csv, header, said, uuid};
use rusqlite::Connection;
use testkit::http::{self, Response};

/// Whether a response is this fault, to the byte.
fn assert_fault(response: &Response, status: u16, fault: &str, message: &str) {
    let message = message.replace('"', "\\\"");
    let body = format!(r#"{{"{fault}":{{"code":{status},"message":"{message}"}}}}"#);
    assert_eq!((response.status, response.text()), (status, body));
    assert_eq!(response.header("content-type"), Some("application/json"));
}

#[test]
fn valid_calls_are_counted() {
    let folder = Folder::with_rows(3);
    let server = folder.serve(&[]);
    let upper = uuid(1).to_uppercase();
    for (query, count) in [
        ("".to_owned(), 3),
        ("?".to_owned(), 3),
        ("?share_to_me=True".to_owned(), 0),
        ("?name=BACKUP+1".to_owned(), 1),
        ("?name=b%25".to_owned(), 0),
        (format!("?volume_id={upper}&status=AVAILABLE&avalilability_zone=eu-de-01"), 1),
        (format!("?backup_id={upper}&to_project_id=p2&availability_zone=eu-de-02"), 0),
    ] {
        assert_eq!(count_in(&server.get(format!("{PATH}{query}"), &[])), count, "{query}");
    }
    let path = PATH.replace("p1", "p2");
    assert_eq!(count_in(&server.get(&path, &[])), 0);
    assert_eq!(count_in(&server.get(format!("{path}?share_to_me=1"), &[])), 3);
}

#[test]
fn refusals_are_those_of_the_contract() {
    let folder = Folder::with_rows(3);
    let server = folder.serve(&[]);
    for method in ["POST", "HEAD", "OPTIONS", "DELETE"] {
        let response = http::request(server.address, method, PATH, &[]).unwrap();
        assert_eq!(response.status, 405, "{method}");
        assert_eq!(response.header("allow"), Some("GET"));
        if method != "HEAD" {
            assert_fault(&response, 405, "badMethod", "Only GET counts backup sharings.");
        }
    }
    let response = server.get(PATH, &[("accept", b"text/html, application/json;q=0")]);
    let message = "The answer is application/json, which the accept header rules out.";
    assert_fault(&response, 406, "computeFault", message);

    let mut connection = http::Connection::open(server.address).unwrap();
    let head: [(&str, &[u8]); 2] = [("host", b"a"), ("content-length", b"2")];
    connection.send(&http::encode_request("GET", PATH, &head, b"{}")).unwrap();
    let message = "content-length: expected 0, for this call has no body";
    assert_fault(&connection.receive(false).unwrap(), 400, "badRequest", message);

    for (target, message) in [
        (format!("{PATH}?name=a&name=b"), "name: expected once, got it again"),
        (format!("{PATH}?volume_id=1"), r#"volume_id: expected a UUID, got "1""#),
        (
            PATH.replace("p1", "p.1"),
            r#"project_id: expected 1 to 64 of 0-9 A-Z a-z _ -, got "p.1""#,
        ),
    ] {
        assert_fault(&server.get(target, &[]), 400, "badRequest", message);
    }
    let unknown = server.get(format!("{PATH}?Name=a"), &[]);
    assert_eq!(unknown.status, 400);
    assert!(unknown.text().contains("is not a filter of this call; expected one of share_to_me,"));
    let disguised = PATH.replace("/count", "//count");
    for path in ["/", "/v2/p1/os-vendor-backup-sharing/detail", "/healthz/x", &disguised] {
        let message = "The resource could not be found.";
        assert_fault(&server.get(path, &[]), 404, "itemNotFound", message);
    }
}

#[test]
fn the_statuses_that_requests_may_name_are_configurable() {
    let folder = Folder::new();
    folder.fill(&csv(0, 3).replacen("available", "gone-2", 1));
    let server = folder.serve(&["--status", "gone-2", "--status", "ok"]);
    let ask = |status: &str| server.get(format!("{PATH}?status={status}"), &[]);
    assert_eq!((count_in(&ask("Gone-2")), count_in(&ask("ok"))), (1, 0));
    let message = "status: expected one of gone-2, ok, got \"available\"";
    assert_fault(&ask("available"), 400, "badRequest", message);
}

#[test]
fn any_byte_may_come() {
    let folder = Folder::new();
    folder.fill(&csv(0, 2).replace("backup 1", "Sicherung für Köln"));
    let server = folder.serve(&[]);
    // Raw UTF-8 in the query is read as if it were encoded.
    assert_eq!(count_in(&server.get(format!("{PATH}?name=für Köln").replace(' ', "+"), &[])), 1);
    // Bytes that are no UTF-8, in headers that matter and in one that does not.
    assert_eq!(count_in(&server.get(PATH, &[("x-odd", b"\x80\xFF")])), 2);
    assert_eq!(count_in(&server.get(PATH, &[("accept", b"\xFF/\xFF")])), 2);
    let refused = server.get(PATH, &[("accept", b"\xFF, text/html")]);
    assert_eq!(refused.status, 406);
    let refused = server.get(format!("{PATH}?name=%FF"), &[]);
    assert!(refused.text().starts_with(r#"{"badRequest":{"code":400,"message":"name: expected"#));
    // hyper refuses this itself, and so without our body.
    let raw = [PATH.as_bytes(), b"?name=\xFF"].concat();
    assert_eq!(server.get(raw, &[]).status, 400);
    assert_eq!(server.count(), 2, "and it goes on");
}

#[test]
fn tokens_open_their_own_project() {
    let folder = Folder::with_rows(3);
    let server = folder.serve(&["--token", "one==p1", "--token", "two=p2"]);
    let ask = |target: &str, token: &[u8]| server.get(target, &[("X-Auth-Token", token)]);
    assert_eq!(count_in(&ask(PATH, b"one=")), 3);

    let message = "The request needs authentication.";
    for response in [server.get(PATH, &[]), ask(PATH, b"One="), ask(PATH, b"\xFF"), ask(PATH, b"")]
    {
        assert_fault(&response, 401, "unauthorized", message);
        let challenge = response.header("www-authenticate");
        assert_eq!(challenge, Some("X-Auth-Token realm=\"count-store\""));
    }
    let message = "You may not do this in this project.";
    assert_fault(&ask(PATH, b"two"), 403, "forbidden", message);

    // A caller without access learns nothing about the filters; one with access does.
    let bad = format!("{PATH}?x=1");
    assert_eq!(server.get(&bad, &[]).status, 401);
    assert_eq!(ask(&bad, b"two").status, 403);
    assert_eq!(ask(&bad, b"one=").status, 400);
    assert_eq!(server.get("/other", &[]).status, 404);
    assert_eq!(server.get("/healthz", &[]).status, 200);
}

#[test]
fn tokens_come_from_a_file_and_the_environment_too() {
    let folder = Folder::with_rows(3);
    let file = folder.write("tokens", "# one line each\n\none=p1\n");
    let serve = |file: &Path, variable: &str| {
        let mut command = folder.serving();
        command.arg("--token-file").arg(file).env("COUNT_STORE_TOKENS", variable);
        command
    };
    let server = Server::start(serve(&file, "two=p1\nthree=p2"));
    for (token, status) in [("one", 200), ("two", 200), ("three", 403), ("four", 401)] {
        assert_eq!(
            server.get(PATH, &[("x-auth-token", token.as_bytes())]).status,
            status,
            "{token}"
        );
    }
    // Where tokens were meant and there are none, no project is opened to everybody.
    let empty = folder.write("empty", "# none yet\n");
    for (file, variable, sentence) in [
        (
            &empty,
            "two=p2",
            format!("{}, line 1: expected TOKEN=PROJECT, got nothing.", empty.display()),
        ),
        (&file, "", "COUNT_STORE_TOKENS, token 1: expected TOKEN=PROJECT, got nothing.".to_owned()),
        (&file, "a=p1 secret", "COUNT_STORE_TOKENS, token 2: expected TOKEN=PROJECT.".to_owned()),
    ] {
        let output = serve(file, variable).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(said(&output), format!("count-store: {sentence}\n"));
    }
    let output = serve(&folder.path("none"), "a=p1").output().unwrap();
    assert!(said(&output).starts_with("count-store: Could not read the tokens in "));
}

#[test]
fn a_port_alone_is_every_address() {
    let folder = Folder::with_rows(3);
    let mut command = count_store();
    command.arg("serve").arg("--database").arg(folder.database()).args(["--listen", ":0"]);
    let server = Server::start(command);
    assert!(server.address.ip().is_unspecified());
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, server.address.port()));
    assert_eq!(count_in(&http::request(local, "GET", PATH, &[]).unwrap()), 3);
}

#[test]
fn a_database_that_breaks_is_an_error_and_never_a_count() {
    let folder = Folder::with_rows(3);
    let server = folder.serve(&[]);
    let healthy = server.get("/healthz", &[]);
    assert_eq!((healthy.status, healthy.text()), (200, "{\"status\":\"ok\"}".to_owned()));
    assert_eq!(server.count(), 3);

    let unavailable = "The count store is unavailable. Try again later.";
    let database = Connection::open(folder.database()).unwrap();
    database.execute_batch("DROP TABLE backup_sharing").unwrap();
    let message = "The count failed for a reason inside the service.";
    assert_fault(&server.get(PATH, &[]), 500, "computeFault", message);
    assert_fault(&server.get("/healthz", &[]), 503, "serviceUnavailable", unavailable);

    drop(database);
    std::fs::remove_file(folder.database()).unwrap();
    assert_fault(&server.get(PATH, &[]), 503, "serviceUnavailable", unavailable);
    assert_fault(&server.get("/healthz", &[]), 503, "serviceUnavailable", unavailable);
    assert!(!folder.database().exists(), "nor is an empty one made");

    // Another file under the same name is what counts from then on.
    folder.fill(&csv(0, 5));
    assert_eq!(server.count(), 5);
    assert_eq!(server.get("/healthz", &[]).status, 200);

    server.signal("TERM");
    let (status, stderr) = server.end();
    assert!(status.success());
    // Each reason once a second, however many ask.
    let reasons =
        ["Could not read the database: no such table", "Could not read the database: unable"];
    for reason in reasons {
        assert!((1..=2).contains(&stderr.matches(reason).count()), "{stderr}");
    }
}

#[test]
fn a_closed_standard_error_is_no_reason_to_fail() {
    let folder = Folder::with_rows(3);
    let mut server = folder.serve(&[]);
    server.stop_listening();
    let database = Connection::open(folder.database()).unwrap();
    database.execute_batch("DROP TABLE backup_sharing").unwrap();
    assert_eq!(server.get(PATH, &[]).status, 500);
}

#[test]
fn serve_says_what_is_missing_and_ends() {
    let folder = Folder::new();
    let refused = |arguments: &[&str]| {
        let mut command = count_store();
        command.arg("serve").arg("--database").arg(folder.database());
        let output = command.args(arguments).output().unwrap();
        assert_eq!(output.stdout, b"");
        (output.status.code(), said(&output))
    };
    let database = folder.database();
    let database = database.display();
    let listen = ["--listen", "127.0.0.1:0"];
    let advice = format!("Make one with `count-store load --database {database} SHARINGS`.");

    let sentence = format!("count-store: There is no database {database}. {advice}\n");
    assert_eq!(refused(&listen), (Some(1), sentence));
    folder.write("count.db", "");
    let sentence = format!("count-store: {database} has no table of backup sharings. {advice}\n");
    assert_eq!(refused(&listen), (Some(1), sentence));
    folder.write("count.db", "no database".repeat(1000));
    let sentence = format!("Could not read the database {database}: it is not an SQLite database.");
    assert_eq!(refused(&listen), (Some(1), format!("count-store: {sentence}\n")));

    std::fs::remove_file(folder.database()).unwrap();
    folder.fill(&header());
    let (code, said) = refused(&["--listen", "127.0.0.1:http"]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("count-store: Could not listen at 127.0.0.1:http: "), "{said}");
    let (code, said) = refused(&["--listen", "127.0.0.1:0", "--token", "a=p1", "--token", "a=p2"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("--token, number 2: the token is for p1 already"), "{said}");
    let (code, said) = refused(&["--listen", "127.0.0.1:0", "--token", "secret"]);
    assert_eq!((code, said.contains("secret")), (Some(1), false), "{said}");
}
