//! `envoy.yaml` as it ships, with other addresses, ports and another place of the module, and
//! nothing else changed but what a test says, and the store's timeout.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::envoy::Envoy;
use crate::http::{self, Connection, Response};
use crate::store::{Behaviour, ScriptedStore};
use crate::{PATIENCE, Result, wait_for, workspace};

/// What stands in for the file's own addresses.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Where clients connect.
    pub listener: SocketAddr,
    /// Envoy's admin interface.
    pub admin: SocketAddr,
    /// The count stores, of which the file has one.
    pub stores: &'a [SocketAddr],
    /// Where other requests go.
    pub backend: SocketAddr,
    /// The filter's module.
    pub module: &'a Path,
}

/// `envoy.yaml` with these places. An error if the file no longer says what is replaced.
pub fn with_places(places: Places) -> Result<String> {
    let path = workspace::root().join("envoy.yaml");
    let yaml = fs::read_to_string(&path);
    let mut yaml = yaml.with_context(|| format!("reading {}", path.display()))?;
    let address = |at: SocketAddr| format!("{{address: {}, port_value: {}}}", at.ip(), at.port());
    let endpoint =
        |address: &str| format!("{{endpoint: {{address: {{socket_address: {address}}}}}}}");
    let own = "{address: 127.0.0.1, port_value: 8080}";
    let stores: Vec<String> = places.stores.iter().map(|at| endpoint(&address(*at))).collect();
    // In the file's order: store and backend have one address there.
    for (from, to) in [
        ("{address: 127.0.0.1, port_value: 9901}".to_owned(), address(places.admin)),
        ("{address: 0.0.0.0, port_value: 10000}".to_owned(), address(places.listener)),
        ("/etc/envoy/plugin.wasm".to_owned(), places.module.display().to_string()),
        (endpoint(own), stores.join(", ")),
        (own.to_owned(), address(places.backend)),
    ] {
        if !yaml.contains(&from) {
            bail!("envoy.yaml no longer has `{from}` to replace.");
        }
        yaml = yaml.replacen(&from, &to, 1);
    }
    Ok(yaml)
}

/// The line of `envoy.yaml` after which the filter's `auth` goes.
const STORE: &str = "store: {cluster: count_store, authority: count-store, timeout: 1s}\n";

/// The same with the Keystone at this address, which vouches for callers and is asked again after `remember`.
pub fn with_keystone(yaml: &str, at: SocketAddr, remember: Duration) -> Result<String> {
    let (remember, host, port) = (remember.as_secs_f64(), at.ip(), at.port());
    let auth = format!(
        "auth: {{mode: keystone, keystone: {{cluster: keystone, timeout: 5s, remember: {remember}s}}}}"
    );
    Ok(format!(
        "{}
  - name: keystone
    type: STATIC
    connect_timeout: 0.25s
    load_assignment:
      cluster_name: keystone
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {host}, port_value: {port}}}}}}}}}]}}]\n",
        with_section(yaml, &auth)?
    ))
}

/// The same with this section of the plugin configuration, on one line.
///
/// # Errors
/// If the file has another store.
pub fn with_section(yaml: &str, section: &str) -> Result<String> {
    let (before, after) = yaml.split_once(STORE).context("envoy.yaml has another store.")?;
    let indent = " ".repeat(before.len() - before.trim_end_matches(' ').len());
    Ok(format!("{before}{STORE}{indent}{section}\n{after}"))
}

/// Waits until Envoy's health check has found the store. It runs before Envoy is ready, but on a
/// busy machine the first check may time out, and the next comes half a second later.
pub fn wait_for_store(envoy: &Envoy) -> Result<()> {
    wait_for("Envoy to find the count store healthy", PATIENCE, || {
        let healthy = envoy.stat("cluster.count_store.membership_healthy").ok()?;
        (healthy > 0).then_some(())
    })
}

/// A busy computer may not get to it within the second that the file gives a store.
const PATIENT: (&str, &str) =
    ("authority: count-store, timeout: 1s", "authority: count-store, timeout: 20s");

/// A running Envoy with `envoy.yaml`, between clients and a scripted store and backend.
#[derive(Debug)]
pub struct ShippedEnvoy {
    /// The Envoy.
    pub envoy: Envoy,
    /// Where clients connect.
    pub listener: SocketAddr,
    /// The count store. It starts by answering `{"count":2}`.
    pub store: ScriptedStore,
    /// Where other requests go. It starts by answering 404 `{"theirs":true}`.
    pub backend: ScriptedStore,
}

// === impl ShippedEnvoy ===

impl ShippedEnvoy {
    /// Starts Envoy with these parts of the file replaced.
    pub fn start(changes: &[(&str, &str)]) -> Result<Self> {
        let (store, backend) = (ScriptedStore::start()?, ScriptedStore::start()?);
        store.set(Behaviour::json(200, r#"{"count":2}"#));
        backend.set(Behaviour::json(404, r#"{"theirs":true}"#));
        let (envoy, listener) = start_before(&[store.address()], backend.address(), changes)?;
        Ok(Self { envoy, listener, store, backend })
    }

    /// Sends a GET, on a connection of its own.
    pub fn get(&self, path: &str) -> Result<Response> {
        http::request(self.listener, "GET", path, &[])
    }

    /// Sends these bytes, on a connection of their own.
    pub fn send(&self, bytes: &str) -> Result<Connection> {
        let mut connection = Connection::open(self.listener)?;
        connection.send(bytes.as_bytes())?;
        Ok(connection)
    }

    /// Waits until the access log has this many lines, then reads all of them.
    pub fn access_log(&self, lines: usize) -> Result<Vec<serde_json::Value>> {
        wait_for(&format!("{lines} lines in the access log"), PATIENCE, || {
            let log = self.envoy.log();
            let entries = log.lines().filter(|line| line.starts_with('{'));
            let entries: Vec<_> =
                entries.filter_map(|line| serde_json::from_str(line).ok()).collect();
            (entries.len() >= lines).then_some(entries)
        })
    }
}

/// An Envoy with `envoy.yaml` before such stores and backend, and where its clients connect.
pub fn start_before(
    stores: &[SocketAddr],
    backend: SocketAddr,
    changes: &[(&str, &str)],
) -> Result<(Envoy, SocketAddr)> {
    let module = workspace::filter_module()?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut yaml =
        with_places(Places { listener: any, admin: any, stores, backend, module: &module })?;
    for (from, to) in [PATIENT].iter().chain(changes) {
        if !yaml.contains(from) {
            bail!("envoy.yaml no longer has `{from}` to replace.");
        }
        yaml = yaml.replace(from, to);
    }
    start(&yaml)
}

/// An Envoy with this configuration, and where its clients connect, once it has found the store.
pub fn start(yaml: &str) -> Result<(Envoy, SocketAddr)> {
    // The access log is written when a buffer is full, or after this time.
    let envoy = Envoy::options().arg("--file-flush-interval-msec").arg("50").start(yaml)?;
    wait_for_store(&envoy)?;
    let listener = envoy.listener_address("edge")?;
    Ok((envoy, listener))
}
