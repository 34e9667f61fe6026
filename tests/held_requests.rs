//! Mode `validate` with `auth.mode: keystone`: while Keystone is asked the request waits, whole, and then continues
//! untouched or not at all.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::edge::{Fixture, filter, listener_with};
use testkit::envoy::config::Listener;
use testkit::http::{self, Response};
use testkit::store::Behaviour;
use testkit::{http2, workspace};

const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";
const VALIDATE: &str = r#"{"mode": "validate", "auth": {"mode": "keystone", "keystone": {"cluster": "keystone", "timeout": "20s", "remember": "0s"}}}"#;

/// Envoy's default limit of what it buffers for a connection.
const MIB: usize = 1 << 20;
/// The limit in `envoy.yaml`.
const SHIPPED: usize = 32 << 10;

/// Whether Envoy shows a body to a filter that has stopped at the headers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flag {
    Off,
    On,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Protocol {
    Http1,
    Http2,
}

fn listener(name: &str, flag: Flag, limit: Option<usize>) -> Listener {
    let mut filter = filter(&workspace::filter_module().unwrap(), name, VALIDATE);
    filter["typed_config"]["config"]["allow_on_headers_stop_iteration"] =
        Value::Bool(flag == Flag::On);
    let trailers = json!({"enable_trailers": true});
    let listener = listener_with(name, filter).with("http_protocol_options", trailers);
    match limit {
        Some(limit) => listener.buffer_limit(limit),
        None => listener,
    }
}

fn start() -> Fixture {
    let listeners = [
        listener("off", Flag::Off, None),
        listener("on", Flag::On, None),
        listener("off_32k", Flag::Off, Some(SHIPPED)),
        listener("on_32k", Flag::On, Some(SHIPPED)),
    ];
    Fixture::with_listeners(listeners).unwrap()
}

fn token(project: &str) -> Behaviour {
    let project = json!({"id": project});
    let token = json!({"token": {"project": project, "expires_at": "2100-01-01T00:00:00Z"}});
    Behaviour::json(200, token.to_string())
}

/// A GET with a body without a length, and a trailer.
fn send(address: SocketAddr, protocol: Protocol, body: &[u8]) -> Response {
    let token = ("x-auth-token", &b"t"[..]);
    match protocol {
        Protocol::Http1 => {
            let mut request = format!(
                "GET {PATH} HTTP/1.1\r\nhost: a\r\nx-auth-token: t\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            .into_bytes();
            for chunk in body.chunks(50_000) {
                request.extend(format!("{:x}\r\n", chunk.len()).bytes());
                request.extend(chunk);
                request.extend(b"\r\n");
            }
            request.extend(b"0\r\nx-end: yes\r\n\r\n");
            let mut connection = http::Connection::open(address).unwrap();
            // Refused, it may not be read to its end.
            let _ = connection.send(&request);
            connection.receive(false).unwrap()
        }
        Protocol::Http2 => {
            let mut connection = http2::Connection::open(address).unwrap();
            let request = http2::request("GET", PATH.as_bytes(), &[token]).unwrap();
            let sent = connection.send_with_trailers(request, body, &[("x-end", "yes")]).unwrap();
            connection.receive(sent).unwrap().unwrap()
        }
    }
}

/// Sends a request, shows that it waits for Keystone, and lets Keystone say this.
fn ask(
    fixture: &Fixture,
    listener: &str,
    protocol: Protocol,
    body: &[u8],
    says: &Behaviour,
) -> Response {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap();
    let (waits, says) = (Arc::clone(&gate), says.clone());
    fixture.keystone.set(Behaviour::by_request(move |_| {
        drop(waits.lock());
        says.clone()
    }));
    let address = fixture.edge.listeners[listener];
    thread::scope(|scope| {
        let client = scope.spawn(|| send(address, protocol, body));
        fixture.keystone.wait_for_requests(1).unwrap();
        thread::sleep(Duration::from_millis(30));
        assert!(fixture.upstream.take_requests().is_empty(), "it did not wait");
        drop(closed);
        client.join().unwrap()
    })
}

fn body(size: usize) -> Vec<u8> {
    (0..size).map(|at| b'a' + u8::try_from(at % 23).unwrap()).collect()
}

#[test]
fn a_vouched_request_continues_whole() {
    let fixture = start();
    let said = token("p1");
    for protocol in [Protocol::Http1, Protocol::Http2] {
        // Over HTTP/2 it is not the listener's limit that counts, but the window of the stream.
        let more = if protocol == Protocol::Http2 { [2 * MIB, 2 * SHIPPED] } else { [0, 0] };
        for (listener, sizes) in [
            ("off", &[0, 1, 1_000, 65_536, MIB, 3 * MIB][..]),
            ("on", &[0, 1, 1_000, 65_536, MIB - 1_000, more[0]]),
            ("off_32k", &[0, SHIPPED, MIB]),
            ("on_32k", &[0, SHIPPED - 1_000, more[1]]),
        ] {
            for &size in sizes {
                let what = format!("{protocol:?} {listener} {size}");
                let body = body(size);
                let response = ask(&fixture, listener, protocol, &body, &said);
                assert_eq!((response.status, &*response.text()), (200, "\"passed\""), "{what}");
                let passed = &fixture.upstream.wait_for_requests(1).unwrap()[0];
                assert_eq!((&*passed.method, &*passed.target_text()), ("GET", PATH), "{what}");
                assert_eq!(passed.header("x-auth-token"), Some("t"), "{what}");
                assert!(passed.body == body, "{what}: {} bytes", passed.body.len());
                assert_eq!(passed.trailers, ["x-end: yes"], "{what}");
            }
        }
    }
    fixture.stop().unwrap();
}

#[test]
fn a_refused_request_goes_nowhere() {
    let fixture = start();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for listener in ["off", "on"] {
            for size in [0, 1_000, 500_000] {
                let response = ask(&fixture, listener, protocol, &body(size), &token("p2"));
                assert_eq!(response.status, 403, "{protocol:?} {listener} {size}");
            }
        }
    }
    assert!(fixture.upstream.take_requests().is_empty());
    fixture.stop().unwrap();
}

/// docs/envoy-facts.md#holding-a-request
#[test]
fn with_the_flag_a_body_over_the_limit_is_413() {
    let fixture = start();
    for (listener, size) in [("on", 2 * MIB), ("on_32k", 2 * SHIPPED)] {
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        let waits = Arc::clone(&gate);
        fixture.keystone.set(Behaviour::by_request(move |_| {
            drop(waits.lock());
            token("p1")
        }));
        let response = send(fixture.edge.listeners[listener], Protocol::Http1, &body(size));
        assert_eq!(response.status, 413, "{listener}");
        drop(closed);
    }
    assert!(fixture.upstream.take_requests().is_empty());
    fixture.stop().unwrap();
}
