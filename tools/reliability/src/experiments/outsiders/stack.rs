//! `envoy.yaml` as it ships, before a store.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use testkit::count_store::{self, CountStore};
use testkit::envoy::Envoy;
use testkit::envoy_yaml::{self, Places, wait_for_store};
use testkit::ports::free_port;
use testkit::{Error, Progress, Result, workspace};

use super::environment::clients;

/// An Envoy before a store; the store is the caller's.
pub struct Stack {
    envoy: Envoy,
    /// Where clients connect.
    pub listener: SocketAddr,
}

/// The files whose rows the store has: the demo's, and names that are hard to put into a query.
pub fn rows() -> [PathBuf; 2] {
    [workspace::root().join("demo/sharings.csv"), clients().join("sharings.csv")]
}

/// A count store with [`rows`], its database in `folder`; these arguments besides.
pub fn store(folder: &TempDir, arguments: &[&str]) -> Result<CountStore> {
    let database = folder.path().join(format!("{}.sqlite", arguments.len()));
    for rows in rows() {
        count_store::load(&database, &rows, Progress::Quiet)?;
    }
    CountStore::start_with(&database, free_address()?, arguments)
}

/// A folder that goes when it is dropped.
pub fn folder() -> Result<TempDir> {
    tempfile::tempdir().map_err(Error::while_doing("make a temporary folder"))
}

fn free_address() -> Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)))
}

// === impl Stack ===

impl Stack {
    /// Starts Envoy, and waits until it has seen the store healthy.
    pub fn start(store: SocketAddr) -> Result<Self> {
        let module = workspace::filter_module()?;
        let (listener, admin) = (free_address()?, free_address()?);
        let places = Places { listener, admin, stores: &[store], backend: store, module: &module };
        let options = Envoy::options().arg("--file-flush-interval-msec").arg("50");
        let envoy = options.start(&envoy_yaml::with_places(places)?)?;
        wait_for_store(&envoy)?;
        Ok(Self { envoy, listener })
    }

    /// Ends Envoy, and says how often the access log names each `answered_by` and status.
    pub fn stop(self) -> Result<BTreeMap<(String, u64), usize>> {
        let log = self.envoy.stop()?;
        let mut answers = BTreeMap::new();
        for line in log.lines().filter(|line| line.starts_with('{')) {
            let line: Value = serde_json::from_str(line)
                .map_err(Error::while_doing("understand a line of the access log"))?;
            let by = line["answered_by"].as_str().unwrap_or("nobody").to_owned();
            *answers.entry((by, line["status"].as_u64().unwrap_or_default())).or_default() += 1;
        }
        Ok(answers)
    }
}

/// Reads a file as text.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::while_doing(format!("read {}", path.display())))
}
