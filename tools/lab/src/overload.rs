//! More load than the store serves: the shipped `envoy.yaml` turns the excess away at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::json;
use testkit::count_store::CountStore;
use testkit::envoy::Envoy;
use testkit::envoy_yaml::{wait_for_store, with_keystone, with_section};
use testkit::{PATIENCE, http, wait_for};

use crate::faults::open_after;
use crate::load::{HALF, Judged, Kind, Load, Mix, P99, Quantiles, SLOWEST, Tally, Truth, expected};
use crate::{Findings, Options, anywhere, millis, shipped};

/// How long the slow store takes: its 64 connections serve 640 counts a second.
const SLOW: Duration = Duration::from_millis(100);

/// After each answer, so that those turned away do not spend the machine on asking again.
const REST: Duration = Duration::from_millis(20);

/// In how much time service must be normal again, where times are judged.
const SOON: Duration = Duration::from_secs(1);

/// What Keystone has said counts for so long, so that it is asked about each caller all the time.
const REMEMBER: Duration = Duration::from_millis(50);

/// Where counts are remembered.
const CACHE: &str = "cache: {ttl: 1s, stale_if_error: 60s}";
const REMEMBERED: Duration = Duration::from_secs(61);

const GAUGES: [&str; 2] =
    ["http.edge.downstream_rq_active", "cluster.count_store.upstream_rq_active"];

/// A line of the page.
#[derive(Debug, Serialize)]
struct Figures {
    store: &'static str,
    connections: usize,
    #[serde(flatten)]
    judged: Judged,
    counts: BTreeMap<u16, u64>,
    counted: Quantiles,
    turned_away: Quantiles,
    /// The slowest of a client alone, and the load's.
    rejection_before: f64,
    rejections_meanwhile: Quantiles,
    open_after: u64,
    /// None: never.
    normal_after: Option<f64>,
}

/// How long a count and a rejection take when nobody else asks.
#[derive(Clone, Copy)]
struct Pace {
    count: Duration,
    rejection: Duration,
}

/// Runs it.
pub fn run(options: &Options) -> Result<Findings> {
    let mut failures = Vec::new();
    let slow = expected::scripted(expected::store().after(SLOW))?;
    let keystone = expected::scripted(expected::keystone())?;
    let mut rows = Vec::new();
    // The quick form has it with Keystone alone.
    if !options.quick {
        let name = "slow: 100 ms for each count";
        rows.push(overload(name, slow.address(), None, None, 300, options, &mut failures)?);
    }
    let (name, asked) = ("the same, Keystone vouches for callers", Some(keystone.address()));
    rows.push(overload(name, slow.address(), asked, None, 300, options, &mut failures)?);
    let name = "the same, counts are remembered for 1 s, and may be stale for 60 s";
    rows.push(overload(name, slow.address(), None, Some(CACHE), 300, options, &mut failures)?);

    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let store = CountStore::start(&expected::database(folder.path())?, anywhere())?;
    rows.push(overload("count-store", store.address(), None, None, 600, options, &mut failures)?);
    Findings::new(json!({ "rows": rows }), failures)
}

fn overload(
    name: &'static str,
    store: SocketAddr,
    keystone: Option<SocketAddr>,
    cache: Option<&str>,
    connections: usize,
    options: &Options,
    failures: &mut Vec<String>,
) -> Result<Figures> {
    eprintln!("   {name}");
    let backend = expected::scripted(expected::upstream())?;
    let mut yaml = shipped(&[store], backend.address())?;
    let mut gauges = GAUGES.to_vec();
    let mut mix = Mix { counts: 80, rejections: 15, passes: 5, hang_ups: 0, strangers: 0 };
    if let Some(keystone) = keystone {
        yaml = with_keystone(&yaml, keystone, REMEMBER)?;
        gauges.push("cluster.keystone.upstream_rq_active");
        mix.strangers = 10;
    }
    let mut truth = Truth::default();
    if let Some(cache) = cache {
        yaml = with_section(&yaml, cache)?;
        truth.remembered = Some(REMEMBERED);
    }
    let envoy = Envoy::options().concurrency(2).start(&yaml)?;
    wait_for_store(&envoy)?;
    let address = envoy.listener_address("edge")?;
    let before = pace(address, 20)?;
    let running = Load { connections, mix, truth, pause: REST, ..Load::new(address) }.start()?;
    let mut all = running.run_for(options.pick(Duration::from_secs(2), Duration::from_secs(20)));
    running.end();
    let normal = normal_again(address, before, options);
    all.merge(&running.stop());
    let open = open_after(&envoy, &gauges, options)?;
    let turned_away = envoy.stat("cluster.count_store.upstream_rq_pending_overflow")?;
    envoy.stop()?;

    let mut amiss = judge(&all, cache.is_none().then_some(turned_away), options);
    if open > 0 {
        amiss.push(format!("{open} streams were still open after the load"));
    }
    match &normal {
        Ok(time) if *time <= options.pick(PATIENCE, SOON) => {}
        Ok(time) => amiss.push(format!("service was normal only {time:?} after the load")),
        Err(error) => amiss.push(format!("{error:#}")),
    }
    failures.extend(amiss.iter().map(|failure| format!("{name}: {failure}.")));
    let latencies = |status| all.latencies_of(Kind::Count, status);
    Ok(Figures {
        store: name,
        connections,
        judged: all.judged(),
        counts: all.statuses(Kind::Count).1,
        counted: latencies(200).quantiles([HALF, P99]),
        turned_away: latencies(503).quantiles([HALF, P99, SLOWEST]),
        rejection_before: millis(before.rejection),
        rejections_meanwhile: all.latencies(Kind::Rejection).quantiles([P99]),
        open_after: open,
        normal_after: normal.ok().map(millis),
    })
}

/// What should not have been seen. Times are not judged in the quick form.
/// Where counts are remembered, one callout that was turned away answers all who share it, and a count may take no time.
fn judge(all: &Tally, turned_away: Option<u64>, options: &Options) -> Vec<String> {
    let mut failures = all.complaints();
    let (counted, excess) = (all.answers(Kind::Count, 200), all.answers(Kind::Count, 503));
    if counted == 0 || excess == 0 {
        failures.push(format!("{counted} counts and {excess} refusals are no overload"));
    }
    let late = all.answers(Kind::Count, 504);
    let (answered, statuses) = all.statuses(Kind::Count);
    if counted + excess + late != answered || !options.quick && late * 100 > answered {
        failures.push(format!("too many other answers than 200 and 503: {statuses:?}"));
    }
    let Some(turned_away) = turned_away else { return failures };
    // The one client afterwards may have been turned away too.
    if excess > turned_away {
        failures.push(format!("Envoy turned away {turned_away}, but {excess} clients saw 503"));
    }
    // At once: before anything that waited for the store.
    let half = |status| all.latencies_of(Kind::Count, status).quantile(0.5);
    if !options.quick && excess > 100 && half(503) > half(200) {
        failures.push("refusing took longer than counting".to_owned());
    }
    failures
}

/// The slowest of this many, one after the other.
fn pace(address: SocketAddr, times: usize) -> Result<Pace> {
    let mut pace = Pace { count: Duration::ZERO, rejection: Duration::ZERO };
    for _ in 0..times {
        pace.count = pace.count.max(ask(address, "", 200, r#"{"count":37}"#)?);
        pace.rejection = pace.rejection.max(ask(address, "?x=1", 400, "")?);
    }
    Ok(pace)
}

/// How long it takes until both answer as fast as before, or nearly; in the quick form, until they answer.
fn normal_again(address: SocketAddr, before: Pace, options: &Options) -> Result<Duration> {
    let start = Instant::now();
    let fast = |before: Duration| before * 2 + Duration::from_millis(20);
    wait_for("service to be normal again", options.pick(PATIENCE, SOON * 10), || {
        let since = start.elapsed();
        let now = pace(address, 1).ok()?;
        let normal = now.count <= fast(before.count) && now.rejection <= fast(before.rejection);
        (normal || options.quick).then_some(since)
    })
}

fn ask(address: SocketAddr, query: &str, status: u16, body: &str) -> Result<Duration> {
    let path = format!("/v2/p37/os-vendor-backup-sharing/count{query}");
    let start = Instant::now();
    let caller = [("x-auth-token", &b"caller-of-p37"[..])];
    let answer = http::request(address, "GET", &path, &caller)?;
    let (took, text) = (start.elapsed(), answer.text());
    let right = answer.status == status && (body.is_empty() || text == body);
    ensure!(right, "{path} gave {} {text}", answer.status);
    Ok(took)
}
