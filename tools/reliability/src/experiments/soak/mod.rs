//! Two million mixed requests, hang-ups included, and the memory of the Envoy that serves them;
//! then as many through an Envoy without the filter, whose growth is not ours.

mod chart;

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::count_store::CountStore;
use testkit::edge::{Edge, clusters, envoy_config};
use testkit::envoy::Envoy;
use testkit::envoy::config::{Bootstrap, Listener, to_cluster};
use testkit::store::ScriptedStore;
use testkit::{Error, Result, workspace};

use super::faults::{load_database, upstream};
use crate::load::{Kind, Load, Tally};
use crate::{Scale, Section, memory};

const WORKERS: u32 = 2;
const CONFIGURATION: &str = r#"{"store": {"cluster": "store", "timeout": "10s"}}"#;
const CONNECTIONS: usize = 16;

/// What Envoy may grow by once a tenth of the requests has been served.
const GROWTH_PER_WORKER: u64 = 2 << 20;

/// Between two looks at Envoy's memory.
const SAMPLED_EVERY: Duration = Duration::from_millis(250);

/// Runs it.
pub fn run(scale: Scale) -> Result<Section> {
    let requests = scale.pick(20_000, 2_000_000);
    let stores = Stores::start()?;
    let config = envoy_config(&[("edge", CONFIGURATION)], stores.counts(), stores.upstream())?;
    let edge = Edge::around(envoy(config)?, ["edge"])?;
    let filtered = soak(&edge.envoy, edge.listeners["edge"], requests)?;
    let vms = edge.check_vms();
    edge.envoy.stop()?;

    let envoy = envoy(control(&stores))?;
    let plain = soak(&envoy, envoy.listener_address("control")?, requests)?;
    envoy.stop()?;

    let mut section = Section::default();
    let growth = filtered.growth();
    let limit = u64::from(WORKERS) * GROWTH_PER_WORKER;
    // A short run is still warming up.
    if scale == Scale::Full && growth > limit {
        section.failures.push(format!("Envoy grew by {growth} bytes; {limit} were allowed"));
    }
    section.failures.extend(filtered.tally.complaints());
    section.failures.extend(vms.err().map(|error| error.to_string()));
    section.text = report(&filtered, &plain);
    if scale == Scale::Full {
        let svg = chart::draw(&[("with the filter", &filtered.memory), ("without", &plain.memory)]);
        let path = workspace::root().join("docs/soak-memory.svg");
        let written = fs::write(&path, svg?);
        written.map_err(Error::while_doing(format!("write {}", path.display())))?;
        section
            .text
            .push_str("\n![Resident memory of Envoy over the requests served](soak-memory.svg)\n");
    }
    Ok(section)
}

/// What is behind Envoy: the real count store, and an upstream.
struct Stores {
    counts: CountStore,
    upstream: ScriptedStore,
    _folder: tempfile::TempDir,
}

impl Stores {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir().map_err(Error::while_doing("make a folder"))?;
        let database = folder.path().join("sharings.sqlite");
        load_database(folder.path(), &database)?;
        let counts = CountStore::start(&database, SocketAddr::from(([127, 0, 0, 1], 0)))?;
        Ok(Self { counts, upstream: upstream()?, _folder: folder })
    }

    fn counts(&self) -> SocketAddr {
        self.counts.address()
    }

    fn upstream(&self) -> SocketAddr {
        self.upstream.address()
    }
}

fn envoy(config: Bootstrap) -> Result<Envoy> {
    Envoy::options().concurrency(WORKERS).start(config)
}

/// The same Envoy without the filter: counts go to the store by its router.
fn control(stores: &Stores) -> Bootstrap {
    let mut counts = to_cluster("", "store");
    let path = json!({"regex": "/v2/[^/]+/os-vendor-backup-sharing/count"});
    counts["match"] = json!({"safe_regex": path});
    let listener = Listener::new("control").route(counts).route(to_cluster("", "upstream"));
    Bootstrap::new([listener], clusters(stores.counts(), stores.upstream()))
}

/// What a soak showed.
struct Soaked {
    tally: Tally,
    took: Duration,
    /// Requests served, and Envoy's resident memory in bytes.
    memory: Vec<(u64, u64)>,
    requests: u64,
}

fn soak(envoy: &Envoy, address: SocketAddr, requests: u64) -> Result<Soaked> {
    let load = Load { requests: Some(requests), connections: CONNECTIONS, ..Load::new(address) };
    let start = Instant::now();
    let running = load.start()?;
    let (mut tally, mut memory) = (Tally::default(), Vec::new());
    loop {
        let busy = running.is_busy();
        tally.merge(&running.take());
        memory.push((tally.requests(), memory::resident(envoy.pid())?));
        if !busy {
            break;
        }
        thread::sleep(SAMPLED_EVERY);
    }
    Ok(Soaked { tally, took: start.elapsed(), memory, requests })
}

impl Soaked {
    /// The most memory there was in a part of the run.
    fn most(&self, part: impl Fn(u64) -> bool) -> u64 {
        let samples = self.memory.iter().filter(|(served, _)| part(*served));
        samples.map(|(_, bytes)| *bytes).max().unwrap_or_default()
    }

    /// From the first tenth's most to the most of the rest.
    fn growth(&self) -> u64 {
        let tenth = self.requests / 10;
        self.most(|served| served > tenth).saturating_sub(self.most(|served| served <= tenth))
    }
}

fn report(filtered: &Soaked, plain: &Soaked) -> String {
    let mut text = format!(
        "Envoy with {WORKERS} workers and {CONNECTIONS} connections, in front of the count store.\n\n\
         | | with the filter | without it |\n|---|---:|---:|\n"
    );
    let mut row = |name: &str, figure: &dyn Fn(&Soaked) -> String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {name} | {} | {} |", figure(filtered), figure(plain));
    };
    let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    row("requests", &|soaked| soaked.tally.requests().to_string());
    row("counts", &|soaked| soaked.tally.sent(Kind::Count).to_string());
    row("hang-ups", &|soaked| soaked.tally.sent(Kind::HangUp).to_string());
    row("requests a second", &|soaked| {
        format!("{:.0}", soaked.tally.requests() as f64 / soaked.took.as_secs_f64())
    });
    row("resident memory, most in the first tenth", &|soaked| {
        mebibytes(soaked.most(|served| served <= soaked.requests / 10))
    });
    row("resident memory, most afterwards", &|soaked| {
        mebibytes(soaked.most(|served| served > soaked.requests / 10))
    });
    row("growth", &|soaked| mebibytes(soaked.growth()));
    let Tally { wrong_counts, undocumented, lost, crossed, .. } = &filtered.tally;
    let _ = writeln!(
        text,
        "\nWith the filter: wrong counts {wrong_counts}, undocumented answers {undocumented}, \
         requests lost {lost}, crossed with a close {crossed}. Without it the answers are not \
         judged: nobody refuses anything."
    );
    text
}
