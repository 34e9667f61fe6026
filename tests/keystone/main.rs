//! The filter on a real Envoy between a client, a real Keystone and a scripted store (`auth.mode: keystone`).
//!
//! | module | holds |
//! |---|---|
//! | `tokens` | each kind of token, and what it is answered |
//! | `memory` | how long an answer of Keystone's counts, and how many are remembered |
//! | `sharing` | equal tokens share one question |
//! | `trouble` | what Keystone does wrong |

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

mod memory;
mod sharing;
mod tokens;
mod trouble;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::edge::{Fixture, listener};
use testkit::envoy::Envoy;
use testkit::envoy::config::{Cluster, extension};
use testkit::http::{Connection, Response};
use testkit::keystone::{Keystone, Scope, User};
use testkit::{PATIENCE, wait_for};

const COUNTED: &str = "200 store_count";
const REFUSED: &str = "401 unauthorized auth_refused";

/// All headers of an answer: none of them is Keystone's.
const HEADERS: [&str; 4] = ["content-type", "content-length", "date", "server"];

/// An Envoy with the filter before a Keystone, which logs at the debug level.
struct Bench {
    fixture: Fixture,
    /// How many lines of the access log were read.
    read: usize,
    /// What may be in no log.
    sent: BTreeSet<String>,
}

impl Bench {
    /// A listener for each of these names, and the fields that its `auth.keystone` has besides. Keystone is waited for,
    /// however busy the machine is.
    fn start(keystone: &Keystone, listeners: &[(&str, Value)]) -> Bench {
        let format =
            json!({"text_format_source": {"inline_string": "ACCESS %RESPONSE_CODE_DETAILS%\n"}});
        let logger = "extensions.access_loggers.stream.v3.StdoutAccessLog";
        let access_log = json!([extension("stdout", logger, json!({"log_format": format}))]);
        let listeners = listeners.iter().map(|(name, fields)| {
            let mut asked = json!({"cluster": "identity", "timeout": "20s"});
            asked.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let configuration = json!({
                "store": {"cluster": "store", "timeout": "20s"},
                "auth": {"mode": "keystone", "keystone": asked},
            });
            let listener = listener(name, &configuration.to_string()).unwrap();
            listener.with("access_log", access_log.clone())
        });
        let options = Envoy::options().component_log_level("wasm:debug");
        let options = options.arg("--file-flush-interval-msec").arg("20");
        let identity = Cluster::new("identity", keystone.address());
        let fixture = Fixture::start_with(options, listeners, [identity]).unwrap();
        Bench { fixture, read: 0, sent: BTreeSet::new() }
    }

    /// What a request with this token gets: the status, the name of the fault, and the response code details. The store
    /// is asked if it is counted, and only then.
    #[track_caller]
    fn ask(&mut self, listener: &str, project: &str, token: &str) -> String {
        let response = self.send(listener, project, token).receive(false).unwrap();
        let answer = self.answer(&response);
        let asked = self.fixture.store.take_requests().len();
        assert_eq!(asked, usize::from(answer == COUNTED), "the store was asked: {answer}");
        answer
    }

    /// Sends a request on a connection of its own.
    fn send(&mut self, listener: &str, project: &str, token: &str) -> Connection {
        if !token.is_empty() {
            self.sent.insert(token.to_owned());
        }
        let mut client = Connection::open(self.fixture.edge.listeners[listener]).unwrap();
        let path = format!("/v2/{project}/os-vendor-backup-sharing/count");
        let request = format!("GET {path} HTTP/1.1\r\nhost: edge\r\nx-auth-token: {token}\r\n\r\n");
        client.send(request.as_bytes()).unwrap();
        client
    }

    /// What was answered, of which the access log has the next line.
    #[track_caller]
    fn answer(&mut self, response: &Response) -> String {
        let status = response.status;
        for (name, value) in &response.headers {
            let is_ours = HEADERS.contains(&name.as_str())
                || (status, name.as_str(), &value[..]) == (401, "www-authenticate", b"Keystone");
            assert!(is_ours, "{response:?}");
        }
        assert_eq!(response.header("www-authenticate").is_some(), status == 401);
        let text = response.text();
        assert!(!self.sent.iter().any(|token| text.contains(token)), "{text}");
        let details = self.next_details();
        if text == r#"{"count":2}"# {
            return format!("{status} {details}");
        }
        let body: Value = serde_json::from_str(&text).unwrap();
        let (fault, inside) = body.as_object().unwrap().iter().next().unwrap();
        assert_eq!(inside["code"], status);
        format!("{status} {fault} {details}")
    }

    /// The response code details in the next line of the access log.
    fn next_details(&mut self) -> String {
        let line = wait_for("the access log", PATIENCE, || {
            let log = self.fixture.edge.envoy.log();
            let line = log.lines().filter_map(|line| line.strip_prefix("ACCESS ")).nth(self.read);
            line.map(str::to_owned)
        });
        self.read += 1;
        line.unwrap()
    }

    /// How often Keystone was asked.
    fn questions(&self) -> u64 {
        self.fixture.edge.envoy.stat("cluster.identity.upstream_rq_total").unwrap()
    }

    /// How many lines of Envoy's error log have this text.
    fn errors(&self, text: &str) -> usize {
        let log = self.fixture.edge.envoy.log();
        log.lines().filter(|line| line.contains("[error]") && line.contains(text)).count()
    }

    /// Ends Envoy, which has logged each decision, and nothing of a token.
    fn stop(self) {
        self.fixture.edge.check_vms().unwrap();
        let log = self.fixture.edge.envoy.stop().unwrap();
        assert!(log.contains(r#" asks "identity", retry 0"#), "{log}");
        let told = self.sent.iter().find(|token| log.contains(*token));
        assert_eq!(told, None, "{log}");
    }
}

/// A new project, and a new user with this role in it.
fn somebody(keystone: &Keystone, name: &str, role: &str) -> (String, User) {
    let project = keystone.create_project(name).unwrap();
    let user = keystone.create_user(name).unwrap();
    keystone.grant(&user, role, Scope::Project(&project)).unwrap();
    (project, user)
}

/// The same, and a token of theirs for it.
fn member(keystone: &Keystone, name: &str) -> (String, String) {
    let (project, user) = somebody(keystone, name, "member");
    let token = keystone.token(&user, Scope::Project(&project)).unwrap();
    (project, token)
}
