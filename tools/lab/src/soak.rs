//! Two million mixed requests, hang-ups included, and the memory of the Envoy that serves them;
//! then as many through an Envoy without the filter, whose growth is not ours.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;
use testkit::count_store::CountStore;
use testkit::edge::{Edge, envoy_config};
use testkit::envoy::Envoy;

use crate::load::{Judged, Kind, Load, Tally, expected};
use crate::{Findings, Options, anywhere, chart, machine};

const WORKERS: u32 = 2;
const CONFIGURATION: &str = r#"{"store": {"cluster": "store", "timeout": "10s"}}"#;
const CONNECTIONS: usize = 16;

/// What Envoy may grow by once a tenth of the requests has been served, in bytes.
const ALLOWED_GROWTH: u64 = (2 << 20) * WORKERS as u64;

/// Between two looks at Envoy's memory.
const SAMPLED_EVERY: Duration = Duration::from_millis(250);

/// A listener without the filter: counts go to the store by the router.
const CONTROL: &str = "static_resources:
  listeners:
  - name: control
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: control
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
              - match: {safe_regex: {regex: '/v2/[^/]+/os-vendor-backup-sharing/count'}}
                route: {cluster: store}
              - match: {prefix: ''}
                route: {cluster: upstream}
          http_filters:
          - name: router
            typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
";

/// What a soak showed: a column of the page.
#[derive(Debug, Serialize)]
struct Figures {
    #[serde(flatten)]
    judged: Judged,
    counts: u64,
    hang_ups: u64,
    requests_per_second: f64,
    /// Resident memory in bytes, most in the first tenth and most of the rest.
    first: u64,
    rest: u64,
    growth: u64,
}

/// Runs it.
///
/// # Errors
/// If something cannot be started.
pub fn run(options: &Options) -> Result<Findings> {
    let requests = options.pick(20_000, 2_000_000);
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let store = CountStore::start(&expected::database(folder.path())?, anywhere())?;
    let upstream = expected::scripted(expected::upstream())?;
    let start = |config: &str| Envoy::options().concurrency(WORKERS).start(config);

    let config = [("edge", CONFIGURATION)];
    let config = envoy_config(&config, store.address(), upstream.address())?;
    let edge = Edge::around(start(&config)?, ["edge"])?;
    let (tally, with, memory) = soak(&edge.envoy, edge.listeners["edge"], requests)?;
    let mut failures = tally.complaints();
    failures.extend(edge.check_vms().err().map(|error| error.to_string()));
    edge.envoy.stop()?;
    // A short run is still warming up.
    if !options.quick && with.growth > ALLOWED_GROWTH {
        let growth = with.growth;
        failures.push(format!("Envoy grew by {growth} bytes; {ALLOWED_GROWTH} were allowed"));
    }

    let config = envoy_config(&[], store.address(), upstream.address())?;
    let envoy = start(&config.replacen("static_resources:\n  listeners:\n", CONTROL, 1))?;
    let (_, without, memory_without) = soak(&envoy, envoy.listener_address("control")?, requests)?;
    envoy.stop()?;

    let figures = json!({
        "workers": WORKERS,
        "connections": CONNECTIONS,
        "allowed_growth": ALLOWED_GROWTH,
        "with": with,
        "without": without,
    });
    let chart = chart::lines(
        ("requests, thousands", 1e-3),
        ("resident memory, MiB", 1.0 / f64::from(1 << 20)),
        &[("with the filter", &memory), ("without", &memory_without)],
    )?;
    Ok(Findings { charts: vec![("soak-memory.svg", chart)], ..Findings::new(figures, failures)? })
}

/// Requests served, and Envoy's resident memory in bytes.
type Samples = Vec<(f64, f64)>;

fn soak(envoy: &Envoy, address: SocketAddr, requests: u64) -> Result<(Tally, Figures, Samples)> {
    let load = Load { requests: Some(requests), connections: CONNECTIONS, ..Load::new(address) };
    let start = Instant::now();
    let running = load.start()?;
    let (mut tally, mut samples) = (Tally::default(), Vec::new());
    let (mut first, mut rest) = (0, 0);
    loop {
        let busy = running.is_busy();
        tally.merge(&running.take());
        let (served, bytes) = (tally.requests(), machine::resident(envoy.pid())?);
        samples.push((served as f64, bytes as f64));
        let most = if served <= requests / 10 { &mut first } else { &mut rest };
        *most = bytes.max(*most);
        if !busy {
            break;
        }
        thread::sleep(SAMPLED_EVERY);
    }
    let per_second = tally.requests() as f64 / start.elapsed().as_secs_f64();
    let figures = Figures {
        judged: tally.judged(),
        counts: tally.sent(Kind::Count),
        hang_ups: tally.sent(Kind::HangUp),
        requests_per_second: per_second.round(),
        first,
        rest,
        growth: rest.saturating_sub(first),
    };
    Ok((tally, figures, samples))
}
