//! `cargo demo`: from the sources to a counted request.
//!
//! | module | holds |
//! |---|---|
//! | [`keystone`] | `--keystone`: a real Keystone, and who may count what |
//! | [`ports`] | given ports, or usual ones, or free ones |
//! | [`samples`] | the requests it shows, and what each must answer |
//! | [`show`] | asking them, and saying where each answer came from |
//! | [`signals`] | Ctrl-C |

/// Prints a line. A closed standard output ends the demo, and all that runs is stopped: `println` would panic.
macro_rules! out {
    ($($line:tt)*) => { $crate::demo::print(format_args!($($line)*))? };
}

mod keystone;
mod ports;
mod samples;
mod show;
mod signals;

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use tempfile::TempDir;
use testkit::count_store::{self, CountStore};
use testkit::envoy::{self, Envoy};
use testkit::envoy_yaml::{self, Places, wait_for_store};
use testkit::{Progress, Result, lock, workspace};

use crate::say;
use keystone::Identity;
use ports::{LISTENER, Ports};
use samples::SAMPLES;
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
    /// Where Envoy listens for clients [default: 10000 if it is free]
    #[arg(long)]
    port: Option<u16>,
    /// Where the count store listens [default: 8080 if it is free]
    #[arg(long)]
    store_port: Option<u16>,
    /// Where Envoy's admin interface listens [default: 9901 if it is free]
    #[arg(long)]
    admin_port: Option<u16>,
}

/// What [`Envoy`] calls its log.
const LOG: &str = "envoy.log";

/// Everything that runs. Envoy goes first when it is dropped.
struct Running {
    envoy: Envoy,
    _store: CountStore,
    listener: SocketAddr,
}

/// Runs the demo. Ctrl-C is its usual end, and an end of its own kind before it serves.
pub fn run(options: &Options) -> Result<ExitCode> {
    let signals = Signals::listen()?;
    let folder = folder()?;
    let served = build(options).and_then(|(module, identity)| {
        serve(options, &module, identity.as_ref(), &folder, &signals)
    });
    let Err(error) = served else {
        return Ok(ExitCode::SUCCESS);
    };
    match signals.exit_code() {
        Some(code) => {
            say("\nInterrupted. What was built and downloaded so far is kept.");
            Ok(code)
        }
        None if folder.path().join(LOG).exists() => Err(anyhow!(
            "{error:#}\nEnvoy's log and the store's database are left in {}",
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
fn build(options: &Options) -> Result<(PathBuf, Option<Identity>)> {
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
    let identity = options.keystone.then(Identity::start).transpose()?;
    out!("Building the filter …");
    let module = workspace::filter_module_with(Progress::Shown)?;
    out!("Building the count store …");
    workspace::count_store_binary_with(Progress::Shown)?;
    Ok((module, identity))
}

fn serve(
    options: &Options,
    module: &Path,
    identity: Option<&Identity>,
    folder: &TempDir,
    signals: &Signals,
) -> Result<()> {
    let Running { envoy, listener, .. } = &start(options, module, identity, folder.path())?;
    let failed = match identity {
        Some(identity) => identity.samples(*listener, envoy)?,
        None => show::samples(*listener, envoy, SAMPLES)?,
    };
    if failed > 0 {
        bail!("{failed} samples did not answer as expected.");
    }
    if !options.once {
        out!("Serving on http://{} until Ctrl-C.", listener);
        out!(
            "  Envoy's log, one line for each request, while it serves: {}",
            envoy.log_path().display()
        );
        out!("  Envoy's admin interface: http://{}", envoy.admin_address());
        signals.wait();
        let _ = print(format_args!("\nStopping."));
    }
    Ok(())
}

fn start(
    options: &Options,
    module: &Path,
    identity: Option<&Identity>,
    folder: &Path,
) -> Result<Running> {
    let database = folder.join("sharings.sqlite");
    let sharings = match identity {
        Some(identity) => identity.sharings(folder)?,
        None => workspace::root().join("demo/sharings.csv"),
    };
    count_store::load(&database, &sharings, Progress::Shown)?;
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
    let _store = CountStore::start(&database, store)?;
    let places = Places { listener, admin, stores: &[store], backend: store, module };
    let mut yaml = envoy_yaml::with_places(places)?;
    yaml = match identity {
        Some(identity) => identity.configure(&yaml)?,
        None => yaml.replacen("store: {", "cache: {ttl: 60s}\n                    store: {", 1),
    };
    let envoy = Envoy::options()
        .log_dir(folder)
        // The access log is buffered; the samples read it to say where an answer came from.
        .arg("--file-flush-interval-msec")
        .arg("50")
        .start(yaml)?;
    wait_for_store(&envoy)?;
    Ok(Running { envoy, _store, listener })
}
