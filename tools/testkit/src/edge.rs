//! An Envoy with the filter: one listener for each plugin configuration, all in front of one
//! store and one upstream.
//!
//! Envoy's own opinion of a request is kept out of the way: no path normalisation, no request
//! id, so that the filter sees what the client sent. The production choices are in `envoy.yaml`,
//! which has tests of its own.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use crate::envoy::{Envoy, Options};
use crate::store::ScriptedStore;
use crate::{Error, Result, workspace};

/// The cluster that filters call the store by. `empty` is one without hosts.
pub const STORE_CLUSTER: &str = "store";

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

impl Edge {
    /// Starts Envoy with a listener for each `(name, plugin configuration)`. Requests that pass
    /// go to `upstream`.
    pub fn start<'a>(
        configurations: impl IntoIterator<Item = (&'a str, &'a str)>,
        store: &ScriptedStore,
        upstream: &ScriptedStore,
    ) -> Result<Self> {
        Self::start_with(Envoy::options(), configurations, store, upstream)
    }

    /// The same, with choices about how Envoy runs: another release, more workers.
    pub fn start_with<'a>(
        options: Options,
        configurations: impl IntoIterator<Item = (&'a str, &'a str)>,
        store: &ScriptedStore,
        upstream: &ScriptedStore,
    ) -> Result<Self> {
        let configurations: Vec<_> = configurations.into_iter().collect();
        let config = envoy_config(&configurations, store.address(), upstream.address())?;
        Self::around(options.start(&config)?, configurations.iter().map(|(name, _)| *name))
    }

    /// An Envoy that runs already, with these listeners: for configurations put together from
    /// [`envoy_config`]'s parts, or with another kind of store.
    pub fn around<'a>(envoy: Envoy, listeners: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let address = |name: &str| Ok((name.to_owned(), envoy.listener_address(name)?));
        let listeners = listeners.into_iter().map(address).collect::<Result<_>>()?;
        let vms = envoy.stat(VMS_CREATED)?;
        Ok(Self { envoy, listeners, vms })
    }

    /// An error if any VM trapped or was started again since Envoy became ready.
    pub fn check_vms(&self) -> Result<()> {
        self.check_vms_after(0)
    }

    /// The same after so many updates of its configuration: Envoy tries each in a VM of its own.
    pub fn check_vms_after(&self, updates: u64) -> Result<()> {
        let stats = self.envoy.stats()?;
        let created = stats.get(VMS_CREATED).copied().unwrap_or_default();
        if created != self.vms + updates {
            return Err(Error::new(format!("{} VMs became {created}.", self.vms)));
        }
        let reloads = stats.iter().filter(|(name, _)| name.contains(".vm_reload"));
        if let Some((name, value)) = reloads.into_iter().find(|(_, value)| **value != 0) {
            return Err(Error::new(format!("Envoy's {name} is {value}.")));
        }
        // How Envoy reports a trap: "Function: proxy_on_… failed: Uncaught RuntimeError: …".
        match self.envoy.log().lines().find(|line| line.contains("] Function: proxy_")) {
            Some(line) => Err(Error::new(format!("A VM trapped: {line}"))),
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
) -> Result<String> {
    let mut yaml = "static_resources:\n  listeners:\n".to_owned();
    for (name, configuration) in configurations {
        yaml.push_str(&listener(name, configuration)?);
    }
    yaml.push_str(&clusters(store, upstream));
    Ok(yaml)
}

/// The `clusters:` of such a configuration.
pub fn clusters(store: SocketAddr, upstream: SocketAddr) -> String {
    let all = [(STORE_CLUSTER, Some(store)), ("empty", None), ("upstream", Some(upstream))];
    let all = all.map(|(name, address)| cluster(name, address));
    format!("  clusters:\n{}", all.concat())
}

/// One of its `listeners:`.
pub fn listener(name: &str, configuration: &str) -> Result<String> {
    let module = workspace::filter_module()?;
    // A JSON string is a YAML string too.
    let module = serde_json::Value::from(module.to_string_lossy());
    let configuration = serde_json::Value::from(configuration);
    Ok(format!(
        "  - name: {name}
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          generate_request_id: false
          http_protocol_options: {{override_stream_error_on_invalid_http_message: true, allow_custom_methods: true}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
              - {{match: {{prefix: ''}}, route: {{cluster: upstream}}}}
          http_filters:
          - name: backup-sharing-count
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: backup-sharing-count
                root_id: {name}
                failure_policy: FAIL_CLOSED
                vm_config:
                  runtime: envoy.wasm.runtime.v8
                  code: {{local: {{filename: {module}}}}}
                configuration:
                  '@type': type.googleapis.com/google.protobuf.StringValue
                  value: {configuration}
          - name: router
            typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"
    ))
}

/// The configuration of an Envoy that takes its listener from a file in `folder`: see [`publish`].
pub fn listening_to(folder: &Path, store: SocketAddr, upstream: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "node: {{id: edge, cluster: edge}}
dynamic_resources:
  lds_config:
    resource_api_version: V3
    path_config_source:
      path: {folder}/listeners.yaml
      watched_directory: {{path: {folder}}}
static_resources:
{}",
        clusters(store, upstream)
    )
}

/// Puts the listener into the file, at once and as a whole: Envoy looks when something is moved into the folder.
pub fn publish(folder: &Path, name: &str, configuration: &str) -> Result<()> {
    let kind = "  - '@type': type.googleapis.com/envoy.config.listener.v3.Listener\n    name:";
    let listener = listener(name, configuration)?;
    let text = format!("resources:\n{}", listener.replacen("  - name:", kind, 1));
    let (new, place) = (folder.join("new.yaml"), folder.join("listeners.yaml"));
    fs::write(&new, text)
        .and_then(|()| fs::rename(new, place))
        .map_err(Error::while_doing("publish a listener"))
}

fn cluster(name: &str, address: Option<SocketAddr>) -> String {
    let mut yaml = format!("  - name: {name}\n    connect_timeout: 1s\n");
    if let Some(address) = address {
        let (ip, port) = (address.ip(), address.port());
        // Writing to a String cannot fail.
        let _ = write!(
            yaml,
            "    load_assignment:
      cluster_name: {name}
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: '{ip}', port_value: {port}}}}}}}
"
        );
    }
    yaml
}
