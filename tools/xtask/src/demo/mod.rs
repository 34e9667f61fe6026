//! `cargo demo`: from the sources to a counted request.
//!
//! | module | holds |
//! |---|---|
//! | [`cluster`] | `--cluster`: PostgreSQL with replicas, two count stores, and what clients see when servers die |
//! | [`explorer`] | a page to try it in a browser |
//! | [`keystone`] | `--keystone`: a real Keystone, and who may count what |
//! | [`ports`] | given ports, or usual ones, or free ones |
//! | [`samples`] | the requests it shows, and what each must answer |
//! | [`show`] | asking them, and saying where each answer came from |
//! | [`signals`] | Ctrl-C |

/// Prints a line. A closed standard output ends the demo, and all that runs is stopped: `println` would panic.
macro_rules! out {
    ($($line:tt)*) => { $crate::demo::print(format_args!($($line)*))? };
}

mod cluster;
mod explorer;
mod keystone;
mod ports;
mod samples;
mod show;
mod signals;

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use tempfile::TempDir;
use testkit::count_store::{self, CountStore};
use testkit::envoy::{self, Envoy};
use testkit::envoy_yaml::{self, Places, wait_for_store};
use testkit::postgres::Cluster;
use testkit::{Progress, Result, lock, workspace};

use crate::say;
use explorer::Explorer;
use keystone::Identity;
use ports::{LISTENER, Ports};
use samples::{SAMPLES, Source};
use signals::Signals;

/// Build everything, start the store and Envoy, ask sample requests, and serve until Ctrl-C
///
/// What it needs stands in the README; what is missing is downloaded into target/.
#[derive(Args)]
pub struct Options {
    /// Ask the samples and leave; success only if each answered as expected
    #[arg(long)]
    once: bool,
    /// With a real Keystone that vouches for callers: two users, and who may count what (needs Python 3.11)
    #[arg(long)]
    keystone: bool,
    /// With the rows in PostgreSQL, a primary and two replicas, and two count stores. The primary and a store are killed
    /// while clients ask, and what these saw is judged with the samples
    #[arg(long, conflicts_with = "keystone")]
    cluster: bool,
    /// Where Envoy listens for clients [default: 10000 if it is free]
    #[arg(long)]
    port: Option<u16>,
    /// Where the count store listens, the first if there are two [default: 8080 if it is free]
    #[arg(long)]
    store_port: Option<u16>,
    /// Where Envoy's admin interface listens [default: 9901 if it is free]
    #[arg(long)]
    admin_port: Option<u16>,
}

/// What [`Envoy`] calls its log.
const LOG: &str = "envoy.log";

/// What was built, and what must run before the rest.
struct Built {
    module: PathBuf,
    explorer: Option<Explorer>,
    identity: Option<Identity>,
    cluster: Option<Cluster>,
}

/// The rest. Envoy goes first when it is dropped.
struct Running {
    envoy: Envoy,
    stores: Vec<CountStore>,
    listener: SocketAddr,
}

/// Runs the demo. Ctrl-C is its usual end, and an end of its own kind before it serves.
pub fn run(options: &Options) -> Result<ExitCode> {
    let signals = Signals::listen()?;
    let folder = folder()?;
    let served = build(options).and_then(|built| serve(options, &built, &folder, &signals));
    let Err(error) = served else {
        return Ok(ExitCode::SUCCESS);
    };
    match signals.exit_code() {
        Some(code) => {
            say("\nInterrupted. What was built and downloaded so far is kept.");
            Ok(code)
        }
        None if folder.path().join(LOG).exists() => Err(anyhow!(
            "{error:#}\nEnvoy's log, and the database if it is SQLite's, are left in {}",
            folder.keep().display()
        )),
        None => Err(error),
    }
}

fn print(line: fmt::Arguments) -> Result<()> {
    writeln!(io::stdout(), "{line}").context("printing")
}

/// A folder for the database and Envoy's log, gone when it is dropped: there may be other demos.
fn folder() -> Result<TempDir> {
    let home = home();
    fs::create_dir_all(&home)
        .and_then(|()| tempfile::Builder::new().prefix("demo-").tempdir_in(&home))
        .with_context(|| format!("making a folder in {}", home.display()))
}

fn home() -> PathBuf {
    workspace::target_dir().join("demo")
}

/// All that may take long, after what a person can mend at once.
fn build(options: &Options) -> Result<Built> {
    out!(
        "This builds the filter and a count store, runs them with Envoy, asks samples and {}. Ctrl-C ends it.\n\
         The first time takes minutes: much is compiled, and Envoy is downloaded (37 MB).",
        if options.once { "leaves" } else { "serves" }
    );
    if Ports::choose(options)?.is_unexpected {
        out!(
            "Port {LISTENER} is taken. If it still is after the build, you will be told another. (--port chooses one.)"
        );
    }
    let envoy = envoy::envoy_binary_with(Progress::Shown)?;
    out!("Envoy: {}", envoy.display());
    let explorer = if options.once { None } else { Explorer::fetch()? };
    let identity = options.keystone.then(Identity::start).transpose()?;
    let cluster = options.cluster.then(cluster::start).transpose()?;
    out!("Building the filter …");
    let module = workspace::filter_module_with(Progress::Shown)?;
    out!("Building the count store …");
    workspace::count_store_binary_with(Progress::Shown)?;
    Ok(Built { module, explorer, identity, cluster })
}

fn serve(options: &Options, built: &Built, folder: &TempDir, signals: &Signals) -> Result<()> {
    let Running { envoy, mut stores, listener } = start(options, built, folder.path())?;
    let failed = match (&built.identity, &built.cluster) {
        (Some(identity), _) => identity.samples(listener, &envoy)?,
        (None, None) => show::samples(listener, &envoy, SAMPLES)?,
        (None, Some(_)) => {
            let asked = SAMPLES.iter().filter(|sample| sample.source != Source::Memory);
            show::samples(listener, &envoy, &asked.copied().collect::<Vec<_>>())?
        }
    };
    if failed > 0 {
        bail!("{failed} samples did not answer as expected.");
    }
    // Only a cluster has a store to spare.
    if let Some(cluster) = &built.cluster
        && let Some(store) = stores.pop()
    {
        let address = store.address();
        cluster::kill(cluster, store, listener, signals)?;
        if !options.once {
            stores.push(cluster::restore(cluster, address)?);
        }
    }
    if !options.once {
        out!("Serving on http://{} until Ctrl-C.", listener);
        if built.explorer.is_some() {
            out!("  To try it in a browser: http://{listener}/explorer/");
        }
        out!(
            "  Envoy's log, one line for each request, while it serves: {}",
            envoy.log_path().display()
        );
        out!("  Envoy's admin interface: http://{}", envoy.admin_address());
        if let Some(cluster) = &built.cluster {
            cluster::print_how_to_kill(cluster, &stores)?;
        }
        signals.wait();
        let _ = print(format_args!("\nStopping."));
    }
    Ok(())
}

fn start(options: &Options, built: &Built, folder: &Path) -> Result<Running> {
    let Built { module, explorer, identity, cluster } = built;
    let database = match cluster {
        Some(cluster) => cluster.url().into(),
        None => folder.join("sharings.sqlite").into_os_string(),
    };
    let sharings = match identity {
        Some(identity) => identity.sharings(folder)?,
        None => workspace::root().join("demo/sharings.csv"),
    };
    count_store::load(&database, &sharings, Progress::Shown)?;
    if let Some(cluster) = cluster {
        cluster.wait_until_level()?;
    }
    // From the choice of the ports until they are listened on: Envoys would share a port.
    let _turn = lock(&home().join("lock"))?;
    let Ports { listener, store, admin, is_unexpected } = Ports::choose(options)?;
    if is_unexpected {
        out!(
            "\n*** PORT {LISTENER} IS TAKEN. Where the README says {LISTENER}, use {}. ***\n",
            listener.port()
        );
    }
    out!("Starting the count store on {store} and Envoy on {listener} …");
    let mut stores = vec![CountStore::start(&database, store)?];
    if cluster.is_some() {
        stores.push(CountStore::start(&database, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?);
    }
    let addresses: Vec<SocketAddr> = stores.iter().map(CountStore::address).collect();
    let places = Places { listener, admin, stores: &addresses, backend: store, module };
    let mut yaml = envoy_yaml::with_places(places)?;
    yaml = match (identity, cluster) {
        (Some(identity), _) => identity.configure(&yaml)?,
        // Remembered counts would hide what becomes of the stores. On a busy machine a dead one is ejected after the third callout.
        (None, Some(_)) => yaml.replacen("store: {", "store: {retries: 3, ", 1),
        (None, None) => {
            yaml.replacen("store: {", "cache: {ttl: 60s}\n                    store: {", 1)
        }
    };
    if let Some(explorer) = explorer {
        yaml = explorer.configure(&yaml, &folder.join("without-explorer.yaml"))?;
    }
    let envoy = Envoy::options()
        .log_dir(folder)
        // The access log is buffered; the samples read it to say where an answer came from.
        .arg("--file-flush-interval-msec")
        .arg("50")
        .start(yaml)?;
    wait_for_store(&envoy)?;
    Ok(Running { envoy, stores, listener })
}
