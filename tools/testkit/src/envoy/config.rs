//! Configurations of Envoy, put together from values and written as JSON, which is YAML.
//!
//! [`Bootstrap`] is a whole configuration. A field without a method of its own goes in by its name in Envoy's API
//! (`with`).

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value, json};

use crate::Result;

mod listener;

pub(crate) use listener::LOGGED;
pub use listener::Listener;

/// A whole configuration; its `Display` is what Envoy reads.
#[derive(Clone, Debug, Default)]
pub struct Bootstrap {
    listeners: Vec<Listener>,
    clusters: Vec<Cluster>,
    fields: Map<String, Value>,
}

/// A cluster of fixed hosts, which may take a second to accept a connection.
#[derive(Clone, Debug)]
pub struct Cluster(Map<String, Value>);

/// An extension of Envoy, such as an HTTP filter, of a type such as `extensions.filters.http.buffer.v3.Buffer`.
pub fn extension(name: &str, of_type: &str, config: Value) -> Value {
    json!({"name": name, "typed_config": typed(&format!("envoy.{of_type}"), config)})
}

/// A message with its type, as Envoy wants it where any type may stand.
pub fn typed(of_type: &str, mut message: Value) -> Value {
    message["@type"] = format!("type.googleapis.com/{of_type}").into();
    message
}

/// A route of all paths that start with `prefix` to a cluster.
pub fn to_cluster(prefix: &str, cluster: &str) -> Value {
    json!({"match": {"prefix": prefix}, "route": {"cluster": cluster}})
}

/// A route on which Envoy itself answers all paths that start with `prefix`.
pub fn direct_response(prefix: &str, status: u16, body: &str) -> Value {
    json!({
        "match": {"prefix": prefix},
        "direct_response": {"status": status, "body": {"inline_string": body}},
    })
}

// === impl Bootstrap ===

impl Bootstrap {
    /// A configuration with these listeners and clusters.
    pub fn new(
        listeners: impl IntoIterator<Item = Listener>,
        clusters: impl IntoIterator<Item = Cluster>,
    ) -> Self {
        let (listeners, clusters) = (Vec::from_iter(listeners), Vec::from_iter(clusters));
        Self { listeners, clusters, fields: Map::new() }
    }

    /// One more listener.
    pub fn listener(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// One more cluster.
    pub fn cluster(mut self, cluster: Cluster) -> Self {
        self.clusters.push(cluster);
        self
    }

    /// A top-level field, such as `layered_runtime`.
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.fields.insert(field.to_owned(), value);
        self
    }

    /// Takes listeners from a folder too: see [`publish_listeners`].
    pub fn listeners_from(self, folder: &Path) -> Self {
        self.resources_from("lds_config", &folder.join(LISTENERS))
    }

    /// Takes clusters from a folder too: see [`publish_cluster`].
    pub fn clusters_from(self, folder: &Path) -> Self {
        self.resources_from("cds_config", &folder.join(CLUSTERS))
    }

    fn resources_from(mut self, kind: &str, file: &Path) -> Self {
        let path = json!({"path": file, "watched_directory": {"path": file.parent()}});
        let source = json!({"resource_api_version": "V3", "path_config_source": path});
        self.fields.entry("dynamic_resources").or_insert_with(|| json!({}))[kind] = source;
        // Who asks for resources needs a name.
        self.with("node", json!({"id": "edge", "cluster": "edge"}))
    }
}

impl fmt::Display for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listeners: Vec<Value> = self.listeners.iter().map(Listener::json).collect();
        let clusters: Vec<Value> = self.clusters.iter().map(Cluster::json).collect();
        let mut all = Value::from(self.fields.clone());
        all["static_resources"] = json!({"listeners": listeners, "clusters": clusters});
        write!(f, "{all:#}")
    }
}

// === impl Cluster ===

impl Cluster {
    /// A cluster of no hosts.
    pub fn empty(name: &str) -> Self {
        Self(Map::new()).with("name", name.into()).with("connect_timeout", "1s".into())
    }

    /// A cluster of one host.
    pub fn new(name: &str, host: SocketAddr) -> Self {
        Self::named(name, &host.ip().to_string(), host.port())
    }

    /// A cluster of one host that is given by its name; it needs a `type` that looks names up.
    pub fn named(name: &str, host: &str, port: u16) -> Self {
        let endpoint = json!({"endpoint": {"address": socket_address(host, port)}});
        let hosts = json!({"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]});
        Self::empty(name).with("load_assignment", hosts)
    }

    /// The same over HTTP/2, without TLS.
    pub fn over_http2(self) -> Self {
        self.explicit_http(json!({"http2_protocol_options": {}}))
    }

    /// The same with an `explicit_http_config`: a version of HTTP and its options.
    pub fn explicit_http(self, config: Value) -> Self {
        const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let options = typed(OPTIONS, json!({"explicit_http_config": config}));
        self.with("typed_extension_protocol_options", json!({OPTIONS: options}))
    }

    /// A field, such as `circuit_breakers`.
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.0.insert(field.to_owned(), value);
        self
    }

    /// As Envoy's API has it.
    pub fn json(&self) -> Value {
        self.0.clone().into()
    }
}

fn socket_address(host: &str, port: u16) -> Value {
    json!({"socket_address": {"address": host, "port_value": port}})
}

const LISTENERS: &str = "listeners.json";
const CLUSTERS: &str = "clusters.json";

/// Puts all its listeners into a folder that Envoy watches ([`Bootstrap::listeners_from`]). Envoy judges each for itself.
pub fn publish_listeners(folder: &Path, listeners: &[Listener]) -> Result<()> {
    let resource =
        |listener: &Listener| typed("envoy.config.listener.v3.Listener", listener.json());
    publish(&folder.join(LISTENERS), &listeners.iter().map(resource).collect::<Vec<_>>())
}

/// Puts the only cluster into a folder that Envoy watches ([`Bootstrap::clusters_from`]), or takes it away.
pub fn publish_cluster(folder: &Path, cluster: Option<&Cluster>) -> Result<()> {
    let resource = cluster.map(|cluster| typed("envoy.config.cluster.v3.Cluster", cluster.json()));
    publish(&folder.join(CLUSTERS), resource.as_slice())
}

/// All at once: Envoy looks when something is moved into the folder.
fn publish(file: &Path, resources: &[Value]) -> Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, json!({"resources": resources}).to_string())
        .and_then(|()| fs::rename(new, file))
        .with_context(|| format!("publishing {}", file.display()))
}
