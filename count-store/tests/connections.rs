//! What clients may do to their connections, and what becomes of them: none is waited for
//! for ever. Limits of 1 to 10 s are waited for here, for as long as a slow machine may need.

#![cfg(test)]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::{Folder, LONG, PATH, Server, count_in};
use rusqlite::Connection as Database;
use testkit::http::{Connection, encode_request};

/// Opens a connection and sends some bytes.
fn open(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// All that comes until the server closes.
fn until_closed(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the server closes the connection");
    String::from_utf8(bytes).unwrap()
}

#[test]
fn unfinished_headers_and_an_idle_connection_are_closed() {
    let folder = Folder::with_rows(3);
    let server = folder.serve(&[]);
    let request = format!("GET {PATH} HTTP/1.1\r\nhost: a\r\n\r\n");
    let (head, _) = request.split_once("host").unwrap();
    let start = Instant::now();
    let waiting =
        [&b""[..], head.as_bytes(), request.as_bytes(), format!("{request}{head}").as_bytes()]
            .map(|bytes| open(server.address, bytes));
    // Headers that come in small pieces have no more time than those that do not come.
    let mut slow = open(server.address, b"GET / HTTP/1.1\r\n");
    let slow = thread::spawn(move || {
        while slow.write_all(b"a: b\r\n").is_ok() {
            thread::sleep(Duration::from_millis(200));
        }
    });
    let [silent, half, idle, again] = waiting.map(until_closed);
    assert_eq!((silent.as_str(), half.as_str()), ("", ""));
    assert_eq!(idle.matches("{\"count\":3}").count(), 1, "{idle}");
    assert_eq!(again.matches("{\"count\":3}").count(), 1, "{again}");
    slow.join().unwrap();
    assert!(
        start.elapsed() >= Duration::from_secs(9),
        "Envoy is idle for 4 s: {:?}",
        start.elapsed()
    );
}

#[test]
fn who_does_not_read_is_not_written_to_for_ever() {
    let folder = Folder::with_rows(3);
    let server = folder.serve(&[]);
    let mut stream = open(server.address, b"");
    // The answers of 400 bytes each fill what is buffered on the way.
    let requests = format!("GET {PATH}?not=a+filter HTTP/1.1\r\nhost: a\r\n\r\n").repeat(1000);
    let error = loop {
        if let Err(error) = stream.write_all(requests.as_bytes()) {
            break error;
        }
    };
    // And not the time limit of this side, which is WouldBlock.
    let kinds = [std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::BrokenPipe];
    assert!(kinds.contains(&error.kind()), "{error}");
    assert_eq!(server.count(), 3);
}

#[test]
fn when_all_connections_are_taken_a_new_one_is_answered_all_the_same() {
    const FILES: usize = 300;
    let folder = Folder::with_rows(3);
    let serve = folder.serving();
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {FILES}; exec \"$@\""), "sh"]);
    limited.arg(serve.get_program()).args(serve.get_args());
    let server = Server::start(limited);

    // More than the server may open files, and all of them silent.
    let silent: Vec<_> = (0..FILES).map(|_| open(server.address, b"")).collect();
    for path in ["/healthz", PATH] {
        let mut connection = Connection::open(server.address).unwrap();
        connection.set_timeout(LONG).unwrap();
        assert_eq!(connection.request("GET", path, &[]).unwrap().status, 200, "{path}");
    }
    drop(silent);
    let has_room = || server.get(PATH, &[]).header("connection").is_none().then_some(());
    testkit::wait_for("room", LONG, has_room).unwrap();
    server.signal("TERM");
    let (status, stderr) = server.end();
    assert!(status.success());
    let (before, after) = stderr.split_once(" connections are taken. ").expect(&stderr);
    assert!(before.starts_with("count-store: All ") && after.lines().count() == 1, "{stderr}");
}

/// Answers that are being counted come, and nothing else is waited for.
fn answered_before_the_end(signal: &str) {
    let folder = Folder::with_rows(3);
    // The count waits for a lock; beside a log it would not.
    let lock = Database::open(folder.database()).unwrap();
    lock.execute_batch("PRAGMA journal_mode = delete").unwrap();
    let server = folder.serve(&[]);
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut idle = Connection::open(server.address).unwrap();
    assert_eq!(idle.request("GET", "/", &[]).unwrap().status, 404);
    let mut busy = Connection::open(server.address).unwrap();
    let host: [(&str, &[u8]); 1] = [("host", b"a")];
    busy.send(&encode_request("GET", PATH, &host, b"")).unwrap();
    let unfinished = [&b""[..], b"GET / HTTP/1.1\r\n"].map(|bytes| open(server.address, bytes));
    thread::sleep(Duration::from_millis(200));

    server.signal(signal);
    let refused = || TcpStream::connect(server.address).is_err().then_some(());
    testkit::wait_for("the port to close", LONG, refused).unwrap();
    // For longer than headers on their way are waited for.
    thread::sleep(Duration::from_millis(1_500));
    assert!(busy.stays_open(), "it is being answered still");
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(count_in(&busy.receive(false).unwrap()), 3);
    assert!(idle.is_closed());
    let (status, stderr) = server.end();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
    drop(unfinished);
}

#[test]
fn sigterm_lets_a_request_in_flight_finish() {
    answered_before_the_end("TERM");
}

#[test]
fn sigint_does_so_too() {
    answered_before_the_end("INT");
}

#[test]
fn a_count_without_end_is_left_after_a_signal() {
    let folder = Folder::with_rows(3);
    let database = Database::open(folder.database()).unwrap();
    let endless = "ALTER TABLE backup_sharing RENAME TO rows;
        CREATE VIEW backup_sharing AS SELECT rows.* FROM rows, (WITH RECURSIVE numbers(n) AS
        (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) SELECT n FROM numbers)";
    database.execute_batch(endless).unwrap();
    let server = folder.serve(&[]);
    let _waits = open(server.address, format!("GET {PATH} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes());
    thread::sleep(Duration::from_millis(200));
    server.signal("TERM");
    let (status, stderr) = server.end();
    assert_eq!(status.code(), Some(0));
    let last = stderr.lines().last().unwrap_or_default();
    assert_eq!(last, "count-store: Answers that were not ready 7 s after the signal: 1.");
}
