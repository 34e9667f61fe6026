//! The documented API against programs that nobody here wrote: schemathesis, which makes requests
//! of `openapi.yaml`, and clients of the OpenStack family, which read answers their own way. All
//! ask `envoy.yaml` as it ships.

mod python;
mod questions;
mod schemathesis;

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;
use tempfile::TempDir;
use testkit::count_store::{self, CountStore};
use testkit::{Progress, workspace};

use crate::{Findings, Options, anywhere};

/// Runs schemathesis, then the clients.
pub fn run(options: &Options) -> Result<Findings> {
    let python = python::Python::make()?;
    let mut failures = Vec::new();
    let schemathesis = schemathesis::run(&python, options, &mut failures)?;
    let clients = questions::run(&python, &mut failures)?;
    Findings::new(json!({ "schemathesis": schemathesis, "clients": clients }), failures)
}

/// The folder of the Python programs.
fn folder() -> PathBuf {
    workspace::root().join("tools/lab/clients")
}

/// A count store with the rows of `clients/sharings.csv`, its database in a folder that goes with it; these arguments besides.
fn store(arguments: &[&str]) -> Result<(CountStore, TempDir)> {
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let database = folder.path().join("sharings.sqlite");
    count_store::load(&database, &self::folder().join("sharings.csv"), Progress::Quiet)?;
    Ok((CountStore::start_with(&database, anywhere(), arguments)?, folder))
}
