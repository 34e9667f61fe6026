//! Several PostgreSQL servers with the same rows: one that fails is left within the request, and one that is behind is
//! not asked.

#![cfg(test)]

mod common;

use std::collections::BTreeSet;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{scope, sleep, spawn};
use std::time::{Duration, Instant};

use common::{LONG, PATH, SLOW, Server, csv, fill, line, serving};
use testkit::postgres::{self, Cluster};
use testkit::wait_for;

/// More counts than it takes to ask every server several times.
const COUNTS: usize = 30;

/// A cluster that has three rows of `p1`.
fn cluster(replicas: usize) -> Cluster {
    let cluster = Cluster::start(replicas).unwrap();
    fill(&cluster.url(), &csv(0, 3));
    cluster.wait_until_level().unwrap();
    cluster
}

fn store(url: &str, arguments: &[&str]) -> Server {
    let mut command: Command = serving(url);
    command.args(arguments);
    Server::start(command)
}

/// What many counts came to.
fn counts(store: &Server) -> BTreeSet<u64> {
    (0..COUNTS).map(|_| store.count()).collect()
}

/// Waits until all counts are one.
fn wait_for_counts(store: &Server, expected: u64) {
    let counted = || (counts(store) == BTreeSet::from([expected])).then_some(());
    wait_for("all counts to be right", LONG, counted).unwrap();
}

/// A way to a server that takes 50 ms to go for the first time.
fn slow_way(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            spawn(move || {
                sleep(Duration::from_millis(50));
                let server = TcpStream::connect(to).unwrap();
                let ways = [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))];
                for (from, to) in ways.map(|(from, to)| (from.unwrap(), to.unwrap())) {
                    spawn(move || {
                        _ = io::copy(&mut &from, &mut &to);
                        _ = to.shutdown(Shutdown::Both);
                    });
                }
            });
        }
    });
    address
}

#[test]
fn a_crowd_does_not_keep_a_server_from_being_asked_again() {
    let server = postgres::Server::start().unwrap();
    fill(&server.url(), &csv(0, 3));
    let url = format!("postgres://postgres@{}/postgres", slow_way(server.address()));
    // So many wait that each turn comes when the time of the one who waited is all but over.
    let store = store(&url, &["--timeout", "400ms", "--connections", "1"]);
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    scope(|scope| {
        for number in 0..300 {
            let (store, is_over, answered) = (&store, &is_over, &answered);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    match store.get(PATH, &[]).status {
                        200 => _ = answered.fetch_add(1, Ordering::Relaxed),
                        // So that they do not all come at once.
                        _ => sleep(Duration::from_millis(number)),
                    }
                }
            });
        }
        server.pause().unwrap();
        sleep(Duration::from_secs(3));
        server.resume().unwrap();
        let again = || (answered.load(Ordering::Relaxed) > 1_000).then_some(());
        answered.store(0, Ordering::Relaxed);
        let waited = wait_for("counts while a crowd waits", LONG, again);
        is_over.store(true, Ordering::Relaxed);
        waited.unwrap();
    });
}

/// Waits until a server has counted once more.
fn wait_until_asked(server: &postgres::Server, store: &Server) {
    let mut client = server.client().unwrap();
    let now: String = client.query_one("SELECT clock_timestamp()::text", &[]).unwrap().get(0);
    let counted = format!(
        "SELECT FROM pg_stat_activity WHERE application_name = 'count-store'
         AND query LIKE 'SELECT count(*) FROM backup%' AND query_start > '{now}'"
    );
    wait_for("the server to be asked", LONG, || {
        counts(store);
        (!client.query(&counted, &[]).unwrap().is_empty()).then_some(())
    })
    .unwrap();
}

fn add_row(cluster: &Cluster, number: u32) {
    let mut values = line(number).trim().replace(',', "','");
    values = format!("INSERT INTO backup_sharing VALUES ('{values}')");
    cluster.primary().client().unwrap().batch_execute(&values).unwrap();
}

#[test]
fn a_server_that_fails_is_left_within_the_request() {
    let cluster = cluster(2);
    let store = store(&cluster.url(), &[]);
    assert_eq!(counts(&store), BTreeSet::from([3]));
    for server in cluster.servers() {
        server.pause().unwrap();
        assert_eq!(counts(&store), BTreeSet::from([3]), "silent");
        server.resume().unwrap();
        server.restart().unwrap();
        assert_eq!(counts(&store), BTreeSet::from([3]), "restarted");
        wait_until_asked(server, &store);
    }
    let [one, other] = cluster.replicas() else { panic!("two replicas") };
    one.kill();
    assert_eq!(counts(&store), BTreeSet::from([3]), "killed");
    cluster.primary().kill();
    assert_eq!(counts(&store), BTreeSet::from([3]), "the primary killed too");
    assert_eq!(store.get("/healthz", &[]).status, 200);
    other.kill();
    assert_eq!(store.get(PATH, &[]).status, 503);
    assert_eq!(store.get("/healthz", &[]).status, 503);
    sleep(Duration::from_secs(3));
    assert_eq!(store.get(PATH, &[]).status, 503, "known to be gone");
    one.start_again().unwrap();
    wait_for("a server to be back", LONG, || (store.get(PATH, &[]).status == 200).then_some(()))
        .unwrap();
    store.signal("TERM");
    let (_, said) = store.end();
    let name = one.address().to_string();
    for end in [": it is not asked.", " is asked again."] {
        let mut lines = said.lines();
        assert!(
            lines.any(|line| line.contains(&name) && line.ends_with(end)),
            "{name}{end}\n{said}"
        );
    }
}

#[test]
fn one_server_alone_may_be_restarted_between_counts_and_is_not_waited_for_long() {
    let server = postgres::Server::start().unwrap();
    fill(&server.url(), &csv(0, 3));
    let store = store(&server.url(), &["--timeout", "300ms"]);
    assert_eq!(store.count(), 3);
    server.restart().unwrap();
    assert_eq!(store.count(), 3);
    server.pause().unwrap();
    let start = Instant::now();
    assert_eq!(store.get(PATH, &[]).status, 503);
    assert!(
        start.elapsed() >= Duration::from_millis(250) && start.elapsed() < Duration::from_secs(3)
    );
    server.resume().unwrap();
    assert_eq!(store.count(), 3);
}

#[test]
fn the_last_server_may_use_all_the_time_that_is_left_and_no_statement_goes_on() {
    let server = postgres::Server::options().start().unwrap();
    fill(&server.url(), &csv(400, 401));
    server.client().unwrap().batch_execute(SLOW).unwrap();
    // Twice the same one: the first time it is silent for a third, the second time it answers in the rest.
    let (url, address) = (server.url(), server.address().to_string());
    let twice = url.replace(&address, &format!("{address},{address}"));
    let slow = |url: &str, timeout: &str| {
        let store = store(url, &["--table", "slow", "--timeout", timeout]);
        store.get(format!("{PATH}?name=backup"), &[]).status
    };
    assert_eq!(slow(&twice, "900ms"), 200);
    assert_eq!(slow(&url, "500ms"), 200);
    assert_eq!(slow(&url, "300ms"), 503);
    let mut client = server.client().unwrap();
    let mut active = || {
        let active =
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%slow%'
                      AND pid <> pg_backend_pid()";
        client.query_one(active, &[]).unwrap().get::<_, i64>(0)
    };
    wait_for("the statements to end", LONG, || (active() == 0).then_some(())).unwrap();
}

#[test]
fn a_standby_that_is_cut_off_is_not_asked_once_it_is_behind() {
    let cluster = cluster(2);
    let [cut, _] = cluster.replicas() else { panic!("two replicas") };
    let judging = store(&cluster.url(), &["--max-lag", "1s"]);
    let trusting = store(&cluster.url(), &["--max-lag", "1h"]);
    let trusting_standbys =
        store(&(cluster.url() + "?target_session_attrs=prefer-standby"), &["--max-lag", "1h"]);
    // A primary that rests, whatever it does with its log, has standbys that are level.
    cluster
        .primary()
        .client()
        .unwrap()
        .batch_execute("CHECKPOINT; SELECT pg_switch_wal()")
        .unwrap();
    sleep(Duration::from_secs(3));

    cut.cut_off().unwrap();
    add_row(&cluster, 3);
    wait_for_counts(&judging, 4);
    assert_eq!(counts(&trusting), BTreeSet::from([3, 4]));
    // The writes go on; its lag does not shrink because nothing more comes to it.
    sleep(Duration::from_secs(2));
    assert_eq!(counts(&judging), BTreeSet::from([4]));

    // Without the primary, one standby is judged by the other.
    cluster.primary().kill();
    assert_eq!(counts(&judging), BTreeSet::from([4]));
    cluster.primary().start_again().unwrap();

    cluster.replicas()[1].pause().unwrap();
    assert_eq!(
        counts(&trusting_standbys),
        BTreeSet::from([3]),
        "no primary while there is a standby"
    );
    cluster.replicas()[1].resume().unwrap();

    cut.join().unwrap();
    wait_for_counts(&trusting, 4);
    let address = cut.address();
    wait_until_asked(cut, &judging);
    judging.signal("TERM");
    let (_, said) = judging.end();
    for expected in [
        format!("{address} is "),
        " behind: it is not asked.".to_owned(),
        format!("{address} is asked again."),
    ] {
        assert!(said.contains(&expected), "{expected}\n{said}");
    }
}

#[test]
fn a_promoted_standby_is_a_server_like_any_other() {
    let cluster = cluster(1);
    let store = store(&cluster.url(), &["--max-lag", "1s"]);
    cluster.primary().kill();
    let [promoted] = cluster.replicas() else { panic!("one replica") };
    promoted.promote().unwrap();
    assert_eq!(counts(&store), BTreeSet::from([3]));
    // The URL's first host is gone, so the second takes the rows.
    fill(&cluster.url(), &csv(3, 5));
    assert_eq!(counts(&store), BTreeSet::from([5]));
}

#[test]
fn a_primary_over_which_another_was_promoted_is_not_asked_though_its_log_is_longer() {
    let cluster = cluster(1);
    let store = store(&cluster.url(), &[]);
    let [promoted] = cluster.replicas() else { panic!("one replica") };
    promoted.cut_off().unwrap();
    (3..100).for_each(|number| add_row(&cluster, number));
    promoted.promote().unwrap();
    wait_for_counts(&store, 3);
    // Whatever was known before.
    let store = self::store(&cluster.url(), &[]);
    assert_eq!(counts(&store), BTreeSet::from([3]));
    store.signal("TERM");
    let said = store.end().1;
    let expected = format!(
        "{} is a primary over which another was promoted: it is not asked.",
        cluster.primary().address()
    );
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn a_store_is_well_however_busy_its_connections_are() {
    let server = postgres::Server::start().unwrap();
    fill(&server.url(), &csv(5_000, 5_001));
    server.client().unwrap().batch_execute(SLOW).unwrap();
    let arguments = ["--table", "slow", "--timeout", "2s", "--connections", "1"];
    let store = &store(&server.url(), &arguments);
    scope(|scope| {
        let slow = || store.get(format!("{PATH}?name=backup"), &[]).status;
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(slow)).collect();
        sleep(Duration::from_millis(300));
        assert_eq!(store.get("/healthz", &[]).status, 200);
        for asked in asking {
            assert_eq!(asked.join().unwrap(), 503);
        }
    });
}

#[test]
fn a_store_begins_without_the_servers_that_cannot_be_reached() {
    let cluster = cluster(1);
    cluster.primary().kill();
    let store = store(&cluster.url(), &[]);
    assert_eq!(counts(&store), BTreeSet::from([3]));
    store.signal("TERM");
    let (_, said) = store.end();
    let name = cluster.primary().address();
    assert!(
        said.contains(&format!("{name}: error connecting to server: Connection refused")),
        "{said}"
    );
}

#[test]
fn sessions_only_read() {
    let server = postgres::Server::start().unwrap();
    fill(&server.url(), &csv(0, 3));
    server
        .client()
        .unwrap()
        .batch_execute(
            "CREATE FUNCTION written(text) RETURNS text LANGUAGE sql VOLATILE AS
                 'DELETE FROM backup_sharing; SELECT $1';
             CREATE VIEW writing AS SELECT id, backup_id, from_project_id, to_project_id, written(name) AS name,
                 status, volume_id, availability_zone FROM backup_sharing",
        )
        .unwrap();
    let writing = store(&server.url(), &["--table", "writing"]);
    assert_eq!(writing.get(format!("{PATH}?name=b"), &[]).status, 500);
    assert_eq!(store(&server.url(), &[]).count(), 3);
}

#[test]
fn a_standby_that_is_back_at_once_with_less_than_it_had_is_not_asked() {
    let cluster = cluster(1);
    let [standby] = cluster.replicas() else { panic!("one replica") };
    // What it has is on its disk; what comes after this it has to replay again, and waits before each row.
    for server in cluster.servers() {
        server.client().unwrap().batch_execute("CHECKPOINT").unwrap();
        cluster.wait_until_level().unwrap();
    }
    let later = "ALTER SYSTEM SET recovery_min_apply_delay = '1h'";
    standby.client().unwrap().batch_execute(later).unwrap();
    let store = store(&cluster.url(), &["--max-lag", "1s"]);
    add_row(&cluster, 3);
    wait_for_counts(&store, 4);
    sleep(Duration::from_secs(3));
    // Nobody asks meanwhile, so no count has failed that would tell.
    standby.kill();
    standby.start_again().unwrap();
    let rows = "SELECT count(*) FROM backup_sharing";
    let shown: i64 = standby.client().unwrap().query_one(rows, &[]).unwrap().get(0);
    assert_eq!((shown, counts(&store)), (3, BTreeSet::from([4])));
}
