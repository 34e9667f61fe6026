//! `envoy.yaml` as it ships: started, asked, and made to answer for itself.

#![cfg(test)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use testkit::count_store::{self, CountStore};
use testkit::envoy_yaml::{ShippedEnvoy, start_before};
use testkit::http::{Connection, Response, request};
use testkit::store::{Behaviour, ScriptedStore};
use testkit::{PATIENCE, Progress, wait_for, workspace};

const COUNT: &str = "/v2/17fbda95add24720a4038ba4b1c705ed/os-vendor-backup-sharing/count";

/// With times short enough to wait for.
const SHORT: (&str, &str) = ("cluster: backend, timeout: 15s", "cluster: backend, timeout: 1s");

fn start() -> ShippedEnvoy {
    ShippedEnvoy::start(&[SHORT]).unwrap()
}

#[track_caller]
fn is(response: &Response, status: u16, body: &str) {
    assert_eq!((response.status, response.text().as_str()), (status, body));
    assert_eq!(response.header_values("content-type"), [b"application/json"]);
}

#[test]
fn a_request_is_counted_in_a_real_database() {
    let folder = tempfile::tempdir().unwrap();
    let database: PathBuf = folder.path().join("sharings.sqlite");
    let rows = workspace::root().join("demo/sharings.csv");
    count_store::load(&database, &rows, Progress::Quiet).unwrap();
    let store = CountStore::start(&database, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let (envoy, listener) = start_before(&[store.address()], store.address(), &[]).unwrap();

    let text = std::fs::read_to_string(rows).unwrap();
    let project = "17fbda95add24720a4038ba4b1c705ed";
    let column =
        |n: usize| text.lines().filter(|line| line.split(',').nth(n) == Some(project)).count();
    for (query, expected) in [("", column(2)), ("?share_to_me=on", column(3))] {
        let response = request(listener, "GET", format!("{COUNT}{query}"), &[]).unwrap();
        is(&response, 200, &format!(r#"{{"count":{expected}}}"#));
        assert!(expected > 0);
    }
    assert_eq!(request(listener, "GET", "/healthz", &[]).unwrap().status, 200);
    envoy.stop().unwrap();
}

#[test]
fn envoys_own_errors_carry_the_contracts_body() {
    let shipped = start();
    let not_found = r#"{"itemNotFound":{"code":404,"message":"The resource could not be found."}}"#;
    is(&shipped.get("/").unwrap(), 404, not_found);
    let malformed = r#"{"badRequest":{"code":400,"message":"The request is not well-formed HTTP, or its path holds an escaped slash."}}"#;
    is(&shipped.get("/v2/p%2Fq/os-vendor-backup-sharing/count").unwrap(), 400, malformed);
    let control = request(shipped.listener, "GET", COUNT, &[("x-auth-token", b"a\x01")]).unwrap();
    is(&control, 400, malformed);
    let two_hosts = "GET /v2/x HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n";
    is(
        &shipped.send(two_hosts).unwrap().receive(false).unwrap(),
        400,
        r#"{"badRequest":{"code":400,"message":"The request has more than one Host header."}}"#,
    );
    let not_served = r#"{"forbidden":{"code":403,"message":"Protocol upgrades, and https URLs without TLS, are not served here."}}"#;
    for refused in [
        "GET /v2/x HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "GET https://a/v2/x HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        is(&shipped.send(refused).unwrap().receive(false).unwrap(), 403, not_served);
    }
    let coding = "GET /v2/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n";
    let not_implemented =
        r#"{"notImplemented":{"code":501,"message":"This transfer coding is not implemented."}}"#;
    is(&shipped.send(coding).unwrap().receive(false).unwrap(), 501, not_implemented);
    let too_large = r#"{"computeFault":{"code":431,"message":"The request line and headers are too large or too many."}}"#;
    let large = format!("{COUNT}?name={}", "a".repeat(62_000));
    is(&shipped.get(&large).unwrap(), 431, too_large);
    let old = r#"{"computeFault":{"code":426,"message":"This HTTP version is not served here: use HTTP/1.1 or HTTP/2."}}"#;
    is(&shipped.send("GET / HTTP/1.0\r\n\r\n").unwrap().receive(false).unwrap(), 426, old);

    shipped.backend.set(Behaviour::Hang);
    let late = r#"{"computeFault":{"code":504,"message":"The backend did not answer in time."}}"#;
    is(&shipped.get("/v2/x").unwrap(), 504, late);
    shipped.backend.set(Behaviour::Garbage(b"nonsense\r\n\r\n".to_vec()));
    let invalid = r#"{"computeFault":{"code":502,"message":"The backend gave no valid answer."}}"#;
    is(&shipped.get("/v2/x").unwrap(), 502, invalid);
    let ShippedEnvoy { envoy, listener, backend, .. } = shipped;
    drop(backend);
    let unavailable = r#"{"serviceUnavailable":{"code":503,"message":"The service is unavailable. Try again later."}}"#;
    is(&request(listener, "GET", "/v2/x", &[]).unwrap(), 503, unavailable);
    envoy.stop().unwrap();
}

#[test]
fn a_slow_client_is_told_so() {
    let shipped =
        ShippedEnvoy::start(&[("request_headers_timeout: 5s", "request_headers_timeout: 0.3s")])
            .unwrap();
    let response = shipped.send("GET / HTTP/1.1\r\nhost:").unwrap().receive(false).unwrap();
    let late = r#"{"computeFault":{"code":408,"message":"The request did not arrive in time."}}"#;
    is(&response, 408, late);
}

#[test]
fn the_filters_replies_and_the_backends_are_left_as_they_are() {
    let shipped = start();
    let refused = shipped.get(&format!("{COUNT}?share_to_me=maybe")).unwrap();
    is(
        &refused,
        400,
        r#"{"badRequest":{"code":400,"message":"share_to_me: expected true or false, got \"maybe\""}}"#,
    );
    let method = request(shipped.listener, "PUT", COUNT, &[]).unwrap();
    is(&method, 405, r#"{"badMethod":{"code":405,"message":"Only GET counts backup sharings."}}"#);
    let unknown = request(shipped.listener, "FETCH", COUNT, &[]).unwrap();
    assert_eq!((unknown.status, unknown.text()), (405, method.text()));
    is(
        &shipped.get(&format!("{COUNT};v=1")).unwrap(),
        404,
        r#"{"itemNotFound":{"code":404,"message":"The resource could not be found."}}"#,
    );
    is(&shipped.get(COUNT).unwrap(), 200, r#"{"count":2}"#);
    is(&shipped.get("/v2/x").unwrap(), 404, r#"{"theirs":true}"#);
    for (status, name) in [(403, "forbidden"), (503, "serviceUnavailable")] {
        shipped.store.set(Behaviour::json(status, format!(r#"{{"{name}":{{"message":"Own."}}}}"#)));
        let response = shipped.get(COUNT).unwrap();
        assert_eq!(response.status, status);
        assert_ne!(response.text().contains("Own."), status == 503, "{}", response.text());
    }

    // The access log tells who answered.
    let expected = [
        "edge_filter", "edge_method", "edge_method", "edge_path", "store_count", "via_upstream",
        "store_fault", "store_unavailable:503",
    ];
    let log = shipped.access_log(expected.len()).unwrap();
    let answered: Vec<_> = log.iter().map(|entry| entry["answered_by"].as_str().unwrap()).collect();
    assert_eq!(answered, expected);
    shipped.envoy.stop().unwrap();
}

#[test]
fn a_store_that_fails_its_health_check_is_not_asked() {
    let ShippedEnvoy { envoy, listener, store, backend: _backend } = start();
    let address = store.address();
    drop(store);
    let unavailable = r#"{"serviceUnavailable":{"code":503,"message":"The count store is unavailable. Try again later."}}"#;
    is(&request(listener, "GET", COUNT, &[]).unwrap(), 503, unavailable);
    let healthy = || envoy.stat("cluster.count_store.membership_healthy").unwrap();
    wait_for("the store to be out", PATIENCE, || (healthy() == 0).then_some(())).unwrap();
    is(&request(listener, "GET", COUNT, &[]).unwrap(), 503, unavailable);

    let store = ScriptedStore::start_at(address).unwrap();
    store.set(Behaviour::json(200, r#"{"count":3}"#));
    wait_for("the store to be back", PATIENCE, || {
        (request(listener, "GET", COUNT, &[]).unwrap().status == 200).then_some(())
    })
    .unwrap();
}

#[test]
fn a_flooding_store_is_cut_off_and_fills_nobodys_memory() {
    let shipped = start();
    shipped.store.set(Behaviour::Flood { bytes: 4 << 20 });
    // By default Envoy would hold all of it, and the filter would say that it cannot be used.
    let broken = r#"{"computeFault":{"code":502,"message":"The count store's answer broke off."}}"#;
    is(&shipped.get(COUNT).unwrap(), 502, broken);
    shipped.store.set(Behaviour::json(200, r#"{"count":3}"#));
    assert_eq!(shipped.get(COUNT).unwrap().text(), r#"{"count":3}"#);
}

#[test]
fn a_400_keeps_the_connection_but_conflicting_framing_ends_it() {
    let shipped = start();
    let next = format!("GET {COUNT} HTTP/1.1\r\nhost: a\r\n\r\n");
    for kept in [
        format!("GET {COUNT}?x=1 HTTP/1.1\r\nhost: a\r\n\r\n"),
        "GET /v2/p%2Fq HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
        format!("GET {COUNT} HTTP/1.1\r\n\r\n"),
    ] {
        let mut connection = shipped.send(&format!("{kept}{next}")).unwrap();
        assert_eq!(connection.receive(false).unwrap().status, 400, "{kept}");
        is(&connection.receive(false).unwrap(), 200, r#"{"count":2}"#);
    }
    for (framing, body) in [
        ("content-length: 5\r\ntransfer-encoding: chunked", "0\r\n\r\n"),
        ("content-length: 5\r\ncontent-length: 6", "abcdef"),
        ("content-length: 5\r\ncontent-length: 5", "abcde"),
        ("content-length: +5", "abcde"),
        ("content-length: 5, 5", "abcde"),
        ("transfer-encoding: chunked, identity", "0\r\n\r\n"),
        ("transfer-encoding: xchunked", "0\r\n\r\n"),
        ("transfer-encoding: chunked", "zz\r\n\r\n"),
    ] {
        for path in [COUNT, "/v2/x"] {
            let headers = format!("GET {path} HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n");
            let mut connection = shipped.send(&(headers + body + &next)).unwrap();
            if let Ok(response) = connection.receive(false) {
                let codes = [200, 400, 404, 501];
                assert!(codes.contains(&response.status), "{framing}: {response:?}");
                assert_eq!(response.header("connection"), Some("close"), "{framing} {path}");
            }
            assert!(connection.receive(false).is_err(), "{framing}: no request behind it");
        }
    }
}

#[test]
fn a_client_cannot_speak_to_envoy_or_to_the_store_behind_the_filters_back() {
    let shipped = start();
    shipped.store.set(Behaviour::json(200, r#"{"count":2}"#).after(Duration::from_millis(100)));
    let headers: [(&str, &[u8]); 4] = [
        ("x-envoy-upstream-rq-timeout-ms", b"1"),
        ("x-envoy-retry-on", b"5xx"),
        ("x_auth_token", b"other"),
        ("x-auth-token", b"mine"),
    ];
    is(&request(shipped.listener, "GET", COUNT, &headers).unwrap(), 200, r#"{"count":2}"#);
    let asked = &shipped.store.take_requests()[0];
    assert_eq!(asked.header_values("x-auth-token"), [b"mine"]);
    for name in ["x-envoy-upstream-rq-timeout-ms", "x-envoy-retry-on", "x_auth_token"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
}

#[test]
fn past_the_connection_limit_there_is_no_connection() {
    let shipped = ShippedEnvoy::start(&[(
        "max_active_downstream_connections: 8000",
        "max_active_downstream_connections: 5",
    )])
    .unwrap();
    let mut connections: Vec<Connection> =
        (0..5).map(|_| Connection::open(shipped.listener).unwrap()).collect();
    for connection in &mut connections {
        assert_eq!(connection.request("GET", COUNT, &[]).unwrap().status, 200);
    }
    let mut refused = Connection::open(shipped.listener).unwrap();
    assert!(refused.is_closed());
    assert_eq!(connections[0].request("GET", COUNT, &[]).unwrap().status, 200);
}

/// A limit of Envoy's, not of the filter's: docs/decisions/2026-11-23-grpc-content-type.md.
#[test]
fn a_grpc_content_type_turns_a_reply_into_grpc() {
    let shipped = start();
    let grpc: [(&str, &[u8]); 1] = [("content-type", b"application/grpc")];
    let response = request(shipped.listener, "GET", format!("{COUNT}?x=1"), &grpc).unwrap();
    assert_eq!((response.status, response.header("grpc-status")), (200, Some("13")));
}
