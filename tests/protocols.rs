//! What `envoy.yaml` says of its clients' protocols: HTTP/1.0, HTTP/2, unknown methods, and the id of each
//! request.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::net::SocketAddr;

use testkit::envoy_yaml::ShippedEnvoy;
use testkit::http::{Response, request};
use testkit::http2;
use testkit::store::Behaviour;

const COUNT: &str = "/v2/p1/os-vendor-backup-sharing/count";
const COUNTED: &str = r#"{"count":2}"#;
const NOT_GET: &str = r#"{"badMethod":{"code":405,"message":"Only GET counts backup sharings."}}"#;

/// What a stream of HTTP/2 is answered; `None` if it is reset.
fn http2(
    address: SocketAddr,
    method: &str,
    path: &str,
    fields: &[(&str, &[u8])],
) -> Option<String> {
    let request = http2::request(method, path.as_bytes(), fields).unwrap();
    let mut connection = http2::Connection::open(address).unwrap();
    let stream = connection.send(request, b"").unwrap();
    connection.receive(stream).unwrap().map(|answer| answer.text())
}

#[test]
fn headers_too_large_or_too_many_are_431_or_a_reset_stream() {
    let shipped = ShippedEnvoy::start(&[]).unwrap();
    let names: Vec<String> = (0..101).map(|n| format!("x-{n}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b"1"[..])).collect();
    let large = "a".repeat(62_000);
    for (fields, status, answer) in [
        (&many[..1], 200, Some(COUNTED)),
        (&many, 431, None),
        (&[("x-large", large.as_bytes())], 431, None),
    ] {
        let response = request(shipped.listener, "GET", COUNT, fields).unwrap();
        assert_eq!(response.status, status);
        assert_eq!(http2(shipped.listener, "GET", COUNT, fields).as_deref(), answer);
    }
    shipped.envoy.stop().unwrap();
}

#[test]
fn an_unknown_method_is_405_over_each_protocol() {
    let shipped = ShippedEnvoy::start(&[]).unwrap();
    let response = request(shipped.listener, "FETCH", COUNT, &[]).unwrap();
    assert_eq!((response.status, response.text().as_str()), (405, NOT_GET));
    assert_eq!(http2(shipped.listener, "FETCH", COUNT, &[]).as_deref(), Some(NOT_GET));
    assert!(shipped.envoy.log().contains("allow_custom_methods' is marked as work-in-progress"));
    shipped.envoy.stop().unwrap();

    // Without the line.
    let without = [("            allow_custom_methods: true\n", "")];
    let shipped = ShippedEnvoy::start(&without).unwrap();
    let response = request(shipped.listener, "FETCH", COUNT, &[]).unwrap();
    assert_eq!(response.status, 400);
    assert!(response.text().contains("not well-formed"), "{}", response.text());
    assert_eq!(http2(shipped.listener, "FETCH", COUNT, &[]).as_deref(), Some(NOT_GET));
    assert!(!shipped.envoy.log().contains("work-in-progress"));
    shipped.envoy.stop().unwrap();
}

fn http10(shipped: &ShippedEnvoy, fields: &str) -> Response {
    let request = format!("GET {COUNT} HTTP/1.0\r\n{fields}\r\n");
    shipped.send(&request).unwrap().receive(false).unwrap()
}

#[test]
fn http_1_0_is_426_unless_it_is_switched_on() {
    let shipped = ShippedEnvoy::start(&[]).unwrap();
    let old = r#"{"computeFault":{"code":426,"message":"This HTTP version is not served here: use HTTP/1.1 or HTTP/2."}}"#;
    let response = http10(&shipped, "host: a\r\n");
    assert_eq!((response.status, response.text().as_str()), (426, old));
    shipped.envoy.stop().unwrap();

    // As the comment says.
    let line = "            allow_custom_methods: true\n";
    let switches = ["accept_http_10: true", "default_host_for_http_10: edge.example"];
    let yaml = std::fs::read_to_string(testkit::workspace::root().join("envoy.yaml")).unwrap();
    for switch in switches {
        assert!(yaml.contains(&format!("`{switch}`")), "envoy.yaml says nothing of {switch}");
    }
    let with = format!("{line}            {}\n            {}\n", switches[0], switches[1]);
    let shipped = ShippedEnvoy::start(&[(line, &with)]).unwrap();
    for fields in ["", "host: a\r\n"] {
        let response = http10(&shipped, fields);
        assert_eq!((response.status, response.text().as_str()), (200, COUNTED), "{fields:?}");
    }
    shipped.envoy.stop().unwrap();
}

#[test]
fn an_answer_names_its_line_in_the_access_log() {
    let shipped = ShippedEnvoy::start(&[]).unwrap();
    let theirs = ("x-request-id".to_owned(), "backend".to_owned());
    shipped.backend.set(Behaviour::Answer { status: 404, headers: vec![theirs], body: vec![] });
    let asked = [
        (COUNT.to_owned(), 200),
        (format!("{COUNT}?x=1"), 400),
        ("/v2/p1/volumes".to_owned(), 404), // the backend's
        ("/".to_owned(), 404),              // Envoy's own
    ];
    let mut ids = Vec::new();
    for (path, status) in &asked {
        for sent in [&[("x-request-id", &b"client"[..])][..], &[]] {
            let response = request(shipped.listener, "GET", path, sent).unwrap();
            assert_eq!(response.status, *status, "{path}");
            let id = response.header("x-request-id").unwrap().to_owned();
            assert_eq!(response.header_values("x-request-id").len(), 1, "{path}");
            assert_eq!((id.len(), id.matches('-').count()), (36, 4), "a UUID: {id}");
            ids.push(id);
        }
    }
    let log = shipped.access_log(ids.len()).unwrap();
    let logged: Vec<_> = log.iter().map(|line| line["request_id"].as_str().unwrap()).collect();
    assert_eq!(logged, ids);
    let store = shipped.store.take_requests();
    let at_the_store: Vec<_> = store.iter().filter_map(|r| r.header("x-request-id")).collect();
    assert_eq!(at_the_store, [&ids[0], &ids[1]], "the store is told of it too");

    // Refused before there is an id: none, and not the client's.
    for refused in [
        "GET /v2/p%2Fq HTTP/1.1\r\nhost: a\r\n", "GET /v2/p1/volumes HTTP/1.1\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: a\r\n", "GET / HTTP/1.0\r\nhost: a\r\n",
    ] {
        let refused = format!("{refused}x-request-id: client\r\n\r\n");
        let response = shipped.send(&refused).unwrap().receive(false).unwrap();
        assert_eq!(response.header("x-request-id"), None, "{refused}");
        assert!(response.text().contains(&response.status.to_string()), "{refused}");
    }
    shipped.envoy.stop().unwrap();
}
