//! Listeners: HTTP filters and routes.

use serde_json::{Map, Value, json};

use super::{extension, socket_address};

/// A listener on 127.0.0.1, on a port of the system's choice, with one connection manager.
///
/// It makes no request ids, and a request that Envoy refuses does not end the connection.
#[derive(Clone, Debug)]
pub struct Listener {
    name: String,
    filters: Vec<Value>,
    routes: Vec<Value>,
    connection_manager: Map<String, Value>,
    buffer_limit: Option<usize>,
}

/// How a line of the access log begins: see [`Listener::log_requests`].
pub(crate) const LOGGED: &str = "ACCESS ";

// === impl Listener ===

impl Listener {
    /// A listener without routes, and with no filter but the router. Its statistics have its name too.
    pub fn new(name: &str) -> Self {
        let listener = Self {
            name: name.to_owned(),
            filters: Vec::new(),
            routes: Vec::new(),
            connection_manager: Map::new(),
            buffer_limit: None,
        };
        let lenient = json!({"override_stream_error_on_invalid_http_message": true});
        listener
            .with("stat_prefix", name.into())
            .with("generate_request_id", false.into())
            .with("http_protocol_options", lenient.clone())
            .with("http2_protocol_options", lenient)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An HTTP filter behind those that are there, before the router.
    pub fn filter(mut self, filter: Value) -> Self {
        self.filters.push(filter);
        self
    }

    /// An HTTP filter before those that are there.
    pub fn first_filter(mut self, filter: Value) -> Self {
        self.filters.insert(0, filter);
        self
    }

    /// A route behind those that are there: the first that matches is taken.
    pub fn route(mut self, route: Value) -> Self {
        self.routes.push(route);
        self
    }

    /// A route before those that are there.
    pub fn first_route(mut self, route: Value) -> Self {
        self.routes.insert(0, route);
        self
    }

    /// A field of the connection manager, such as `access_log`.
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.connection_manager.insert(field.to_owned(), value);
        self
    }

    /// Writes a line of this format to Envoy's standard output for each request, behind `ACCESS `: see
    /// [`Edge::logged`](crate::edge::Edge::logged).
    pub fn log_requests(self, format: &str) -> Self {
        let line = format!("{LOGGED}{format}\n");
        let format = json!({"text_format_source": {"inline_string": line}});
        let logger = "extensions.access_loggers.stream.v3.StdoutAccessLog";
        self.with("access_log", json!([extension("stdout", logger, json!({"log_format": format}))]))
    }

    /// `per_connection_buffer_limit_bytes`; Envoy's default is 1 MiB.
    pub fn buffer_limit(mut self, bytes: usize) -> Self {
        self.buffer_limit = Some(bytes);
        self
    }

    /// As Envoy's API has it.
    pub fn json(&self) -> Value {
        const MANAGER: &str =
            "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
        let router = extension("router", "extensions.filters.http.router.v3.Router", json!({}));
        let virtual_host = json!({"name": "all", "domains": ["*"], "routes": self.routes});
        let mut manager = Value::from(self.connection_manager.clone());
        manager["http_filters"] = self.filters.iter().chain([&router]).cloned().collect();
        manager["route_config"] = json!({"virtual_hosts": [virtual_host]});
        let mut listener = json!({
            "name": self.name,
            "address": socket_address("127.0.0.1", 0),
            "filter_chains": [{"filters": [extension("http", MANAGER, manager)]}],
        });
        if let Some(limit) = self.buffer_limit {
            listener["per_connection_buffer_limit_bytes"] = limit.into();
        }
        listener
    }
}
