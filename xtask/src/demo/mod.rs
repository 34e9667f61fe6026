//! `cargo demo`: the whole thing on this machine, from the sources to a counted request.
//!
//! | module | holds |
//! |---|---|
//! | [`ports`] | given ports, or usual ones, or free ones |
//! | [`samples`] | the requests it shows, and what each must answer |
//! | [`show`] | asking them, and saying where each answer came from |

mod ports;
mod samples;
mod show;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};

use clap::Args;
use testkit::count_store::{self, CountStore};
use testkit::envoy::{self, Envoy};
use testkit::production::{Places, envoy_yaml, wait_for_store};
use testkit::{Error, Progress, Result, workspace};

/// Build everything, start the store and Envoy, ask sample requests, and serve until Ctrl-C
///
/// Needs rustup and Python 3, and nothing else: what is missing is downloaded into target/.
#[derive(Args)]
pub struct Options {
    /// Ask the samples and leave; success only if each answered as expected
    #[arg(long)]
    once: bool,
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

/// Everything that runs. Envoy goes first when it is dropped.
struct Running {
    envoy: Envoy,
    _store: CountStore,
    listener: SocketAddr,
}

/// Runs the demo.
pub fn run(options: &Options) -> Result<()> {
    let interrupted = interruptions()?;
    let running = start(options)?;
    let failed = show::samples(running.listener, &running.envoy)?;
    if failed > 0 {
        return Err(Error::new(format!("{failed} samples did not answer as expected.")));
    }
    if !options.once {
        println!("Serving on http://{} until Ctrl-C.", running.listener);
        println!(
            "  Envoy's log, one line for each request: {}",
            running.envoy.log_path().display()
        );
        println!("  Envoy's admin interface: http://{}", running.envoy.admin_address());
        // An error means that the handler is gone, which ends the demo too.
        let _ = interrupted.recv();
        println!("\nStopping.");
    }
    Ok(())
}

/// A channel that rings at Ctrl-C. A child in the terminal's process group hears it as well, so
/// whatever step the demo is at ends; all of it is cleaned up on the way out.
fn interruptions() -> Result<Receiver<()>> {
    let (ring, interrupted) = mpsc::channel();
    ctrlc::set_handler(move || {
        let _ = ring.send(());
    })
    .map_err(Error::while_doing("listen for Ctrl-C"))?;
    Ok(interrupted)
}

fn start(options: &Options) -> Result<Running> {
    let listener = ports::choose("--port", options.port, 10000)?;
    let store = ports::choose("--store-port", options.store_port, 8080)?;
    let admin = ports::choose("--admin-port", options.admin_port, 9901)?;

    println!("Building the filter and the count store …");
    let module = workspace::filter_module_with(Progress::Shown)?;
    workspace::count_store_binary_with(Progress::Shown)?;
    println!("Looking for Envoy …");
    envoy::envoy_binary_with(Progress::Shown)?;

    let folder = folder()?;
    let database = folder.join("sharings.sqlite");
    count_store::load(&database, &workspace::root().join("demo/sharings.csv"), Progress::Shown)?;
    println!("Starting the count store on {store} and Envoy on {listener} …");
    let _store = CountStore::start(&database, store)?;
    let places = Places { listener, admin, stores: &[store], backend: store, module: &module };
    let envoy = Envoy::options()
        .log_dir(&folder)
        // The access log is buffered; the samples read it to say where an answer came from.
        .arg("--file-flush-interval-msec")
        .arg("50")
        .start(&envoy_yaml(places)?)?;
    wait_for_store(&envoy)?;
    Ok(Running { envoy, _store, listener })
}

/// An empty folder for the database and Envoy's log.
fn folder() -> Result<PathBuf> {
    let folder = workspace::target_dir().join("demo");
    let empty = match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(&folder),
    };
    empty.map_err(Error::while_doing(format!("empty {}", folder.display())))?;
    Ok(folder)
}
