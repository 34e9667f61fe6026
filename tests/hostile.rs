//! Requests no decent client sends, and clients that hang up. Each gets a documented answer, the
//! next request is served, and no VM is ever restarted.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::sync::{Arc, Mutex};
use std::time::Duration;

use testkit::edge::{Fixture, capabilities, filter, listener, listener_with};
use testkit::envoy::config::Listener;
use testkit::http::{Connection, Response};
use testkit::store::Behaviour;
use testkit::workspace::{filter_module, root};
use testkit::{PATIENCE, wait_for};

const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";

fn start() -> Fixture {
    let count = ("count", r#"{"store": {"cluster": "store", "timeout": "20s"}}"#);
    Fixture::start(&[count, ("validate", r#"{"mode": "validate"}"#)]).unwrap()
}

fn ask(fixture: &Fixture, target: impl AsRef<[u8]>, headers: &[(&str, &[u8])]) -> Response {
    let response = fixture.request("count", "GET", target, headers).unwrap();
    let next = fixture.get("count", PATH).unwrap();
    assert_eq!(next, (200, r#"{"count":2}"#.to_owned()), "the next request is counted");
    response
}

#[test]
fn any_byte_in_a_header_has_a_documented_answer() {
    let fixture = start();
    // A control character is Envoy's to refuse, a byte beyond ASCII is the filter's.
    for byte in (1..=255u8).filter(|byte| !b"\r\n".contains(byte)) {
        let value = [b'a', byte, b'z'];
        for name in ["x-auth-token", "x-other", "accept", "traceparent"] {
            let status = ask(&fixture, PATH, &[(name, &value)]).status;
            let printable = (0x20..=0x7E).contains(&byte);
            let expected = match (name, byte) {
                // `a z` parses as no media range; `a/z` as one that is not JSON.
                ("accept", b'/') => 406,
                (_, 0x01..0x20 | 0x7F) if byte != b'\t' => 400,
                ("accept" | "x-other", _) => 200,
                _ if printable => 200,
                _ => 400,
            };
            assert_eq!(status, expected, "{name}: a\\x{byte:02x}z");
        }
    }
    fixture.stop().unwrap();
}

#[test]
fn any_byte_in_a_path_or_a_query_has_a_documented_answer() {
    let fixture = start();
    for byte in (1..=255u8).filter(|byte| !b"\r\n\t #?&".contains(byte)) {
        let raw = [b"/v2/p1/os-vendor-backup-sharing/count?name=a", &[byte][..], b"z"].concat();
        let status = ask(&fixture, raw, &[]).status;
        let expected = if byte.is_ascii_graphic() && byte != b'%' { 200 } else { 400 };
        assert_eq!(status, expected, "name=a\\x{byte:02x}z");

        let raw = [b"/v2/p", &[byte][..], b"1/os-vendor-backup-sharing/count"].concat();
        let status = ask(&fixture, raw, &[]).status;
        let expected = match byte {
            b'/' | b'\\' => None,
            b'_' | b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => Some(200),
            _ => Some(400),
        };
        if let Some(expected) = expected {
            assert_eq!(status, expected, "/v2/p\\x{byte:02x}1/…");
        }
    }
    for byte in 0..=255u8 {
        let status = ask(&fixture, format!("{PATH}?name=a%{byte:02x}z"), &[]).status;
        let expected = if (0x20..0x7F).contains(&byte) { 200 } else { 400 };
        assert_eq!(status, expected, "name=a%{byte:02x}z");
    }
    fixture.stop().unwrap();
}

#[test]
fn what_is_long_or_many_is_refused_once() {
    let fixture = start();
    let long = |n| "a".repeat(n);
    let many = |piece: &str| vec![piece; 2_000].join("&");
    for query in [
        format!("name={}", long(50_000)),
        format!("{}=1", long(50_000)),
        format!("name={}", "%41".repeat(16_000)),
        format!("name={}", "%".repeat(50_000)),
        many("name=a"),
        many("x=1"),
        (0..2_000).map(|n| format!("p{n}=1&")).collect(),
    ] {
        let response = ask(&fixture, format!("{PATH}?{query}"), &[]);
        let start: String = query.chars().take(20).collect();
        assert_eq!(response.status, 400, "{start}");
        assert!(response.body.len() < 400, "{start}: {}", response.text());
    }
    // Empty pieces are no parameters at all.
    assert_eq!(ask(&fixture, format!("{PATH}?{}", "&".repeat(50_000)), &[]).status, 200);
    let accept = vec!["text/html;q=0.5"; 3_000].join(",");
    assert_eq!(ask(&fixture, PATH, &[("accept", accept.as_bytes())]).status, 406);
    let path = format!("/v2/{}/os-vendor-backup-sharing/count", long(50_000));
    assert_eq!(ask(&fixture, path, &[]).status, 400);
    assert_eq!(ask(&fixture, format!("{}/{PATH}", "/x/..".repeat(9_000)), &[]).status, 404);
    fixture.stop().unwrap();
}

/// Of a callout that is too large the host says the same as of an unknown cluster, which is the operator's fault.
#[test]
fn a_token_of_any_length_is_the_clients_fault() {
    let long = |name: &str, rest: &str| {
        let auth = r#""auth": {"mode": "keystone", "keystone": {"cluster": "keystone"}}"#;
        let listener = listener(name, &format!("{{{rest}, {auth}}}")).unwrap();
        listener.with("max_request_headers_kb", 8_000.into())
    };
    let listeners = [
        long("count", r#""store": {"cluster": "store"}"#),
        long("validate", r#""mode": "validate""#),
    ];
    let fixture = Fixture::with_listeners(listeners).unwrap();
    fixture.keystone.set(Behaviour::status(431));
    for listener in ["count", "validate"] {
        for (length, status) in
            [(449_987, 401), (449_988, 400), (600_000, 400), (890_000, 400), (1_500_000, 400)]
        {
            let token = vec![b'a'; length];
            let headers: [(&str, &[u8]); 1] = [("x-auth-token", &token)];
            let response = fixture.request(listener, "GET", PATH, &headers).unwrap();
            assert_eq!(response.status, status, "{listener}: {length}");
        }
    }
    fixture.stop().unwrap();
}

#[test]
fn a_connection_survives_the_filters_own_refusals() {
    let fixture = start();
    let mut connection = Connection::open(fixture.edge.listeners["count"]).unwrap();
    for _ in 0..100 {
        let response = connection.request("GET", format!("{PATH}?x=1"), &[]).unwrap();
        assert_eq!(response.status, 400);
        assert_eq!(response.header("connection"), None);
    }
    assert_eq!(connection.request("GET", PATH, &[]).unwrap().status, 200);
    fixture.stop().unwrap();
}

#[test]
fn mode_validate_hands_on_what_the_client_sent() {
    let fixture = start();
    fixture.upstream.set(Behaviour::json(404, "\"theirs\""));
    let headers: [(&str, &[u8]); 3] =
        [("x-odd", b"\xff"), ("accept", b"application/json"), ("x-auth-token", b"\xff")];
    let target = format!("{PATH}?name=%c3%a9+x&share_to_me=YES&");
    let response = fixture.request("validate", "GET", &target, &headers).unwrap();
    assert_eq!((response.status, response.text().as_str()), (404, "\"theirs\""));
    let passed = fixture.upstream.take_requests();
    assert_eq!(passed.len(), 1);
    assert_eq!(passed[0].target_text(), target);
    for (name, value) in headers {
        assert_eq!(passed[0].header_values(name), [value], "{name}");
    }
    fixture.stop().unwrap();
}

/// With this setting, a filter that holds back the headers alone lets body and trailers carry the
/// request past it.
#[test]
fn a_request_that_waits_waits_whole() {
    let plugin = r#"{"store": {"cluster": "store", "timeout": "20s"}}"#;
    let mut filter = filter(&filter_module().unwrap(), "count", plugin);
    filter["typed_config"]["config"]["allow_on_headers_stop_iteration"] = true.into();
    let fixture = Fixture::with_listeners([listener_with("count", filter)]).unwrap();
    let slow = Duration::from_millis(200);
    fixture.store.set(Behaviour::json(200, r#"{"count":2}"#).after(slow));

    for rest in ["5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n", "5\r\nhello\r\n0\r\nx-end: 1\r\n\r\n"] {
        let mut connection = Connection::open(fixture.edge.listeners["count"]).unwrap();
        let headers =
            format!("GET {PATH} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
        connection.send((headers + rest).as_bytes()).unwrap();
        let response = connection.receive(false).unwrap();
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, r#"{"count":2}"#),
            "{rest:?}"
        );
        assert_eq!(fixture.upstream.take_requests().len(), 0, "{rest:?}");
    }
    fixture.stop().unwrap();
}

/// The host calls that the filter makes, through the SDK or beside it. Of the 40 functions that the module
/// imports, no others are called, unless it panics.
const CALLED: [&str; 18] = [
    "proxy_close_stream", "proxy_continue_stream", "proxy_define_metric", "proxy_get_buffer_bytes",
    "proxy_get_current_time_nanoseconds", "proxy_get_header_map_pairs",
    "proxy_get_header_map_value", "proxy_get_log_level", "proxy_get_shared_data",
    "proxy_http_call", "proxy_increment_metric", "proxy_log", "proxy_record_metric",
    "proxy_send_local_response", "proxy_set_effective_context", "proxy_set_property",
    "proxy_set_shared_data", "proxy_set_tick_period_milliseconds",
];

/// A listener whose module may make no other host calls than these.
fn restricted(name: &str, configuration: &str, calls: &[&str]) -> Listener {
    let callbacks = include_str!("../src/glue/exports.txt").lines();
    let mut filter = filter(&filter_module().unwrap(), name, configuration);
    filter["typed_config"]["config"]["capability_restriction_config"] =
        capabilities(callbacks.chain(calls.iter().copied()));
    listener_with(name, filter)
}

#[test]
fn a_host_that_does_not_show_the_headers_lets_nothing_past() {
    let calls: Vec<&str> =
        CALLED.into_iter().filter(|call| *call != "proxy_get_header_map_pairs").collect();
    let listener = restricted("validate", r#"{"mode": "validate"}"#, &calls);
    let fixture = Fixture::with_listeners([listener]).unwrap();
    for path in [PATH, "/v2/p1/backups"] {
        assert_eq!(fixture.get("validate", path).unwrap().0, 500, "{path}");
    }
    assert_eq!(fixture.upstream.take_requests().len(), 0);
    fixture.stop().unwrap();
}

#[test]
fn a_host_that_refuses_metrics_is_served_without() {
    let calls: Vec<&str> = CALLED.into_iter().filter(|call| !call.ends_with("_metric")).collect();
    let listener =
        restricted("count", r#"{"store": {"cluster": "store", "timeout": "20s"}}"#, &calls);
    let fixture = Fixture::with_listeners([listener]).unwrap();
    assert_eq!(fixture.get("count", PATH).unwrap(), (200, r#"{"count":2}"#.to_owned()));
    assert_eq!(fixture.get("count", format!("{PATH}?x=1")).unwrap().0, 400);
    fixture.stop().unwrap();
}

/// An Envoy that allows the module nothing else than it needs.
#[test]
fn what_the_filter_calls_and_is_called_by_is_all_it_needs() {
    let page = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let listed: Vec<&str> = page.split(|one: char| !one.is_alphanumeric() && one != '_').collect();
    let missing = CALLED.iter().find(|call| !listed.contains(call));
    assert_eq!(missing, None, "docs/security.md lacks it");
    let configurations = [
        ("count", r#"{"store": {"cluster": "store", "timeout": "20s"}}"#),
        ("unknown", r#"{"store": {"cluster": "unknown"}}"#),
        (
            "callers",
            r#"{"mode": "validate", "auth": {"mode": "keystone", "keystone": {"cluster": "keystone"}}}"#,
        ),
    ];
    let listeners = configurations.map(|(name, plugin)| restricted(name, plugin, &CALLED));
    let fixture = Fixture::with_listeners(listeners).unwrap();
    let status = |listener: &str, path: &str| fixture.get(listener, path).unwrap().0;
    assert_eq!(status("count", PATH), 200);
    assert_eq!(status("count", &format!("{PATH}?x=1")), 400);
    assert_eq!(status("count", "/v2/p1/backups"), 200);
    assert_eq!(status("unknown", PATH), 500, "and a line in the log");
    let token = r#"{"token": {"project": {"id": "p1"}, "expires_at": "2100-01-01T00:00:00Z"}}"#;
    fixture.keystone.set(Behaviour::json(200, token));
    let asked = fixture.request("callers", "GET", PATH, &[("x-auth-token", b"t")]).unwrap();
    assert_eq!(asked.text(), "\"passed\"");
    fixture.store.set(Behaviour::json(401, "{}"));
    assert_eq!(status("count", PATH), 401);
    // It breaks off, upon which the callout is sent again, and again after a pause.
    fixture.store.set(Behaviour::ResetAfterHeaders);
    assert_eq!(status("count", PATH), 502);
    // Envoy says so in the store's place.
    fixture.store.set(Behaviour::ResetBeforeHeaders);
    assert_eq!(status("count", PATH), 503);
    fixture.stop().unwrap();
}

#[test]
fn clients_that_hang_up_leave_nothing_behind() {
    const CLIENTS: usize = 200;
    let fixture = start();
    // The store answers when all clients have gone.
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap();
    fixture.store.set(Behaviour::by_request({
        let gate = Arc::clone(&gate);
        move |_| {
            drop(gate.lock());
            Behaviour::json(200, r#"{"count":2}"#)
        }
    }));
    let headers = format!("GET {PATH} HTTP/1.1\r\nhost: a\r\n\r\n");
    let clients: Vec<Connection> = (0..CLIENTS)
        .map(|_| {
            let mut client = Connection::open(fixture.edge.listeners["count"]).unwrap();
            client.send(headers.as_bytes()).unwrap();
            client
        })
        .collect();
    let asked = fixture.store.wait_for_requests(CLIENTS).unwrap();
    assert_eq!(asked.len(), CLIENTS, "all callouts are in flight");
    drop(clients);

    let gauge = |name: &str| fixture.edge.envoy.stat(name).unwrap();
    let none_left = |name: &'static str| {
        wait_for(name, PATIENCE, || (gauge(name) == 0).then_some(())).unwrap();
    };
    none_left("http.count.downstream_rq_active");
    none_left("http.count.downstream_cx_active");
    assert_eq!(gauge("cluster.store.upstream_rq_active"), CLIENTS as u64);
    drop(closed);
    none_left("cluster.store.upstream_rq_active");

    fixture.store.set(Behaviour::json(200, r#"{"count":5}"#));
    assert_eq!(fixture.get("count", PATH).unwrap().1, r#"{"count":5}"#);
    fixture.stop().unwrap();
}
