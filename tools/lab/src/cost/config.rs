//! What the Envoys of a testbed are configured with.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use testkit::edge;
use testkit::envoy::config::{Bootstrap, Cluster, Listener, direct_response};
use testkit::envoy::filters;

/// The Lua filter's program.
pub const LUA: &str = include_str!("filter.lua");

/// A section of the plugin configuration, and its name.
pub type Section = (&'static str, Value);

/// What Keystone says of every token: the body of a real one's answer.
const TOKEN: &str = r#"{"token": {"methods": ["password"], "user": {"domain": {"id": "default", "name": "Default"}, "id": "55a9d3f2c1b04e6f8a7b9c0d1e2f3a4b", "name": "alice", "password_expires_at": null}, "audit_ids": ["obQ_8PbhTlWJk0LNlhP7Xg"], "expires_at": "2100-01-01T00:00:00.000000Z", "issued_at": "2026-11-25T18:44:54.000000Z", "project": {"domain": {"id": "default", "name": "Default"}, "id": "17fbda95add24720a4038ba4b1c705ed", "name": "proj-a"}, "is_domain": false, "roles": [{"id": "79dfb1c0a2e34f5d8c6b7a9e0f1d2c3b", "name": "member"}, {"id": "7b89e0d1c2f34a5b9d8e7f6a5b4c3d2e", "name": "reader"}]}}"#;

/// An answer that Envoy gives by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Without those that Envoy adds to every answer.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// The route of all paths that gives it.
    pub fn route(&self) -> Value {
        // A direct response is text/plain unless its route says otherwise.
        let header = |(key, value): &(String, String)| {
            let header = json!({"key": key, "value": value});
            json!({"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"})
        };
        let mut route = direct_response("", self.status, &self.body);
        route["response_headers_to_add"] = self.headers.iter().map(header).collect();
        route
    }
}

/// Our filter, of this module, as one would run it but for metrics: what it is compared with counts nothing either.
pub fn wasm_filter(module: &Path) -> Value {
    wasm_filter_with(module, "", [])
}

/// The same with these sections beside the store's. `root_id` is its name among those that share a VM.
pub fn wasm_filter_with<const N: usize>(
    module: &Path,
    root_id: &str,
    sections: [Section; N],
) -> Value {
    // Nothing is late, however slow valgrind is.
    let mut plugin = json!({"store": {"cluster": "store", "timeout": "60s"}, "metrics": "off"});
    for (name, section) in sections {
        plugin[name] = section;
    }
    let mut filter = edge::filter(module, root_id, &plugin.to_string());
    filter["typed_config"]["config"]["failure_policy"] = "FAIL_RELOAD".into();
    filter
}

/// Keystone is asked about callers. `remember`: for how long they are known.
pub fn keystone(remember: &str) -> Section {
    let keystone = json!({"cluster": "keystone", "timeout": "60s", "remember": remember});
    ("auth", json!({"mode": "keystone", "keystone": keystone}))
}

/// What a request is answered by, and how long its callout takes, is counted for Prometheus.
pub fn metrics() -> Section {
    ("metrics", "on".into())
}

/// Counts are remembered for longer than is measured.
pub fn cache() -> Section {
    ("cache", json!({"ttl": "3600s"}))
}

/// A configuration whose listeners have one server for store, Keystone and backend.
pub fn before(server: SocketAddr, listeners: impl IntoIterator<Item = Listener>) -> Bootstrap {
    let clusters = ["store", "keystone", "backend"].map(|name| Cluster::new(name, server));
    Bootstrap::new(listeners, clusters)
}

/// The configuration of an Envoy that answers whatever is asked with this, once it has all of the request, and what
/// Keystone is asked with [`TOKEN`].
pub fn server(answer: &Answer) -> Bootstrap {
    let listener = Listener::new("server").filter(filters::buffer(4 << 20));
    let listener = listener.route(direct_response("/v3/", 200, TOKEN));
    Bootstrap::new([listener.route(answer.route())], [])
}

/// The configuration of an Envoy with one listener, `only`, that answers 405 to all it is asked;
/// with a module, the filter does it.
pub fn one_listener(module: Option<&Path>) -> Bootstrap {
    let answer = Answer { status: 405, ..Answer::default() };
    let listener = Listener::new("only").route(answer.route());
    // The filter wants the cluster of the store, which it never asks here.
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    before(nobody, [module.map(wasm_filter).into_iter().fold(listener, Listener::filter)])
}
