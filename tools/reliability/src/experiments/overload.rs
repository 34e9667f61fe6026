//! More load than the store serves: the shipped `envoy.yaml` turns the excess away at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use testkit::count_store::CountStore;
use testkit::envoy::Envoy;
use testkit::envoy_yaml::{self, Places, wait_for_store};
use testkit::store::ScriptedStore;
use testkit::{Error, PATIENCE, Result, http, wait_for, workspace};

use super::faults::{grouped, load_database, open_after, short, statuses, upstream};
use crate::load::{Kind, Load, Mix, Tally, truth};
use crate::{Scale, Section};

/// How long the slow store takes: its 64 connections serve 640 counts a second.
const SLOW: Duration = Duration::from_millis(100);

/// After each answer, so that those turned away do not spend the machine on asking again.
const REST: Duration = Duration::from_millis(20);

/// In how much time service must be normal again, where times are judged.
const SOON: Duration = Duration::from_secs(1);

const GAUGES: [&str; 2] =
    ["http.edge.downstream_rq_active", "cluster.count_store.upstream_rq_active"];

const INTRODUCTION: &str = "\
`envoy.yaml` as it ships, with two workers: at most 64 connections to the store and 128 counts waiting for one. 300
connections ask a slow store, 600 the count store, each again 20 ms after its answer. Before and after, one client alone asks counts and requests to
be rejected; service is normal when both take at most twice their time before, and 20 ms.

| store | requests | counts | 200: half, p99 | 503: half, p99, slowest | rejections: p99 before | meanwhile | wrong | undocumented | lost | open after | normal after |
|---|---|---|---|---|---|---|---|---|---|---|---|
";

/// `envoy.yaml`, running.
struct Edge {
    envoy: Envoy,
    listener: SocketAddr,
    _backend: ScriptedStore,
}

/// How long a count and a rejection take when nobody else asks.
#[derive(Clone, Copy)]
struct Pace {
    count: Duration,
    rejection: Duration,
}

/// Runs it.
pub fn run(scale: Scale) -> Result<Section> {
    let mut section = Section { text: INTRODUCTION.to_owned(), failures: Vec::new() };
    let slow = ScriptedStore::start()?;
    slow.forget_requests();
    slow.set(truth::store().after(SLOW));
    row("slow: 100 ms for each count", slow.address(), 300, scale, &mut section)?;

    let folder = tempfile::tempdir().map_err(Error::while_doing("make a temporary folder"))?;
    let database = folder.path().join("sharings.sqlite");
    load_database(folder.path(), &database)?;
    let store = CountStore::start(&database, any())?;
    row("count-store", store.address(), 600, scale, &mut section)?;
    Ok(section)
}

fn row(
    name: &str,
    store: SocketAddr,
    connections: usize,
    scale: Scale,
    section: &mut Section,
) -> Result<()> {
    eprintln!("   {name}");
    let edge = Edge::start(store)?;
    let before = edge.pace(20)?;
    let mix = Mix { counts: 80, rejections: 15, passes: 5, hang_ups: 0 };
    let load = Load { connections, mix, pause: REST, ..Load::new(edge.listener) };
    let running = load.start()?;
    let mut all = running.run_for(scale.pick(Duration::from_secs(2), Duration::from_secs(20)));
    running.end();
    let normal = edge.normal_again(before, scale);
    all.merge(&running.stop());
    let open = open_after(&edge.envoy, &GAUGES, scale)?;
    let turned_away = edge.envoy.stat("cluster.count_store.upstream_rq_pending_overflow")?;
    edge.envoy.stop()?;

    let (counts, excess) = (all.latency_of(Kind::Count, 200), all.latency_of(Kind::Count, 503));
    section.text.push_str(&format!(
        "| {name} | {} | {} | {}, {} | {}, {}, {} | {} | {} | {} | {} | {} | {open} | {} |\n",
        grouped(all.requests()),
        statuses(&all),
        short(counts.quantile(0.5)),
        short(counts.quantile(0.99)),
        short(excess.quantile(0.5)),
        short(excess.quantile(0.99)),
        short(excess.max()),
        short(before.rejection),
        short(all.latency(Kind::Rejection).quantile(0.99)),
        all.wrong_counts,
        all.undocumented,
        all.lost,
        normal.as_ref().map_or("never".to_owned(), |time| short(*time)),
    ));
    let mut failures = judge(&all, turned_away, scale);
    if open > 0 {
        failures.push(format!("{open} streams were still open after the load"));
    }
    match normal {
        Ok(time) if time <= scale.pick(PATIENCE, SOON) => {}
        Ok(time) => failures.push(format!("service was normal only {time:?} after the load")),
        Err(error) => failures.push(error.to_string()),
    }
    section.failures.extend(failures.into_iter().map(|failure| format!("{name}: {failure}.")));
    Ok(())
}

/// What should not have been seen. Times are judged at the full scale alone.
fn judge(all: &Tally, turned_away: u64, scale: Scale) -> Vec<String> {
    let mut failures = all.complaints();
    let (counted, excess) = (all.answers(Kind::Count, 200), all.answers(Kind::Count, 503));
    if counted == 0 || excess == 0 {
        failures.push(format!("{counted} counts and {excess} refusals are no overload"));
    }
    let late = all.answers(Kind::Count, 504);
    let answered: u64 = all.statuses(Kind::Count).values().sum();
    if counted + excess + late != answered || scale == Scale::Full && late * 100 > answered {
        failures.push(format!("too many other answers than 200 and 503: {}", statuses(all)));
    }
    // The one client afterwards may have been turned away too.
    if excess > turned_away {
        failures.push(format!("Envoy turned away {turned_away}, but {excess} clients saw 503"));
    }
    // At once: before anything that waited for the store.
    let (refused, served) = (all.latency_of(Kind::Count, 503), all.latency_of(Kind::Count, 200));
    if scale == Scale::Full && excess > 100 && refused.quantile(0.5) > served.quantile(0.5) {
        failures.push("refusing took longer than counting".to_owned());
    }
    failures
}

// === impl Edge ===

impl Edge {
    fn start(store: SocketAddr) -> Result<Self> {
        let backend = upstream()?;
        let yaml = envoy_yaml::with_places(Places {
            listener: any(),
            admin: any(),
            stores: &[store],
            backend: backend.address(),
            module: &workspace::filter_module()?,
        })?;
        let envoy = Envoy::options().concurrency(2).start(&yaml)?;
        wait_for_store(&envoy)?;
        let listener = envoy.listener_address("edge")?;
        Ok(Self { envoy, listener, _backend: backend })
    }

    /// The slowest of so many, one after the other.
    fn pace(&self, times: usize) -> Result<Pace> {
        let mut pace = Pace { count: Duration::ZERO, rejection: Duration::ZERO };
        for _ in 0..times {
            pace.count = pace.count.max(self.ask("", 200)?);
            pace.rejection = pace.rejection.max(self.ask("?x=1", 400)?);
        }
        Ok(pace)
    }

    /// How long it takes until both answer as fast as before, or nearly; in the quick form, until they answer.
    fn normal_again(&self, before: Pace, scale: Scale) -> Result<Duration> {
        let start = Instant::now();
        let fast = |before: Duration| before * 2 + Duration::from_millis(20);
        wait_for("service to be normal again", scale.pick(PATIENCE, SOON * 10), || {
            let since = start.elapsed();
            let now = self.pace(1).ok()?;
            let normal = now.count <= fast(before.count) && now.rejection <= fast(before.rejection);
            (normal || scale == Scale::Quick).then_some(since)
        })
    }

    fn ask(&self, query: &str, status: u16) -> Result<Duration> {
        let path = format!("/v2/p37/os-vendor-backup-sharing/count{query}");
        let start = Instant::now();
        let answer = http::request(self.listener, "GET", &path, &[])?;
        match answer.status == status && (status != 200 || answer.text() == r#"{"count":37}"#) {
            true => Ok(start.elapsed()),
            false => Err(Error::new(format!("{path} gave {} {}", answer.status, answer.text()))),
        }
    }
}

fn any() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}
