//! An Envoy under load, a fault that comes and goes, and what is seen meanwhile.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use testkit::edge::{Edge, envoy_config};
use testkit::envoy::config::Cluster;
use testkit::envoy::{self, Envoy};
use testkit::store::ScriptedStore;
use testkit::{http, wait_for};

use super::Setup;
use super::observation::{Observation, unless_only_counts};
use crate::load::{Kind, Load, Mix, Running, Truth, expected};
use crate::{Options, machine, millis};

/// The listener, and the plugin configuration that goes with [`TIMEOUT`](super::observation::TIMEOUT).
pub const LISTENER: &str = "count";
const CONFIGURATION: &str = r#"{"store": {"cluster": "store", "timeout": "0.4s"}}"#;
/// The same with Keystone, which is asked about each caller every 50 ms by each worker.
pub const CALLERS: &str = r#"{"store": {"cluster": "store", "timeout": "0.4s"}, "auth": {"mode": "keystone", "keystone": {"cluster": "keystone", "timeout": "0.4s", "remember": "0.05s"}}}"#;

/// Keeps Envoy from reading 32 MiB of an answer before it gives up: the filter reads 64 KiB.
pub const LIMITS: Option<u32> = Some(131_072);

/// Until the last request that met the fault has its answer: it may have waited for a connection that
/// Envoy gives up after a second.
const AFTERMATH: Duration = Duration::from_millis(1500);

/// How long Envoy may take to be rid of the last stream, the store's timeout included, or to do what it was
/// told. The quick form is no judge of that, only of whether it does.
pub fn patience(options: &Options) -> Duration {
    Duration::from_secs(options.pick(20, 5))
}

/// An Envoy with two workers, and an upstream.
#[derive(Debug)]
pub struct Service<'a> {
    pub edge: Edge,
    pub address: SocketAddr,
    _upstream: ScriptedStore,
    pub options: &'a Options,
    /// The gauges of what is under way.
    active: Vec<String>,
    /// Of the load, how much is asked by those who may not.
    strangers: u32,
    /// What counts may be.
    pub truth: Truth,
}

impl<'a> Setup<'a> {
    /// Two workers of this Envoy.
    pub fn envoy(&self) -> envoy::Options {
        let options = Envoy::options().concurrency(2);
        match self.binary {
            Some(binary) => options.binary(binary),
            None => options,
        }
    }

    /// Around an Envoy whose listener is [`LISTENER`].
    pub fn around(&self, envoy: Envoy, upstream: ScriptedStore) -> Result<Service<'a>> {
        let edge = Edge::around(envoy, [LISTENER])?;
        let address = edge.listeners[LISTENER];
        let streams = format!("http.{LISTENER}.downstream_rq_active");
        let active = vec![streams, "cluster.store.upstream_rq_active".to_owned()];
        Ok(Service {
            edge,
            address,
            _upstream: upstream,
            options: self.options,
            active,
            strangers: 0,
            truth: Truth::default(),
        })
    }

    /// In front of this store and this Keystone.
    pub fn start_with_keystone(
        &self,
        configuration: &str,
        store: SocketAddr,
        keystone: SocketAddr,
    ) -> Result<Service<'a>> {
        let upstream = expected::scripted(expected::upstream())?;
        let config = envoy_config(&[(LISTENER, configuration)], store, upstream.address())?;
        let config = config.cluster(Cluster::new("keystone", keystone));
        let mut service = self.around(self.envoy().start(config)?, upstream)?;
        service.active.push("cluster.keystone.upstream_rq_active".to_owned());
        service.strangers = 10;
        Ok(service)
    }

    /// In front of this store; `limit` is [`LIMITS`], or nothing.
    pub fn start(&self, store: SocketAddr, limit: Option<u32>) -> Result<Service<'a>> {
        let upstream = expected::scripted(expected::upstream())?;
        let mut config = envoy_config(&[(LISTENER, CONFIGURATION)], store, upstream.address())?;
        if let Some(limit) = limit {
            let layer = json!({"http.async_response_buffer_limit": limit});
            let layers = json!([{"name": "limits", "static_layer": layer}]);
            config = config.with("layered_runtime", json!({"layers": layers}));
        }
        self.around(self.envoy().start(config)?, upstream)
    }
}

impl Service<'_> {
    /// Puts mixed requests on it, and beside them some that never need the store: they must not notice when
    /// all the others wait for it.
    pub fn load(&self) -> Result<Running> {
        let pause = Duration::from_millis(self.options.pick(50, 5));
        let mix = Mix { strangers: self.strangers, ..Mix::default() };
        let load = Load { truth: self.truth, ..Load::new(self.address) };
        let mixed = Load { connections: 24, pause, mix, ..load };
        let mix = Mix { counts: 0, rejections: 3, passes: 1, hang_ups: 0, strangers: 0 };
        Running::start([mixed, Load { connections: 8, mix, ..mixed }])
    }

    /// How long a service in order is watched.
    pub fn calm_time(&self) -> Duration {
        self.options.pick(Duration::from_millis(400), Duration::from_secs(3))
    }

    /// How long a fault lasts.
    pub fn trouble_time(&self) -> Duration {
        self.options.pick(Duration::from_secs(1), Duration::from_secs(6))
    }

    /// Load; then the fault; then none; then no load.
    pub fn observe(
        &self,
        fault: &str,
        inflict: impl FnOnce() -> Result<()>,
        mend: impl FnOnce() -> Result<()>,
    ) -> Result<Observation> {
        eprintln!("   {fault}");
        let loads = self.load()?;
        let mut before = loads.run_for(self.calm_time());
        // A busy machine may need longer for the first count; that none came is said below.
        let _ = wait_for("the first count", patience(self.options), || {
            before.merge(&loads.take());
            (before.answers(Kind::Count, 200) > 0).then_some(())
        });
        let mut seen = Observation::begin(fault, &before);
        seen.failures.extend(unless_only_counts("before", &before, self.options));

        machine::forget_peak(self.edge.envoy.pid())?;
        inflict()?;
        seen.meanwhile(&loads.run_for(self.trouble_time()));
        seen.figures.peak_mib = Some(machine::peak(self.edge.envoy.pid())? >> 20);

        mend()?;
        let patience = patience(self.options);
        let normal = self.normal_again(patience);
        seen.figures.normal_after = normal.map(millis);
        seen.expect(normal.is_some(), format!("counts not right {patience:?} after it"));
        seen.all.merge(&loads.run_for(AFTERMATH));
        if normal.is_some() {
            self.expect_order(&loads, &mut seen);
        }
        seen.all.merge(&loads.stop());
        self.look_back(&mut seen)?;
        Ok(seen)
    }

    /// Only counts again: at once, and in the quick form as soon as a busy machine gets to it.
    fn expect_order(&self, loads: &Running, seen: &mut Observation) {
        let end = Instant::now() + self.options.pick(patience(self.options), Duration::ZERO);
        loop {
            let after = loads.run_for(self.calm_time());
            let failure = unless_only_counts("afterwards", &after, self.options);
            seen.all.merge(&after);
            if failure.is_none() || Instant::now() > end {
                return seen.failures.extend(failure);
            }
        }
    }

    /// A counter of [`LISTENER`]'s HTTP.
    fn stat(&self, name: &str) -> Result<u64> {
        self.edge.envoy.stat(&format!("http.{LISTENER}.{name}"))
    }

    /// What is still open when Envoy has had time to be rid of all.
    pub fn open_after(&self) -> Result<u64> {
        let active: Vec<&str> = self.active.iter().map(String::as_str).collect();
        open_after(&self.edge.envoy, &active, self.options)
    }

    /// Open streams and trapped VMs.
    pub fn look_back(&self, seen: &mut Observation) -> Result<()> {
        seen.figures.open_after = self.open_after()?;
        seen.failures.extend(self.edge.check_vms().err().map(|error| format!("{error:#}")));
        Ok(())
    }

    /// Envoy closed connections, or its listener, on purpose: as long as it cut off no request, those
    /// without an answer had crossed with the close. How many it cut off.
    pub fn excuse_closes(&self, seen: &mut Observation) -> Result<u64> {
        let cut = self.stat("downstream_cx_destroy_local_active_rq")?;
        seen.expect(cut == 0, format!("Envoy closed {cut} connections with a request in them"));
        if cut == 0 {
            seen.all.excuse_closes();
        }
        Ok(cut)
    }

    /// How long it takes until the first right count comes, and four more after it.
    fn normal_again(&self, limit: Duration) -> Option<Duration> {
        let start = Instant::now();
        while start.elapsed() < limit {
            let right = self.counts_right();
            let since = start.elapsed();
            if right && (0..4).all(|_| self.counts_right()) {
                return Some(since);
            }
        }
        None
    }

    fn counts_right(&self) -> bool {
        let path = "/v2/p37/os-vendor-backup-sharing/count";
        // The load judges how often it may have changed.
        let is_right = |text: &str| text.starts_with("{\"count\":") && text.ends_with("37}");
        http::request(self.address, "GET", path, &[("x-auth-token", b"caller-of-p37")])
            .is_ok_and(|answer| answer.status == 200 && is_right(&answer.text()))
    }
}

/// The sum of these gauges, as soon as it is 0, or when [`patience`] ends.
pub fn open_after(envoy: &Envoy, gauges: &[&str], options: &Options) -> Result<u64> {
    let open = || gauges.iter().map(|name| envoy.stat(name)).sum::<testkit::Result<u64>>();
    let none = || matches!(open(), Ok(0)).then_some(());
    match wait_for("the last stream to end", patience(options), none) {
        Ok(()) => Ok(0),
        Err(_) => Ok(open()?),
    }
}
