//! What happens around a count: loads that run, stop or die meanwhile, and locks.

#![cfg(test)]

mod common;

use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Folder, LONG, PATH, count_in, csv, line, said, signal};
use rusqlite::Connection;
use testkit::http::{self, Connection as Http};
use testkit::wait_for;

/// A load in the middle of its file: the file is a pipe that the test fills.
struct HalfLoaded {
    pipe: File,
    load: Child,
}

impl HalfLoaded {
    /// Starts to load rows 100 to 1100 and more to come.
    fn start(folder: &Folder) -> HalfLoaded {
        let path = folder.path("pipe.csv");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let mut load = folder.loading(&path);
        let load = load.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = File::options().write(true).open(&path).unwrap();
        // More than a pipe holds (64 KiB), so that rows are stored when this returns.
        pipe.write_all(csv(100, 1100).as_bytes()).unwrap();
        HalfLoaded { pipe, load }
    }
}

#[test]
fn a_count_while_a_load_runs_is_that_before_it() {
    let folder = Folder::with_rows(3);
    let server = folder.serve(&[]);
    let mut half = HalfLoaded::start(&folder);
    assert_eq!([server.count(), server.count()], [3, 3]);

    half.pipe.write_all(line(1100).as_bytes()).unwrap();
    drop(half.pipe);
    let ended = || {
        let status = half.load.try_wait().unwrap();
        let count = server.count();
        assert!(count == 3 || count == 1004, "{count} is neither before nor after");
        status
    };
    let status = wait_for("the load", LONG, ended).unwrap();
    assert!(status.success());
    assert_eq!(server.count(), 1004);
}

#[test]
fn a_load_that_is_killed_leaves_nothing() {
    let folder = Folder::with_rows(3);
    let server = folder.serve(&[]);
    let mut half = HalfLoaded::start(&folder);
    half.load.kill().unwrap();
    half.load.wait().unwrap();
    assert_eq!(server.count(), 3);
    folder.fill(&csv(100, 1100));
    assert_eq!(server.count(), 1003);
    assert_eq!(folder.serve(&[]).count(), 1003, "a new server sees the same");
}

#[test]
fn a_load_that_is_interrupted_leaves_nothing_and_says_so() {
    let folder = Folder::with_rows(3);
    for (name, goes_on) in [("INT", true), ("TERM", true), ("INT", false)] {
        let mut half = HalfLoaded::start(&folder);
        signal(&half.load, name);
        // It hears of it at the next row, and ends without one after a while.
        if goes_on {
            let _ = half.pipe.write_all(line(1100).as_bytes());
        }
        let output = half.load.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = said(&output).to_lowercase();
        assert!(said.contains("interrupted. nothing was loaded."), "{said}");
        let log = std::fs::metadata(folder.path("count.db-wal")).unwrap().len();
        assert!(!goes_on || log == 0, "{log}");
        std::fs::remove_file(folder.path("pipe.csv")).unwrap();
    }
    assert_eq!(folder.serve(&[]).count(), 3);
}

#[test]
fn the_end_of_the_input_after_a_signal_is_no_end_of_a_file() {
    let folder = Folder::with_rows(3);
    let half = HalfLoaded::start(&folder);
    signal(&half.load, "INT");
    thread::sleep(Duration::from_millis(300));
    let HalfLoaded { pipe, load } = half;
    drop(pipe);
    let output = load.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(folder.serve(&[]).count(), 3);
}

#[test]
fn a_load_that_is_stopped_while_it_empties_its_log_says_that_it_is_loaded() {
    let folder = Folder::with_rows(3);
    let reader = Connection::open(folder.database()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM backup_sharing").unwrap();
    let rows = folder.write("more.csv", csv(3, 6));
    let load = folder.loading(&rows).stderr(Stdio::piped()).spawn().unwrap();
    let server = folder.serve(&[]);
    wait_for("the rows", LONG, || (server.count() == 6).then_some(())).unwrap();
    signal(&load, "TERM");
    let output = load.wait_with_output().unwrap();
    let said = said(&output);
    assert!(
        output.status.success() && said.contains("Interrupted after the rows were loaded."),
        "{said}"
    );
}

#[test]
fn a_file_that_is_written_over_is_counted_anew() {
    let (folder, other) = (Folder::new(), Folder::new());
    folder.fill(&csv(0, 3));
    other.fill(&csv(0, 3).replace("p1", "p0"));
    let server = folder.serve(&[]);
    assert_eq!(server.count(), 3);
    // Of the same size, and with the same number of changes in its header.
    std::fs::copy(other.database(), folder.database()).unwrap();
    assert_eq!(server.count(), 0);
}

#[test]
fn only_counts_wait_for_a_lock() {
    let folder = Folder::with_rows(3);
    let lock = Connection::open(folder.database()).unwrap();
    // With a log, readers wait for no load.
    lock.execute_batch("PRAGMA journal_mode = delete").unwrap();
    let server = folder.serve(&[]);
    assert_eq!(server.count(), 3);

    lock.execute_batch("BEGIN EXCLUSIVE; DELETE FROM backup_sharing").unwrap();
    // As many as the server has connections to the database, more than it has threads
    // that serve.
    let cores = thread::available_parallelism().unwrap().get();
    let mut waiting: Vec<Http> = (0..2 * cores)
        .map(|_| {
            let mut waiting = Http::open(server.address).unwrap();
            let host: [(&str, &[u8]); 1] = [("host", b"a")];
            waiting.send(&http::encode_request("GET", PATH, &host, b"")).unwrap();
            waiting
        })
        .collect();
    thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    assert_eq!(server.get("/", &[]).status, 404);
    // A lock is waited for up to 5 s.
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());

    lock.execute_batch("ROLLBACK").unwrap();
    for waiting in &mut waiting {
        assert_eq!(count_in(&waiting.receive(false).unwrap()), 3);
    }
}
