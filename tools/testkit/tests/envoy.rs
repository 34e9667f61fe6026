//! A real Envoy is found or downloaded, started, asked and stopped.

use std::net::TcpStream;
use std::process::Command;

use testkit::envoy::config::{Bootstrap, Cluster, Listener, direct_response, to_cluster};
use testkit::envoy::{Envoy, Verdict, envoy_binary, validate};
use testkit::http::{self, Connection};
use testkit::store::{Behaviour, ScriptedStore};

fn hello() -> Bootstrap {
    let listener = Listener::new("front").route(direct_response("/", 200, "hello"));
    Bootstrap::new([listener], [])
}

#[test]
fn envoy_is_there() {
    assert!(envoy_binary().unwrap().is_file());
}

#[test]
fn a_started_envoy_answers_counts_and_leaves() {
    let envoy = Envoy::start(hello()).unwrap();
    assert!(envoy.is_running());
    assert_ne!(envoy.pid(), std::process::id());
    let front = envoy.listener_address("front").unwrap();

    let answer = http::request(front, "GET", "/any", &[]).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(answer.header("server"), Some("envoy"));
    assert!(http::request(front, "HEAD", "/", &[]).unwrap().body.is_empty());

    let counted = envoy.stat("http.front.downstream_rq_2xx").unwrap();
    assert_eq!(counted, 2);
    let misspelt = envoy.stat("http.front.downstream_rq_2x").unwrap_err().to_string();
    assert!(misspelt.contains("http.front.downstream_rq_2xx"), "{misspelt}");
    assert!(envoy.listener_address("back").is_err());
    assert!(envoy.admin_get("/nothing").unwrap_err().to_string().contains("404"));

    envoy.stop().unwrap();
    assert!(TcpStream::connect(front).is_err(), "the listener outlived Envoy");
}

#[test]
fn a_dropped_envoy_is_gone_and_its_log_stays_where_it_was_wanted() {
    let logs = tempfile::tempdir().unwrap();
    let options = Envoy::options().concurrency(2).log_dir(logs.path());
    let envoy = options.component_log_level("main:info").start(hello()).unwrap();
    let line = envoy.wait_for_log("starting main dispatch loop").unwrap();
    assert!(line.contains("[info]"), "{line}");
    let front = envoy.listener_address("front").unwrap();
    drop(envoy);
    assert!(TcpStream::connect(front).is_err());
    assert!(logs.path().join("envoy.log").is_file());
}

#[test]
fn a_refused_configuration_is_explained() {
    let wrong = hello().with("stats_prefix", true.into());
    let Verdict::Refused(why) = validate(&wrong).unwrap() else {
        panic!("Envoy accepts a field it does not have");
    };
    assert!(why.contains("stats_prefix"), "{why}");
    assert_eq!(validate(hello()).unwrap(), Verdict::Accepted);

    let error = Envoy::start(&wrong).unwrap_err().to_string();
    assert!(error.contains("left before it was ready"), "{error}");
    assert!(error.contains("stats_prefix"), "{error}");
}

#[test]
fn a_failure_prints_its_cause_last() {
    const FAILS: &str = "A_FAILURE_PRINTS_ITS_CAUSE_LAST";
    if std::env::var_os(FAILS).is_some() {
        let options = Envoy::options().component_log_level("main:info");
        let _envoy = options.start(hello()).unwrap();
        panic!("the cause");
    }
    let mut this = Command::new(std::env::current_exe().unwrap());
    this.args(["--exact", "a_failure_prints_its_cause_last", "--nocapture"]).env(FAILS, "1");
    let said = String::from_utf8(this.output().unwrap().stderr).unwrap();
    let place = |text: &str| said.find(text).unwrap_or_else(|| panic!("no {text:?}: {said}"));
    assert!(place("Envoy's log ends:") < place("main dispatch loop"), "{said}");
    assert!(place("main dispatch loop") < place("the cause"), "{said}");
}

#[test]
fn envoy_sees_the_stores_moods() {
    let store = ScriptedStore::start().unwrap();
    let mut route = to_cluster("/", "store");
    route["route"]["timeout"] = "2s".into();
    let listener = Listener::new("front").route(route);
    let config = Bootstrap::new([listener], [Cluster::new("store", store.address())]);
    let envoy = Envoy::start(config).unwrap();
    let front = envoy.listener_address("front").unwrap();
    let mut client = Connection::open(front).unwrap();
    let mut status = |behaviour| {
        store.set(behaviour);
        client.request("GET", "/x?a=%2F", &[("x-a", b"1"), ("X-A", b"\xe9")]).unwrap().status
    };
    assert_eq!(status(Behaviour::json(201, "{}")), 201);
    assert_eq!(status(Behaviour::ResetBeforeHeaders), 503);
    assert_eq!(status(Behaviour::CloseAfterAccept), 503);
    assert_eq!(status(Behaviour::Garbage(b"no\r\n\r\n".to_vec())), 502);
    assert_eq!(status(Behaviour::Hang), 504);

    let first = &store.take_requests()[0];
    assert_eq!(first.target, b"/x?a=%2F");
    let values: [&[u8]; 2] = [b"1", b"\xe9"];
    assert_eq!(first.header_values("x-a"), values);
    envoy.stop().unwrap();
}
