//! An Envoy under load, a fault that comes and goes, and what is seen meanwhile.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::edge::{Edge, envoy_config};
use testkit::envoy::{Envoy, Options};
use testkit::store::ScriptedStore;
use testkit::{Result, http, wait_for};

use super::row::{Row, statuses};
use crate::Scale;
use crate::load::{Kind, Load, Mix, Running, Tally, truth};
use crate::memory;

/// How long the filter waits for the store.
pub const TIMEOUT: Duration = Duration::from_millis(400);

/// The listener, and the plugin configuration that goes with [`TIMEOUT`].
pub const LISTENER: &str = "count";
const CONFIGURATION: &str = r#"{"store": {"cluster": "store", "timeout": "0.4s"}}"#;

/// Keeps Envoy from reading 32 MiB of an answer before it gives up: the filter reads 64 KiB.
pub const LIMITS: Option<u32> = Some(131_072);

/// Until the last request that met the fault has its answer: it may have waited for a connection that
/// Envoy gives up after a second.
const AFTERMATH: Duration = Duration::from_millis(1500);

/// How long Envoy may take to be rid of the last stream, the store's timeout included, or to do what it was
/// told. The quick form is no judge of that, only of whether it does.
pub fn patience(scale: Scale) -> Duration {
    Duration::from_secs(scale.pick(20, 5))
}

/// An Envoy with two workers, and an upstream.
#[derive(Debug)]
pub struct Bench {
    pub edge: Edge,
    pub address: SocketAddr,
    _upstream: ScriptedStore,
    pub scale: Scale,
}

/// Mixed requests, and beside them some that never need the store: they must not notice when
/// all the others wait for it.
#[derive(Debug)]
pub struct Loads {
    mixed: Running,
    aside: Running,
}

/// Two workers of this Envoy.
pub fn options(envoy: Option<&Path>) -> Options {
    let options = Envoy::options().concurrency(2);
    match envoy {
        Some(binary) => options.binary(binary),
        None => options,
    }
}

/// An upstream that says what it was asked, and remembers nothing.
pub fn upstream() -> Result<ScriptedStore> {
    let upstream = ScriptedStore::start()?;
    upstream.forget_requests();
    upstream.set(truth::upstream());
    Ok(upstream)
}

impl Bench {
    /// In front of this store; `limit` is [`LIMITS`], or nothing.
    pub fn start(
        options: Options,
        scale: Scale,
        store: SocketAddr,
        limit: Option<u32>,
    ) -> Result<Self> {
        let upstream = upstream()?;
        let mut config = envoy_config(&[(LISTENER, CONFIGURATION)], store, upstream.address())?;
        if let Some(limit) = limit {
            let layer = json!({"http.async_response_buffer_limit": limit});
            let layers = json!([{"name": "limits", "static_layer": layer}]);
            config = config.with("layered_runtime", json!({"layers": layers}));
        }
        Self::around(options.start(config)?, upstream, scale)
    }

    /// Around an Envoy whose listener is [`LISTENER`].
    pub fn around(envoy: Envoy, upstream: ScriptedStore, scale: Scale) -> Result<Self> {
        let edge = Edge::around(envoy, [LISTENER])?;
        let address = edge.listeners[LISTENER];
        Ok(Self { edge, address, _upstream: upstream, scale })
    }

    /// Puts the load on it.
    pub fn load(&self) -> Result<Loads> {
        let pause = Duration::from_millis(5);
        let mixed = Load { connections: 24, pause, ..Load::new(self.address) };
        let mix = Mix { counts: 0, rejections: 3, passes: 1, hang_ups: 0 };
        let aside = Load { connections: 8, pause, mix, ..Load::new(self.address) };
        Ok(Loads { mixed: mixed.start()?, aside: aside.start()? })
    }

    /// How long a service in order is watched.
    pub fn calm(&self) -> Duration {
        self.scale.pick(Duration::from_millis(400), Duration::from_secs(3))
    }

    /// How long a fault lasts.
    pub fn trouble(&self) -> Duration {
        self.scale.pick(Duration::from_secs(1), Duration::from_secs(6))
    }

    /// Load; then the fault; then none; then no load. One row.
    pub fn observe(
        &self,
        fault: &str,
        inflict: impl FnOnce() -> Result<()>,
        mend: impl FnOnce() -> Result<()>,
    ) -> Result<Row> {
        eprintln!("   {fault}");
        let mut row = Row { fault: fault.to_owned(), ..Row::default() };
        let loads = self.load()?;
        let before = loads.run_for(self.calm());
        only_counts("before", &before, self.scale, &mut row.failures);
        row.healthy = before.latency(Kind::Rejection);
        row.all.merge(&before);

        memory::forget_peak(self.edge.envoy.pid())?;
        inflict()?;
        row.during = loads.run_for(self.trouble());
        row.all.merge(&row.during);
        row.peak = Some(memory::peak(self.edge.envoy.pid())? >> 20);

        mend()?;
        let patience = patience(self.scale);
        row.normal_after = self.normal_again(patience);
        row.expect(row.normal_after.is_some(), format!("counts not right {patience:?} after it"));
        row.all.merge(&loads.run_for(AFTERMATH));
        if row.normal_after.is_some() {
            self.expect_order(&loads, &mut row);
        }
        row.all.merge(&loads.stop());
        self.finish(&mut row)?;
        Ok(row)
    }

    /// Only counts again: at once, and in the quick form as soon as a busy machine gets to it.
    fn expect_order(&self, loads: &Loads, row: &mut Row) {
        let end = Instant::now() + self.scale.pick(patience(self.scale), Duration::ZERO);
        loop {
            let (after, mut failures) = (loads.run_for(self.calm()), Vec::new());
            only_counts("afterwards", &after, self.scale, &mut failures);
            row.all.merge(&after);
            if failures.is_empty() || Instant::now() > end {
                return row.failures.extend(failures);
            }
        }
    }

    /// Open streams and trapped VMs.
    pub fn finish(&self, row: &mut Row) -> Result<()> {
        row.open = self.open_after()?;
        if let Err(error) = self.edge.check_vms() {
            row.failures.push(error.to_string());
        }
        Ok(())
    }

    /// Envoy closed connections, or its listener, on purpose: as long as it cut off no request, those
    /// without an answer had crossed with the close.
    pub fn excuse_closes(&self, row: &mut Row) -> Result<u64> {
        let name = format!("http.{LISTENER}.downstream_cx_destroy_local_active_rq");
        let cut = self.edge.envoy.stat(&name)?;
        if cut == 0 {
            row.all.excuse_closes();
        }
        Ok(cut)
    }

    /// What is still open when Envoy has had time to be rid of all.
    pub fn open_after(&self) -> Result<u64> {
        let streams = format!("http.{LISTENER}.downstream_rq_active");
        open_after(&self.edge.envoy, &[&streams, "cluster.store.upstream_rq_active"], self.scale)
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
        http::request(self.address, "GET", path, &[])
            .is_ok_and(|answer| answer.status == 200 && answer.text() == r#"{"count":37}"#)
    }
}

impl Loads {
    /// Lets them go on for a while, then takes what came.
    pub fn run_for(&self, time: Duration) -> Tally {
        thread::sleep(time);
        self.take()
    }

    /// What came since the last call.
    pub fn take(&self) -> Tally {
        let mut all = self.mixed.take();
        all.merge(&self.aside.take());
        all
    }

    /// Ends both, and takes what came since.
    pub fn stop(self) -> Tally {
        self.mixed.end();
        let mut all = self.aside.stop();
        all.merge(&self.mixed.stop());
        all
    }
}

/// The sum of these gauges, as soon as it is 0, or when [`patience`] ends.
pub fn open_after(envoy: &Envoy, gauges: &[&str], scale: Scale) -> Result<u64> {
    let open = || gauges.iter().map(|name| envoy.stat(name)).sum::<Result<u64>>();
    let none = || matches!(open(), Ok(0)).then_some(());
    match wait_for("the last stream to end", patience(scale), none) {
        Ok(()) => Ok(0),
        Err(_) => open(),
    }
}

/// Without a fault, every count is a count; one in a hundred may be late, and in the quick form any.
pub fn only_counts(when: &str, tally: &Tally, scale: Scale, failures: &mut Vec<String>) {
    let (counts, late) = (tally.answers(Kind::Count, 200), tally.answers(Kind::Count, 504));
    let answered: u64 = tally.statuses(Kind::Count).values().sum();
    let too_late = scale == Scale::Full && late * 100 > answered;
    if counts == 0 || too_late || counts + late != answered {
        failures.push(format!("{when}, counts were answered {}", statuses(tally)));
    }
}
