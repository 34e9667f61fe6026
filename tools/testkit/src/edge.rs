//! An Envoy with the filter: one listener for each plugin configuration, all in front of one
//! store and one upstream.
//!
//! Envoy's own opinion of a request is kept out of the way: no path normalisation, no request
//! id, so that the filter sees what the client sent. The production choices are in `envoy.yaml`,
//! which has tests of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{anyhow, bail};
use serde_json::{Map, Value, json};

use crate::envoy::Envoy;
use crate::envoy::config::{
    Bootstrap, Cluster, LOGGED, Listener, extension, publish_listeners, to_cluster, typed,
};
use crate::{PATIENCE, Result, wait_for, workspace};

mod fixture;

pub use fixture::Fixture;

/// The cluster that filters call the store by. `empty` is one without hosts.
pub const STORE_CLUSTER: &str = "store";

/// What the filter is called among the HTTP filters.
pub const FILTER: &str = "backup-sharing-count";

/// A running Envoy with the filter.
#[derive(Debug)]
pub struct Edge {
    /// The Envoy.
    pub envoy: Envoy,
    /// Where each configuration's listener listens.
    pub listeners: BTreeMap<String, SocketAddr>,
    /// How many VMs Envoy had made when it became ready.
    vms: u64,
}

// === impl Edge ===

impl Edge {
    /// An Envoy that runs already, with these listeners: for configurations put together from
    /// [`envoy_config`]'s parts, or with another kind of store.
    pub fn around<'a>(envoy: Envoy, listeners: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let address = |name: &str| Ok((name.to_owned(), envoy.listener_address(name)?));
        let listeners = listeners.into_iter().map(address).collect::<Result<_>>()?;
        let vms = envoy.stat(VMS_CREATED)?;
        Ok(Self { envoy, listeners, vms })
    }

    /// What the access log says of the request with this number, from 0, once it is written:
    /// [`Listener::log_requests`].
    pub fn logged(&self, number: usize) -> Result<String> {
        wait_for("the access log", PATIENCE, || {
            let log = self.envoy.log();
            let line = log.lines().filter_map(|line| line.strip_prefix(LOGGED)).nth(number);
            line.map(str::to_owned)
        })
    }

    /// An error if any VM trapped or was started again since Envoy became ready.
    pub fn check_vms(&self) -> Result<()> {
        self.check_vms_after(0)
    }

    /// The same after this many updates of its configuration: Envoy tries each in a VM of its own.
    pub fn check_vms_after(&self, updates: u64) -> Result<()> {
        let stats = self.envoy.stats()?;
        let created = stats.get(VMS_CREATED).copied().unwrap_or_default();
        if created != self.vms + updates {
            bail!("{} VMs became {created}.", self.vms);
        }
        let reloads = stats.iter().filter(|(name, _)| name.contains(".vm_reload"));
        if let Some((name, value)) = reloads.into_iter().find(|(_, value)| **value != 0) {
            bail!("Envoy's {name} is {value}.");
        }
        // How Envoy reports a trap: "Function: proxy_on_… failed: Uncaught RuntimeError: …".
        match self.envoy.log().lines().find(|line| line.contains("] Function: proxy_")) {
            Some(line) => Err(anyhow!("A VM trapped: {line}")),
            None => Ok(()),
        }
    }
}

/// Counts every VM Envoy ever made.
const VMS_CREATED: &str = "wasm.envoy.wasm.runtime.v8.created";

/// The configuration of such an Envoy.
pub fn envoy_config(
    configurations: &[(&str, &str)],
    store: SocketAddr,
    upstream: SocketAddr,
) -> Result<Bootstrap> {
    Ok(Bootstrap::new(listeners(configurations)?, clusters(store, upstream)))
}

/// Its clusters. The upstream is sent trailers, if the listener takes any.
pub fn clusters(store: SocketAddr, upstream: SocketAddr) -> [Cluster; 3] {
    let http1 = json!({"http_protocol_options": {"enable_trailers": true}});
    let upstream = Cluster::new("upstream", upstream).explicit_http(http1);
    [Cluster::new(STORE_CLUSTER, store), Cluster::empty("empty"), upstream]
}

fn listeners(configurations: &[(&str, &str)]) -> Result<Vec<Listener>> {
    configurations.iter().map(|(name, plugin)| listener(name, plugin)).collect()
}

/// A listener with the filter, which passes other requests to the upstream.
pub fn listener(name: &str, configuration: &str) -> Result<Listener> {
    Ok(listener_with(name, filter(&workspace::filter_module()?, name, configuration)))
}

/// The same with any other filter.
pub fn listener_with(name: &str, filter: Value) -> Listener {
    let lenient = json!({
        "override_stream_error_on_invalid_http_message": true,
        "allow_custom_methods": true,
    });
    let listener = Listener::new(name).with("http_protocol_options", lenient);
    listener.filter(filter).route(to_cluster("", "upstream"))
}

/// The filter, of this module and with this plugin configuration. `root_id` is its name among those that share a VM.
///
/// Its plugin, at `["typed_config"]["config"]`, is `envoy.extensions.wasm.v3.PluginConfig`.
pub fn filter(module: &Path, root_id: &str, configuration: &str) -> Value {
    let plugin = json!({
        "name": FILTER,
        "root_id": root_id,
        "failure_policy": "FAIL_CLOSED",
        "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": module}}},
        "configuration": typed("google.protobuf.StringValue", json!({"value": configuration})),
    });
    extension(FILTER, "extensions.filters.http.wasm.v3.Wasm", json!({"config": plugin}))
}

/// The configuration of an Envoy that takes its listeners from a folder: see [`publish`].
pub fn listening_to(folder: &Path, store: SocketAddr, upstream: SocketAddr) -> Bootstrap {
    Bootstrap::new([], clusters(store, upstream)).listeners_from(folder)
}

/// Puts a listener for each `(name, plugin configuration)` into the folder.
pub fn publish(folder: &Path, configurations: &[(&str, &str)]) -> Result<()> {
    publish_listeners(folder, &listeners(configurations)?)
}

/// The `capability_restriction_config` of a plugin that may call, and be called by, these functions alone.
pub fn capabilities<'a>(functions: impl IntoIterator<Item = &'a str>) -> Value {
    let allowed: Map<_, _> =
        functions.into_iter().map(|name| (name.to_owned(), json!({}))).collect();
    json!({"allowed_capabilities": allowed})
}
