//! What the Envoys of a testbed are configured with.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use testkit::edge;
use testkit::envoy::config::{Bootstrap, Cluster, Listener, direct_response};
use testkit::envoy::filters;

/// The Lua filter's program.
pub const LUA: &str = include_str!("filter.lua");

/// The filter's plugin configuration.
const PLUGIN: &str = r#"{"store": {"cluster": "store", "timeout": "1s"}}"#;

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

/// Our filter, of this module, as one would run it.
pub fn wasm_filter(module: &Path) -> Value {
    let mut filter = edge::filter(module, "", PLUGIN);
    filter["typed_config"]["config"]["failure_policy"] = "FAIL_RELOAD".into();
    filter
}

/// A configuration whose listeners have one server for store and backend.
pub fn before(server: SocketAddr, listeners: impl IntoIterator<Item = Listener>) -> Bootstrap {
    Bootstrap::new(listeners, ["store", "backend"].map(|name| Cluster::new(name, server)))
}

/// The configuration of an Envoy that answers whatever is asked with this, once it has all of the request.
pub fn server(answer: &Answer) -> Bootstrap {
    let listener = Listener::new("server").filter(filters::buffer(4 << 20));
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
