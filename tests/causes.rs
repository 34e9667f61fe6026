//! Each name and each cause of `backup_sharing_count::details`, brought about in a real Envoy and read in its
//! access log; and what else an operator reads of it.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::collections::BTreeSet;
use std::net::SocketAddr;

use backup_sharing_count::details;
use socket2::{Domain, Socket, Type};
use testkit::edge::{Edge, clusters, listener};
use testkit::envoy::Envoy;
use testkit::http::{Connection, request};
use testkit::ports::dead_address;
use testkit::store::{Behaviour, ScriptedStore};
use testkit::{PATIENCE, wait_for, workspace};

const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";

/// What the access log says of each request.
const ACCESS_LOG: &str = "          access_log:
          - name: stdout
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
              log_format:
                text_format_source: {inline_string: \"ACCESS %RESPONSE_CODE_DETAILS% [%FILTER_STATE(wasm.backup_sharing_count.envoy_says:PLAIN)%]\\n\"}
";

struct Bench {
    edge: Edge,
    store: ScriptedStore,
    _upstream: ScriptedStore,
    /// How many lines of the access log were read.
    read: usize,
}

/// A cluster with one host.
fn cluster(name: &str, address: SocketAddr, more: &str) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "  - name: {name}
    connect_timeout: 0.5s
{more}    load_assignment:
      cluster_name: {name}
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: '{ip}', port_value: {port}}}}}}}}}]}}]
"
    )
}

impl Bench {
    /// A listener for each of these clusters, each in front of a cluster of its name; and more clusters.
    fn start(names: &[&str], more: &str) -> Bench {
        let (store, upstream) = (ScriptedStore::start().unwrap(), ScriptedStore::start().unwrap());
        let listeners: String = names
            .iter()
            .map(|name| {
                // Of the store alone it is waited for.
                let timeout = if *name == "store" { "1s" } else { "20s" };
                let configuration =
                    format!(r#"{{"store": {{"cluster": "{name}", "timeout": "{timeout}"}}}}"#);
                let yaml = listener(name, &configuration).unwrap();
                let place = "          route_config:\n";
                yaml.replacen(place, &format!("{ACCESS_LOG}{place}"), 1)
            })
            .collect();
        let clusters = clusters(store.address(), upstream.address());
        let yaml = format!("static_resources:\n  listeners:\n{listeners}{clusters}{more}");
        let options = Envoy::options().arg("--file-flush-interval-msec").arg("20");
        let envoy = options.concurrency(1).start(&yaml).unwrap();
        let edge = Edge::around(envoy, names.iter().copied()).unwrap();
        Bench { edge, store, _upstream: upstream, read: 0 }
    }

    /// The details of the answer, and what Envoy said in the store's place.
    fn ask(&mut self, listener: &str, method: &str, path: &str) -> (String, String) {
        let headers: [(&str, &[u8]); 1] = [("accept", b"application/json")];
        request(self.edge.listeners[listener], method, path, &headers).unwrap();
        self.next_line()
    }

    fn next_line(&mut self) -> (String, String) {
        let line = wait_for("the access log", PATIENCE, || {
            let log = self.edge.envoy.log();
            let line = log.lines().filter_map(|line| line.strip_prefix("ACCESS ")).nth(self.read);
            line.map(str::to_owned)
        });
        self.read += 1;
        let line = line.unwrap();
        let (details, says) = line.split_once(" [").unwrap();
        let says = says.strip_suffix("]").unwrap();
        (details.to_owned(), if says == "-" { String::new() } else { says.to_owned() })
    }
}

/// Accepts no connection, for its queue is full.
struct Backlog {
    address: SocketAddr,
    _socket: Socket,
    _queue: Vec<Socket>,
}

impl Backlog {
    fn new() -> Backlog {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap();
        let client = || {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            // In progress, or waiting for ever.
            let _ = client.connect(&address);
            client
        };
        let queue = (0..4).map(|_| client()).collect();
        Backlog { address: address.as_socket().unwrap(), _socket: socket, _queue: queue }
    }
}

#[test]
fn each_cause_is_in_the_access_log() {
    let dead = dead_address().unwrap();
    let plain = ScriptedStore::start().unwrap();
    // Not HTTP over TLS: the handshake fails at once.
    plain.set(Behaviour::status(200));
    let backlog = Backlog::new();
    const TLS: &str = "    transport_socket:
      name: tls
      typed_config: {'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext}
";
    const NO_ROOM: &str = "    circuit_breakers: {thresholds: [{max_connections: 1, max_pending_requests: 0, max_requests: 0}]}
";
    const SICK: &str = "    common_lb_config: {healthy_panic_threshold: {value: 0}}
    health_checks: [{timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1, tcp_health_check: {}}]
";
    let more = [
        cluster("dead", dead.address(), ""),
        cluster("backlog", backlog.address, ""),
        cluster("tls", plain.address(), TLS),
        cluster("breaker", plain.address(), NO_ROOM),
        cluster("sick", dead.address(), SICK),
        cluster("named", plain.address(), "    type: STRICT_DNS\n")
            .replace("127.0.0.1", "no.such.host.invalid"),
    ];
    let names = ["store", "empty", "dead", "backlog", "tls", "breaker", "sick", "named", "nowhere"];
    let mut bench = Bench::start(&names, &more.concat());
    let mut seen = BTreeSet::new();
    const FAILED: &str =
        "upstream connect error or disconnect/reset before headers. reset reason: ";

    // At the edge.
    for (method, path, details) in [
        ("GET", format!("{PATH}/"), "edge_path"),
        ("PUT", PATH.to_owned(), "edge_method"),
        ("GET", PATH.replace("p1", "p.1"), "edge_project"),
        ("GET", format!("{PATH}?x=1"), "edge_filter"),
    ] {
        assert_eq!(bench.ask("store", method, &path), (details.to_owned(), String::new()));
        seen.insert(details.to_owned());
    }
    for (name, value, details) in [
        ("accept", &b"text/html"[..], "edge_accept"),
        ("content-length", b"1", "edge_body"),
        ("x-auth-token", b"\xff", "edge_header"),
    ] {
        let mut client = Connection::open(bench.edge.listeners["store"]).unwrap();
        let head = format!("GET {PATH} HTTP/1.1\r\nhost: a\r\n{name}: ");
        client.send(&[head.as_bytes(), value, b"\r\n\r\n"].concat()).unwrap();
        client.receive(false).unwrap();
        assert_eq!(bench.next_line().0, details);
        seen.insert(details.to_owned());
    }

    // By what the store does.
    let large = Behaviour::json(200, " ".repeat(70_000));
    for (behaviour, details, says) in [
        (Behaviour::json(200, r#"{"count":2}"#), "store_count", ""),
        (Behaviour::status(404), "store_fault", ""),
        (Behaviour::status(500), "store_error", ""),
        (Behaviour::status(502), "store_error", ""),
        (Behaviour::status(410), "store_invalid:410", ""),
        (Behaviour::status(302), "store_invalid:302", ""),
        (Behaviour::status(200), "store_invalid:200", ""),
        (large, "store_invalid:too_large", ""),
        (Behaviour::Garbage(b"SSH-2.0\r\n\r\n".into()), "store_invalid:no_http", "protocol error"),
        (Behaviour::Truncate, "store_broken", ""),
        (Behaviour::status(429), "store_unavailable:429", ""),
        (Behaviour::status(503), "store_unavailable:503", ""),
        (Behaviour::ResetBeforeHead, "store_unavailable:reset", "connection termination"),
        (Behaviour::Hang, "store_timeout", ""),
        (Behaviour::status(408), "store_timeout:408", ""),
        (Behaviour::status(504), "store_timeout:504", ""),
    ] {
        bench.store.set(behaviour);
        let says = if says.is_empty() { String::new() } else { [FAILED, says].concat() };
        assert_eq!(bench.ask("store", "GET", PATH), (details.to_owned(), says));
        seen.insert(details.to_owned());
    }

    // By where it is.
    for (name, details, says) in [
        ("dead", "store_unavailable:connect_failure", "remote connection failure"),
        ("backlog", "store_unavailable:connect_timeout", "connection timeout"),
        ("tls", "store_unavailable:tls", "TLS_error"),
        ("empty", "store_unavailable:no_host", ""),
        ("breaker", "store_unavailable:no_host", ""),
        ("sick", "store_unavailable:no_host", ""),
        ("named", "store_unavailable:no_host", ""),
        ("nowhere", "store_unknown_cluster", ""),
    ] {
        let (found, said) = bench.ask(name, "GET", PATH);
        let (details, says) = match name {
            // Envoy 1.39 and later do not say why a connection failed.
            "tls" if !said.contains(says) => ("store_unavailable:connect_failure", FAILED),
            _ => (details, says),
        };
        assert_eq!(found, details, "{name}: {said}");
        assert!(said.contains(says) && said.is_empty() == says.is_empty(), "{name}: {said}");
        seen.insert(details.to_owned());
    }

    // All that the table has, but for what Envoy seldom tells (`overflow`) and what a host without the
    // headers gets (`tests/hostile.rs`).
    let expected = details::ALL.iter().flat_map(|row| {
        let causes = row.causes.iter().map(|cause| format!("{}:{cause}", row.name));
        std::iter::once(row.name.to_owned()).chain(causes)
    });
    // (`tls` was demanded above of those Envoys that tell it.)
    seen.insert("store_unavailable:tls".to_owned());
    let unseen = [
        "edge_unjudged",
        "store_invalid",
        "store_invalid:STATUS",
        "store_unavailable",
        "store_unavailable:overflow",
    ];
    let missing: Vec<String> = expected.filter(|name| !seen.contains(name)).collect();
    assert_eq!(missing, unseen);
    bench.edge.check_vms().unwrap();
    bench.edge.envoy.stop().unwrap();
}

#[test]
fn the_readme_tells_each_name_and_each_cause() {
    let readme = std::fs::read_to_string(workspace::root().join("docs/watching-it.md")).unwrap();
    for row in details::ALL {
        assert!(readme.contains(&format!("`{}`", row.name)), "{}", row.name);
        for cause in row.causes {
            let name = format!("`{}:{}`", row.name, cause.replace("STATUS", "410"));
            assert!(readme.contains(&name), "{name}");
        }
    }
}

#[test]
fn an_unknown_cluster_is_logged_once_a_minute_by_all_workers() {
    let (store, upstream) = (ScriptedStore::start().unwrap(), ScriptedStore::start().unwrap());
    let configurations = [("nowhere", r#"{"store": {"cluster": "nowhere"}}"#)];
    let options = Envoy::options().concurrency(4);
    let edge = Edge::start_with(options, configurations, &store, &upstream).unwrap();
    let ask = || request(edge.listeners["nowhere"], "GET", PATH, &[]).unwrap().status;
    // One first: two workers that write for the first time at the same moment may both do so.
    assert_eq!(ask(), 500);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(ask(), 500)));
        }
    });
    let log = edge.envoy.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("has no cluster")).collect();
    assert!(matches!(lines[..], [line] if line.contains("[error]")), "{lines:?}");
    edge.envoy.stop().unwrap();
}

#[test]
fn at_the_debug_level_each_decision_is_a_line_without_a_secret() {
    let bench =
        Bench::start(&["store", "dead"], &cluster("dead", dead_address().unwrap().address(), ""));
    let address = bench.edge.listeners["store"];
    let headers: [(&str, &[u8]); 1] = [("x-auth-token", b"secret")];
    let ask = |path: &str| request(address, "GET", path, &headers).unwrap();
    const SETTLING: &str = "is answered 405 edge_method";
    let all_lines = |bench: &Bench| -> Vec<String> {
        let log = bench.edge.envoy.log();
        let ours = log.lines().filter_map(|line| line.split_once(" request "));
        ours.map(|(_, line)| line.split_once(' ').unwrap().1.to_owned()).collect()
    };
    let lines = |bench: &Bench| -> Vec<String> {
        all_lines(bench).into_iter().filter(|line| line != SETTLING).collect()
    };
    bench.store.set(Behaviour::json(200, r#"{"count":2}"#));
    ask(PATH);
    let set_level =
        |level: &str| bench.edge.envoy.admin_post(&format!("/logging?wasm={level}")).unwrap();
    set_level("debug");
    // The filter looks once a second while requests come.
    wait_for("the first line", PATIENCE, || {
        request(address, "PUT", PATH, &headers).unwrap();
        all_lines(&bench).contains(&SETTLING.to_owned()).then_some(())
    })
    .unwrap();
    ask(&format!("{PATH}?name=secret"));
    ask(&format!("{PATH}?secret=secret"));
    request(bench.edge.listeners["dead"], "GET", PATH, &headers).unwrap();
    set_level("info");
    ask(PATH);
    // Envoy writes the last line of a log when its worker has time.
    wait_for("the log", PATIENCE, || (lines(&bench).len() >= 8).then_some(())).unwrap();
    assert!(!bench.edge.envoy.log().contains("secret"));
    let asks = |name: &str, retry: usize| format!("asks {name:?}, retry {retry}, timeout ");
    for (line, expected) in lines(&bench).iter().zip([
        asks("store", 0),
        "is answered 200 store_count".to_owned(),
        "is answered 400 edge_filter".to_owned(),
        asks("dead", 0),
        asks("dead", 1),
        "waits 10 ms to ask again, for it met store_unavailable:connect_failure".to_owned(),
        asks("dead", 2),
        "is answered 503 store_unavailable:connect_failure".to_owned(),
    ]) {
        assert!(line.starts_with(&expected), "{line:?}, {expected:?}");
    }
    assert_eq!(lines(&bench).len(), 8);
    bench.edge.check_vms().unwrap();
    bench.edge.envoy.stop().unwrap();
}
