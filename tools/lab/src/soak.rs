//! Two million mixed requests, hang-ups included, and the memory of the Envoy that serves them: half of them where
//! Keystone vouches for callers, and half where counts are remembered. Then as many through an Envoy without the filter, whose growth is not ours.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use testkit::count_store::CountStore;
use testkit::edge::{Edge, clusters, envoy_config};
use testkit::envoy::Envoy;
use testkit::envoy::config::{Bootstrap, Cluster, Listener, to_cluster};

use crate::load::{Judged, Kind, Load, Mix, Running, Tally, Truth, expected};
use crate::{Findings, Options, anywhere, chart, machine};

const WORKERS: u32 = 2;
const CONFIGURATION: &str = r#"{"store": {"cluster": "store", "timeout": "10s"}}"#;
/// The same with Keystone, which is asked about each caller every 50 ms by each worker.
const CALLERS: &str = r#"{"store": {"cluster": "store", "timeout": "10s"}, "auth": {"mode": "keystone", "keystone": {"cluster": "keystone", "timeout": "10s", "remember": "0.05s"}}}"#;
/// Both again where counts are remembered, half of them and not for long. Of the second the store is not told who asks.
const REMEMBERED: &str = r#"{"store": {"cluster": "store", "timeout": "10s"}, "cache": {"ttl": "0.5s", "max_entries": 400}}"#;
const SHARED: &str = r#"{"store": {"cluster": "store", "timeout": "10s", "forward_headers": []}, "cache": {"ttl": "0.5s", "max_entries": 400}, "auth": {"mode": "keystone", "keystone": {"cluster": "keystone", "timeout": "10s", "remember": "0.05s"}}}"#;
const TTL: Duration = Duration::from_millis(500);
const CONNECTIONS: usize = 16;

/// What Envoy may grow by once a tenth of the requests has been served, in MiB: 2 for each worker.
const ALLOWED_GROWTH: f64 = 2.0 * WORKERS as f64;

/// Between two looks at Envoy's memory.
const SAMPLED_EVERY: Duration = Duration::from_secs(1);

/// What a soak showed: a column of the page.
#[derive(Debug, Serialize)]
struct Figures {
    requests: u64,
    counts: u64,
    hang_ups: u64,
    strangers: u64,
    requests_per_second: f64,
    /// The most resident memory in the first tenth, and afterwards.
    first_mib: f64,
    rest_mib: f64,
    growth_mib: f64,
    /// Not without the filter: nobody refuses anything there.
    #[serde(flatten)]
    judged: Option<Judged>,
}

/// Thousands of requests served, and Envoy's resident memory in MiB, to a tenth.
type Samples = Vec<(f64, f64)>;

/// What the chart shows, of the figures.
#[derive(Deserialize)]
struct Memory {
    memory_with: Samples,
    memory_without: Samples,
}

/// Runs it.
pub fn run(options: &Options) -> Result<Findings> {
    let requests = options.pick(20_000, 2_000_000);
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let store = CountStore::start(&expected::database(folder.path())?, anywhere())?;
    let upstream = expected::scripted(expected::upstream())?;
    let start = |config: Bootstrap| Envoy::options().concurrency(WORKERS).start(config);

    let keystone = expected::scripted(expected::keystone())?;
    let all = [CONFIGURATION, CALLERS, REMEMBERED, SHARED];
    let names = ["edge", "callers", "remembered", "shared"];
    let config = std::array::from_fn::<_, 4, _>(|number| (names[number], all[number]));
    let config = envoy_config(&config, store.address(), upstream.address())?;
    let config = config.cluster(Cluster::new("keystone", keystone.address()));
    let edge = Edge::around(start(config)?, names)?;
    let loads = names.map(|name| Load {
        connections: CONNECTIONS / names.len(),
        mix: match name {
            "callers" | "shared" => Mix { strangers: 10, ..Mix::default() },
            _ => Mix::default(),
        },
        truth: match name {
            "remembered" | "shared" => Truth { remembered: Some(TTL), changing: None },
            _ => Truth::default(),
        },
        ..Load::new(edge.listeners[name])
    });
    let (tally, mut with, memory_with) = soak(&edge.envoy, loads, requests)?;
    with.judged = Some(tally.judged());
    let mut failures = tally.complaints();
    if tally.remembered == 0 {
        failures.push("no count was remembered".to_owned());
    }
    failures.extend(edge.check_vms().err().map(|error| format!("{error:#}")));
    edge.envoy.stop()?;
    // A short run is still warming up.
    if !options.quick && with.growth_mib > ALLOWED_GROWTH {
        let grown = with.growth_mib;
        failures.push(format!("Envoy grew by {grown} MiB; {ALLOWED_GROWTH} were allowed"));
    }

    // Without the filter counts go to the store by the router.
    let mut counts = to_cluster("", "store");
    let path = json!({"regex": "/v2/[^/]+/os-vendor-backup-sharing/count"});
    counts["match"] = json!({"safe_regex": path});
    let listener = Listener::new("control").route(counts).route(to_cluster("", "upstream"));
    let envoy = start(Bootstrap::new([listener], clusters(store.address(), upstream.address())))?;
    let load = Load { connections: CONNECTIONS, ..Load::new(envoy.listener_address("control")?) };
    let (_, without, memory_without) = soak(&envoy, [load], requests)?;
    envoy.stop()?;

    let figures = json!({
        "workers": WORKERS,
        "connections": CONNECTIONS,
        "allowed_growth_mib": ALLOWED_GROWTH,
        "with": with,
        "without": without,
        "memory_with": memory_with,
        "memory_without": memory_without,
    });
    Findings::new(figures, failures)
}

/// Draws the memory over the requests.
///
/// # Errors
/// If the figures are others, or cannot be drawn.
pub fn draw(figures: &Value) -> Result<String> {
    let Memory { memory_with, memory_without } = Memory::deserialize(figures)?;
    let lines = [("with the filter", &memory_with[..]), ("without", &memory_without)];
    chart::lines("requests, thousands", "resident memory, MiB", &lines)
}

fn soak<const N: usize>(
    envoy: &Envoy,
    loads: [Load; N],
    requests: u64,
) -> Result<(Tally, Figures, Samples)> {
    let each = Some(requests / N as u64);
    let start = Instant::now();
    let running = Running::start(loads.map(|load| Load { requests: each, ..load }))?;
    let (mut tally, mut samples) = (Tally::default(), Vec::new());
    let (mut first_mib, mut rest_mib) = (0.0, 0.0);
    loop {
        let busy = running.is_busy();
        tally.merge(&running.take());
        let served = tally.requests();
        let mib = machine::resident(envoy.pid())? as f64 / f64::from(1 << 20);
        samples.push(((served / 1000) as f64, (mib * 10.0).round() / 10.0));
        let most = if served <= requests / 10 { &mut first_mib } else { &mut rest_mib };
        *most = mib.max(*most);
        if !busy {
            break;
        }
        thread::sleep(SAMPLED_EVERY);
    }
    let per_second = tally.requests() as f64 / start.elapsed().as_secs_f64();
    let figures = Figures {
        requests: tally.requests(),
        counts: tally.sent(Kind::Count),
        hang_ups: tally.sent(Kind::HangUp),
        strangers: tally.sent(Kind::Stranger),
        requests_per_second: per_second.round(),
        first_mib,
        rest_mib,
        growth_mib: f64::max(rest_mib - first_mib, 0.0),
        judged: None,
    };
    Ok((tally, figures, samples))
}
