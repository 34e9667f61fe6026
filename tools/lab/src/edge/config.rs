//! Configurations of Envoy: the one that is measured, and the one that serves it.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use testkit::routed;

/// The Lua filter's program.
pub const LUA: &str = include_str!("filter.lua");

/// What the filter is called in the configuration.
const FILTER: &str = "backup-sharing-count";

/// The filter's plugin configuration.
const PLUGIN: &str = r#"{"store": {"cluster": "store", "timeout": "1s"}}"#;

/// An answer that Envoy gives by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, without those that Envoy adds to every answer.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

/// Where a listener sends what its filters let through.
#[derive(Clone, Debug)]
pub enum Route {
    /// To a cluster.
    Cluster(&'static str),
    /// To a cluster; the filter is left out of what cannot be for it ([`routed`]).
    Routed(&'static str),
    /// Nowhere: it is answered.
    Direct(Answer),
}

/// A listener: a name, the HTTP filters before the router, and where requests go.
pub fn listener(name: &str, filters: &[Value], route: Route) -> Value {
    let mut http_filters = filters.to_vec();
    http_filters.push(json!({
        "name": "router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }));
    let mut connection_manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "generate_request_id": false,
        "http_protocol_options": {"override_stream_error_on_invalid_http_message": true},
    });
    connection_manager["http_filters"] = http_filters.into();
    connection_manager["route_config"] = json!({
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": route.json()}],
    });
    json!({
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": connection_manager}]}],
    })
}

impl Route {
    /// The routes of a virtual host.
    fn json(self) -> Value {
        let answer = match self {
            Route::Cluster(cluster) => {
                return json!([{"match": {"prefix": ""}, "route": {"cluster": cluster}}]);
            }
            Route::Routed(cluster) => {
                let kept = |word| {
                    let contains = json!({"contains": word});
                    json!({"name": ":path", "string_match": contains, "invert_match": true})
                };
                let left_out = json!({
                    "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
                    "disabled": true,
                });
                return json!([
                    {
                        "match": {"prefix": "/", "headers": routed::words().map(kept).collect::<Vec<_>>()},
                        "route": {"cluster": cluster},
                        "typed_per_filter_config": {FILTER: left_out},
                    },
                    {"match": {"prefix": ""}, "route": {"cluster": cluster}},
                ]);
            }
            Route::Direct(answer) => answer,
        };
        // A direct response is text/plain unless its route says otherwise.
        let header = |(key, value): &(String, String)| {
            json!({
                "header": {"key": key, "value": value},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            })
        };
        json!([{
            "match": {"prefix": ""},
            "direct_response": {"status": answer.status, "body": {"inline_string": answer.body}},
            "response_headers_to_add": answer.headers.iter().map(header).collect::<Vec<_>>(),
        }])
    }
}

/// Our filter, of this module.
pub fn wasm_filter(module: &Path) -> Value {
    json!({
        "name": FILTER,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": FILTER,
                "failure_policy": "FAIL_RELOAD",
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": module.to_string_lossy()}},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": PLUGIN,
                },
            },
        },
    })
}

/// The Lua filter.
pub fn lua_filter() -> Value {
    json!({
        "name": "lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": LUA},
        },
    })
}

/// A whole configuration. Clusters keep their connections alive; their circuit breakers never open.
pub fn bootstrap(listeners: Vec<Value>, clusters: &[(&str, SocketAddr)]) -> String {
    let cluster = |(name, address): &(&str, SocketAddr)| {
        let (ip, port) = (address.ip().to_string(), address.port());
        json!({
            "name": name,
            "connect_timeout": "1s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": {"socket_address": {"address": ip, "port_value": port}}}},
            ]}]},
        })
    };
    let clusters: Vec<Value> = clusters.iter().map(cluster).collect();
    // JSON is YAML.
    json!({"static_resources": {"listeners": listeners, "clusters": clusters}}).to_string()
}

/// The configuration of an Envoy that answers whatever is asked with this, once it has all of the request.
pub fn server(answer: Answer) -> String {
    let buffer = json!({
        "name": "buffer",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
            "max_request_bytes": 4 << 20,
        },
    });
    bootstrap(vec![listener("server", &[buffer], Route::Direct(answer))], &[])
}
