//! What Prometheus gets with `--metrics`, and that nothing keeps it from getting it.

#![cfg(test)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::thread::{scope, sleep};
use std::time::Duration;

use common::{Folder, LONG, PATH, SLOW, Server, csv, fill, said, serving};
use rusqlite::Connection;
use testkit::debian::PROMTOOL;
use testkit::http::{self, Response};
use testkit::postgres::{self, Cluster};
use testkit::wait_for;

const METRICS: [&str; 2] = ["--metrics", "127.0.0.1:0"];

fn scrape(store: &Server) -> Response {
    http::request(store.metrics.unwrap(), "GET", "/metrics", &[]).unwrap()
}

/// Each series and its value.
fn samples(store: &Server) -> BTreeMap<String, f64> {
    let (page, mut samples) = (scrape(store).text(), BTreeMap::new());
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let earlier = samples.insert(series.to_owned(), value.parse().unwrap());
        assert_eq!(earlier, None, "{series}");
    }
    samples
}

/// The values of the series that begin like this, in their order.
fn values(samples: &BTreeMap<String, f64>, name: &str) -> Vec<f64> {
    let found = samples.iter().filter(|(series, _)| series.starts_with(name));
    found.map(|(_, value)| *value).collect()
}

fn wait_for_sum(store: &Server, name: &str, expected: f64) {
    let sum = || values(&samples(store), name).iter().sum::<f64>();
    let is_there = || (sum() == expected).then_some(());
    wait_for(&format!("{name} to be {expected}"), LONG, is_there).unwrap();
}

/// Prometheus's own judgement, in which good style is a part.
fn assert_accepted(store: &Server) {
    let mut promtool = PROMTOOL.command().unwrap();
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut promtool = promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let page = scrape(store).body;
    promtool.stdin.take().unwrap().write_all(&page).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let complaints = String::from_utf8(output.stdout.clone()).unwrap() + &said(&output);
    assert_eq!((output.status.code(), complaints.as_str()), (Some(0), ""));
}

const IN_USE: &str = "count_store_database_connections_in_use";
const COUNTS: &str = "count_store_count_seconds_count";

#[test]
fn each_request_and_each_count_is_noted_once() {
    let folder = Folder::with_rows(3);
    let lock = Connection::open(folder.database()).unwrap();
    lock.execute_batch("PRAGMA journal_mode = delete").unwrap();
    let store = &folder.serve(&[&METRICS[..], &["--token", "one=p1"]].concat());
    let ask = |method: &str, target: &str, token: &[u8], times: usize| {
        for _ in 0..times {
            let headers: [(&str, &[u8]); 1] = [("x-auth-token", token)];
            http::request(store.address, method, target, &headers).unwrap();
        }
    };
    ask("GET", PATH, b"one", 40);
    ask("GET", &format!("{PATH}?not=a+filter"), b"one", 5);
    ask("GET", PATH, b"two", 4);
    ask("GET", &PATH.replace("p1", "p2"), b"one", 3);
    ask("GET", "/metrics", b"one", 2);
    ask("POST", PATH, b"one", 6);
    ask("GET", "/healthz", b"", 7);

    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    scope(|scope| {
        scope.spawn(|| ask("GET", PATH, b"one", 1));
        wait_for_sum(store, IN_USE, 1.0);
        sleep(Duration::from_millis(300));
        lock.execute_batch("ROLLBACK").unwrap();
    });
    assert_eq!(values(&samples(store), IN_USE), [0.0], "it rests");
    lock.execute_batch("DROP TABLE backup_sharing").unwrap();
    ask("GET", PATH, b"one", 8);
    drop(lock);
    std::fs::remove_file(folder.database()).unwrap();
    ask("GET", PATH, b"one", 9);

    let samples = samples(store);
    let prefix = "count_store_requests_total{status=\"";
    let requests = samples.iter().filter_map(|(series, number)| {
        let status = series.strip_prefix(prefix)?.strip_suffix("\"}")?;
        Some((status, *number as u64))
    });
    let expected = [
        ("200", 41),
        ("400", 5),
        ("401", 4),
        ("403", 3),
        ("404", 2),
        ("405", 6),
        ("500", 8),
        ("503", 9),
    ];
    assert_eq!(requests.collect::<BTreeMap<_, _>>(), BTreeMap::from(expected));
    let of_engine = |name: &str, labels: &str| {
        samples[&format!("count_store_count_seconds_{name}{{engine=\"sqlite\"{labels}}}")]
    };
    let (counts, all) = (of_engine("count", ""), of_engine("bucket", ",le=\"+Inf\""));
    assert_eq!((counts, all), (58.0, 58.0));
    // One waited for the lock.
    assert!(
        of_engine("bucket", ",le=\"0.2\"") < counts && of_engine("sum", "") > 0.3,
        "{samples:?}"
    );
    assert_eq!(samples[&format!("{IN_USE}{{server=\"sqlite\"}}")], 0.0);
    let build = format!("count_store_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(samples[&build], 1.0);
    assert_eq!(values(&samples, "count_store_server_"), [0.0; 0], "a file is no server");
    assert_accepted(store);
}

#[test]
fn the_address_answers_prometheus_alone_and_whoever_else_connects() {
    let folder = Folder::with_rows(3);
    let store = folder.serve(&METRICS);
    let address = store.metrics.unwrap();
    let page = scrape(&store);
    let text = Some("text/plain; version=0.0.4; charset=utf-8");
    assert_eq!((page.status, page.header("content-type")), (200, text));
    for (method, target, status) in [
        ("GET", PATH, 404),
        ("GET", "/", 404),
        ("POST", "/metrics", 405),
        ("HEAD", "/metrics", 405),
    ] {
        let response = http::request(address, method, target, &[]).unwrap();
        let allow = (status == 405).then_some("GET");
        assert_eq!(
            (response.status, response.header("allow")),
            (status, allow),
            "{method} {target}"
        );
    }
    let taken = folder.serving().args(["--metrics", &address.to_string()]).output().unwrap();
    assert_eq!((taken.status.code(), &taken.stdout[..]), (Some(1), &b""[..]));
    let sentence = format!("count-store: Could not listen at {address}: Address already in use");
    assert!(said(&taken).starts_with(&sentence), "{}", said(&taken));

    // More than may connect, and all of them silent.
    let silent: Vec<_> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!((scrape(&store).status, store.count()), (200, 3));
    drop(silent);
    let mut unfinished = TcpStream::connect(address).unwrap();
    unfinished.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    unfinished.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(unfinished.read(&mut [0]).unwrap(), 0, "it is not waited for for ever");
    let _idle = TcpStream::connect(address).unwrap();
    store.signal("TERM");
    let (status, said) = store.end();
    assert!(status.success() && TcpStream::connect(address).is_err());
    assert!(said.starts_with("count-store: All 16 connections for metrics are taken."), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// The gauge of a server, if there is one.
fn of_server(store: &Server, name: &str, server: SocketAddr) -> Option<f64> {
    samples(store).get(&format!("count_store_server_{name}{{server=\"{server}\"}}")).copied()
}

#[test]
fn servers_are_seen_while_all_connections_count() {
    let cluster = Cluster::start(1).unwrap();
    fill(&cluster.url(), &csv(3_000, 3_001));
    cluster.primary().client().unwrap().batch_execute(SLOW).unwrap();
    cluster.wait_until_level().unwrap();
    let mut command = serving(cluster.url());
    command.args(METRICS).env("PGPASSWORD", "hunter2");
    let store = &Server::start({
        command.args(["--table", "slow", "--timeout", "30s", "--connections", "1"]);
        command
    });
    let slow = format!("{PATH}?name=backup");
    scope(|scope| {
        let ask = || store.get(&slow, &[]).status;
        let asking = [scope.spawn(ask), scope.spawn(ask), scope.spawn(ask)];
        // One for each server, and one that waits.
        wait_for_sum(store, IN_USE, 2.0);
        let page = scrape(store).text();
        assert!(page.contains("engine=\"postgresql\"") && !page.contains("hunter2"), "{page}");
        assert_eq!(asking.map(|asked| asked.join().unwrap()), [200; 3]);
    });
    assert_eq!(values(&samples(store), IN_USE), [0.0; 2]);
    assert_eq!(values(&samples(store), COUNTS), [3.0]);
    assert_accepted(store);

    // Whoever does not wait for a count is noted, and the connection until it is counted.
    let mut client = TcpStream::connect(store.address).unwrap();
    client.write_all(format!("GET {slow} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).unwrap();
    wait_for_sum(store, IN_USE, 1.0);
    drop(client);
    wait_for_sum(store, COUNTS, 4.0);
    wait_for_sum(store, IN_USE, 0.0);
    assert_eq!(values(&samples(store), "count_store_requests_total"), [3.0, 0.0, 0.0]);

    let (primary, [standby]) = (cluster.primary(), cluster.replicas()) else {
        panic!("one replica")
    };
    let servers = [primary.address(), standby.address()];
    let both = |name| servers.map(|server| of_server(store, name, server));
    assert_eq!(both("reachable"), [Some(1.0); 2]);
    // A primary writes a little by itself.
    let is_level = || (both("lag_seconds") == [Some(0.0); 2]).then_some(());
    wait_for("both to be level", LONG, is_level).unwrap();
    standby.cut_off().unwrap();
    fill(&cluster.url(), &csv(0, 1));
    let far = || both("lag_seconds")[1].filter(|lag| *lag > 3.0);
    let lag = wait_for("the lag to grow", LONG, far).unwrap();
    assert!(lag < LONG.as_secs_f64(), "{lag}");
    assert_eq!((both("reachable"), both("lag_seconds")[0]), ([Some(1.0); 2], Some(0.0)));
    standby.kill();
    let is_gone = || (both("reachable") == [Some(1.0), Some(0.0)]).then_some(());
    wait_for("the server to be missed", LONG, is_gone).unwrap();
    assert_eq!(both("lag_seconds"), [Some(0.0), None]);
    let named: BTreeSet<_> =
        servers.map(|server| format!("{IN_USE}{{server=\"{server}\"}}")).into();
    let in_use = samples(store).into_keys().filter(|series| series.starts_with(IN_USE));
    assert_eq!(in_use.collect::<BTreeSet<_>>(), named);
}

#[test]
fn a_server_that_is_alone_is_measured_too_and_asked_whatever_comes_of_it() {
    let server = postgres::Server::start().unwrap();
    fill(&server.url(), &csv(0, 3));
    let mut command = serving(server.url());
    command.args(METRICS);
    let store = Server::start(command);
    let reachable = || of_server(&store, "reachable", server.address());
    let expect = |value| {
        let is_so = || (reachable() == Some(value)).then_some(());
        wait_for("what is known of the server", LONG, is_so).unwrap();
    };
    // For longer than what was measured at the beginning is good.
    sleep(Duration::from_secs(3));
    assert_eq!(reachable(), Some(1.0));
    server.kill();
    expect(0.0);
    server.start_again().unwrap();
    assert_eq!(store.count(), 3);
    expect(1.0);
    store.signal("TERM");
    let (_, said) = store.end();
    assert_eq!(said, "");
}

#[test]
fn a_server_that_is_named_twice_has_one_line() {
    let server = postgres::Server::start().unwrap();
    fill(&server.url(), &csv(0, 3));
    let address = server.address().to_string();
    let mut command = serving(server.url().replace(&address, &format!("{address},{address}")));
    command.args(METRICS);
    // Prometheus takes none of a page with two.
    assert_accepted(&Server::start(command));
}
