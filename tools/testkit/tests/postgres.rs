//! The PostgreSQL of the tests is a real one, and so are its replicas.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use postgres::error::SqlState;
use postgres::{Client, NoTls};
use testkit::postgres::{Cluster, Server};
use testkit::{PATIENCE, wait_for};

/// By TCP, as the count store does.
fn connect(url: &str) -> Client {
    Client::connect(url, NoTls).unwrap()
}

fn number(client: &mut Client, question: &str) -> i64 {
    client.query_one(question, &[]).unwrap().get(0)
}

fn text(client: &mut Client, question: &str) -> String {
    client.query_one(question, &[]).unwrap().get(0)
}

fn refuses(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// "Do you speak TLS?" The answer is a letter.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

const ROWS: &str = "SELECT count(*) FROM t";

#[test]
fn a_server_in_trouble() {
    let server = Server::options().sql("CREATE TABLE t (n integer)").start().unwrap();
    let mut client = connect(&server.url());
    client.execute("INSERT INTO t VALUES (1)", &[]).unwrap();
    let address = server.address();

    server.pause().unwrap();
    let mut waiting = TcpStream::connect(address).unwrap();
    waiting.write_all(&SSL_REQUEST).unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut letter = [0];
    assert_eq!(waiting.read(&mut letter).unwrap_err().kind(), ErrorKind::WouldBlock);
    server.resume().unwrap();
    waiting.set_read_timeout(Some(PATIENCE)).unwrap();
    waiting.read_exact(&mut letter).unwrap();
    assert_eq!(letter, *b"N");
    assert_eq!(number(&mut client, ROWS), 1);

    // What was committed is there after a kill, in whatever state it was.
    for paused in [false, true] {
        if paused {
            server.pause().unwrap();
        }
        server.kill();
        assert!(client.query_one(ROWS, &[]).unwrap_err().is_closed());
        assert!(refuses(address) && server.pid().is_err());
        server.start_again().unwrap();
        client = connect(&server.url());
        assert_eq!((server.address(), number(&mut client, ROWS)), (address, 1));
    }
    assert!(server.log().contains("automatic recovery in progress"), "{}", server.log());

    // A paused one can be stopped too.
    server.pause().unwrap();
    server.restart().unwrap();
    assert!(client.query_one(ROWS, &[]).unwrap_err().is_closed());
    assert_eq!(number(&mut connect(&server.url()), ROWS), 1);
    assert!(server.start_again().unwrap_err().to_string().contains("runs already"));
    drop(server);
    assert!(refuses(address), "PostgreSQL outlived its value");
}

#[test]
fn choices() {
    let options = Server::options().setting("work_mem = 1MB").setting("shared_buffers = 16MB");
    let options = options.initdb("--encoding=LATIN1").password("secret");
    let server = options.sql("CREATE DATABASE other").sql("CREATE ROLE reader").start().unwrap();
    assert_eq!(server.url(), format!("postgres://postgres:secret@{}/postgres", server.address()));
    let mut client = connect(&server.url_of("other"));
    for (question, answer) in [
        ("SHOW work_mem", "1MB"),
        ("SHOW shared_buffers", "16MB"),
        ("SHOW max_connections", "200"),
        ("SHOW server_encoding", "LATIN1"),
        ("SELECT datcollate::text FROM pg_database WHERE datname = 'other'", "C"),
        ("SELECT rolname::text FROM pg_roles WHERE rolname = 'reader'", "reader"),
        ("SELECT current_database()::text", "other"),
    ] {
        assert_eq!(text(&mut client, question), answer, "{question}");
        assert_eq!(text(&mut server.client_of("other").unwrap(), question), answer, "{question}");
    }
    let wrong = Client::connect(&server.url().replace("secret", "guess"), NoTls).map(drop);
    assert!(format!("{:?}", wrong.unwrap_err()).contains("password authentication failed"));

    let refused = Server::options().setting("work_mem = lots").start().unwrap_err().to_string();
    assert!(
        refused.contains("work_mem") && refused.contains("left before it was ready"),
        "{refused}"
    );
    let refused = Server::options().sql("SELECT nonsense").start().unwrap_err();
    assert!(format!("{refused:#}").contains("running SELECT nonsense"), "{refused:#}");
}

#[test]
fn tls_is_spoken_and_nothing_else() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let server = Server::options().tls(&certificate, &key).start().unwrap();
    let mut connection = TcpStream::connect(server.address()).unwrap();
    connection.write_all(&SSL_REQUEST).unwrap();
    let mut letter = [0];
    connection.read_exact(&mut letter).unwrap();
    assert_eq!(letter, *b"S");
    let plain = Client::connect(&server.url(), NoTls).map(drop).unwrap_err();
    assert!(format!("{plain:?}").contains("no encryption"), "{plain:?}");
    assert_eq!(text(&mut server.client().unwrap(), "SHOW ssl"), "on");
}

#[test]
fn a_primary_and_its_replicas() {
    let cluster = Cluster::start(2).unwrap();
    let (primary, replicas) = (cluster.primary(), cluster.replicas());
    assert_eq!(
        cluster.url(),
        format!(
            "postgres://postgres@{},{},{}/postgres",
            primary.address(),
            replicas[0].address(),
            replicas[1].address()
        )
    );
    let mut writer = connect(&primary.url());
    writer.batch_execute("CREATE TABLE t (n integer); INSERT INTO t VALUES (1)").unwrap();
    cluster.wait_until_level().unwrap();
    let rows = |server: &Server| number(&mut connect(&server.url()), ROWS);
    assert_eq!(cluster.servers().map(rows).collect::<Vec<_>>(), [1, 1, 1]);
    let refused = connect(&replicas[0].url()).execute("INSERT INTO t VALUES (9)", &[]).unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION));

    // Who is cut off goes on with old rows, over a restart too.
    replicas[0].cut_off().unwrap();
    writer.execute("INSERT INTO t VALUES (2)", &[]).unwrap();
    replicas[1].wait_until_level_with(primary).unwrap();
    assert_eq!((rows(&replicas[0]), rows(&replicas[1])), (1, 2));
    replicas[0].restart().unwrap();
    assert_eq!(rows(&replicas[0]), 1);
    replicas[0].join().unwrap();
    replicas[0].wait_until_level_with(primary).unwrap();
    assert_eq!(rows(&replicas[0]), 2);

    replicas[1].pause_replay().unwrap();
    writer.execute("INSERT INTO t VALUES (3)", &[]).unwrap();
    replicas[0].wait_until_level_with(primary).unwrap();
    assert_eq!((rows(&replicas[0]), rows(&replicas[1])), (3, 2));
    replicas[1].resume_replay().unwrap();
    cluster.wait_until_level().unwrap();
    assert_eq!(rows(&replicas[1]), 3);

    // What was committed before the primary died is not lost, and somebody takes its place.
    primary.kill();
    replicas[0].promote().unwrap();
    let mut writer = connect(&replicas[0].url());
    writer.execute("INSERT INTO t VALUES (4)", &[]).unwrap();
    replicas[1].follow(&replicas[0]).unwrap();
    replicas[1].wait_until_level_with(&replicas[0]).unwrap();
    assert_eq!((rows(&replicas[0]), rows(&replicas[1])), (4, 4));
}

#[test]
fn a_cluster_with_a_password_and_tls() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let options = Server::options().tls(&made.cert.pem(), &made.signing_key.serialize_pem());
    let cluster = Cluster::start_with(options.password("secret"), 1).unwrap();
    assert!(
        cluster.url().starts_with("postgres://postgres:secret@127.0.0.1:"),
        "{}",
        cluster.url()
    );
    assert_eq!(text(&mut cluster.replicas()[0].client().unwrap(), "SHOW ssl"), "on");
}

#[test]
fn programs_that_the_server_may_not_reach() {
    // A copy of the installation, in a folder that only we can enter.
    let private = tempfile::tempdir().unwrap();
    fs::set_permissions(private.path(), fs::Permissions::from_mode(0o700)).unwrap();
    // Kept: its programs may be a copy already.
    let other = Server::start().unwrap();
    let bin = "SELECT setting FROM pg_config() WHERE name = 'BINDIR'";
    let bin = text(&mut other.client().unwrap(), bin);
    let installation = Path::new(&bin).parent().unwrap();
    let copied =
        Command::new("cp").arg("-r").arg(installation).arg(private.path().join("pg")).status();
    assert!(copied.unwrap().success());
    let server = Server::options().programs(&private.path().join("pg/bin")).start().unwrap();
    assert_eq!(number(&mut connect(&server.url()), "SELECT 1::bigint"), 1);
}

#[test]
fn an_aborted_test_leaves_no_server() {
    const ABORTED: &str = "TESTKIT_POSTGRES_ABORTED";
    if env::var_os(ABORTED).is_some() {
        let server = Server::start().unwrap();
        let folder = text(&mut server.client().unwrap(), "SHOW unix_socket_directories");
        println!("\npostgres at {} {folder}", server.address());
        thread::sleep(PATIENCE);
        panic!("Nobody ended this.");
    }
    let mut test = Command::new(env::current_exe().unwrap())
        .args(["--exact", "an_aborted_test_leaves_no_server", "--nocapture"])
        .env(ABORTED, "yes")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(test.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = said.find_map(|line| line.strip_prefix("postgres at ").map(str::to_owned)).unwrap();
    let (address, folder) = line.split_once(' ').unwrap();
    let address: SocketAddr = address.parse().unwrap();
    assert!(TcpStream::connect(address).is_ok() && Path::new(folder).is_dir());
    test.kill().unwrap();
    test.wait().unwrap();
    let gone = || (refuses(address) && !Path::new(folder).exists()).then_some(());
    wait_for("the server and its folder to go", PATIENCE, gone).unwrap();
}
