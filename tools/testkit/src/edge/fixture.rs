//! An Envoy with the filter, between a client and a scripted store and upstream.

use super::{Edge, clusters, listener};
use crate::Result;
use crate::envoy::config::{Bootstrap, Cluster, Listener};
use crate::envoy::{Envoy, Options};
use crate::http::{self, Response};
use crate::store::{Behaviour, ScriptedStore};

/// An [`Edge`], and what is scripted behind it: the store, Keystone and the upstream.
#[derive(Debug)]
pub struct Fixture {
    /// The Envoy with the filter.
    pub edge: Edge,
    /// The store. It starts by answering `{"count":2}`.
    pub store: ScriptedStore,
    /// The cluster `keystone`. It starts by answering `{}`.
    pub keystone: ScriptedStore,
    /// Where requests go that pass. It starts by answering `"passed"`.
    pub upstream: ScriptedStore,
}

// === impl Fixture ===

impl Fixture {
    /// Starts one with a listener for each `(name, plugin configuration)`.
    pub fn start(configurations: &[(&str, &str)]) -> Result<Self> {
        let listener = |(name, configuration): &(&str, &str)| listener(name, configuration);
        Self::with_listeners(configurations.iter().map(listener).collect::<Result<Vec<_>>>()?)
    }

    /// The same with these listeners.
    pub fn with_listeners(listeners: impl IntoIterator<Item = Listener>) -> Result<Self> {
        Self::start_with(Envoy::options(), listeners, [])
    }

    /// The same, with choices about how Envoy runs, and more clusters.
    pub fn start_with(
        options: Options,
        listeners: impl IntoIterator<Item = Listener>,
        more: impl IntoIterator<Item = Cluster>,
    ) -> Result<Self> {
        let (store, upstream) = (ScriptedStore::start()?, ScriptedStore::start()?);
        let keystone = ScriptedStore::start()?;
        store.set(Behaviour::json(200, r#"{"count":2}"#));
        upstream.set(Behaviour::json(200, "\"passed\""));
        let listeners: Vec<Listener> = listeners.into_iter().collect();
        let names: Vec<String> = listeners.iter().map(|at| at.name().to_owned()).collect();
        let clusters = clusters(store.address(), upstream.address()).into_iter().chain(more);
        let clusters = clusters.chain([Cluster::new("keystone", keystone.address())]);
        let envoy = options.start(Bootstrap::new(listeners, clusters))?;
        let edge = Edge::around(envoy, names.iter().map(String::as_str))?;
        Ok(Self { edge, store, keystone, upstream })
    }

    /// Sends a request to a listener, on a connection of its own.
    pub fn request(
        &self,
        listener: &str,
        method: &str,
        path: impl AsRef<[u8]>,
        headers: &[(&str, &[u8])],
    ) -> Result<Response> {
        http::request(self.edge.listeners[listener], method, path, headers)
    }

    /// The status and the body that a listener answers to a GET.
    pub fn get(&self, listener: &str, path: impl AsRef<[u8]>) -> Result<(u16, String)> {
        let response = self.request(listener, "GET", path, &[])?;
        Ok((response.status, response.text()))
    }

    /// Ends Envoy, which must end as well as it began: an error if a VM trapped.
    pub fn stop(self) -> Result<()> {
        self.edge.check_vms()?;
        self.edge.envoy.stop().map(drop)
    }
}
