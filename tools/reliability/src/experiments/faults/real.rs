//! The real count store: killed, and stopped in its tracks.

use std::cell::Cell;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use testkit::count_store::{self, CountStore};
use testkit::{Error, PATIENCE, Progress, Result, wait_for};

use super::bench::{Bench, LIMITS, options};
use super::row::Row;
use crate::Scale;
use crate::load::truth;

/// One row for each fault, all with one Envoy.
pub fn rows(envoy: Option<&Path>, scale: Scale) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir().map_err(Error::while_doing("make a temporary folder"))?;
    let database = folder.path().join("sharings.sqlite");
    load(folder.path(), &database)?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let store = CountStore::start(&database, any)?;
    let address = store.address();
    let bench = Bench::start(options(envoy), scale, address, LIMITS)?;

    let store = Cell::new(Some(store));
    let kill = || {
        drop(store.take());
        Ok(())
    };
    let restart = || {
        // A client of the load may hold the port for a moment.
        let started = wait_for("the count store's port", PATIENCE, || {
            CountStore::start(&database, address).ok()
        });
        store.set(Some(started?));
        Ok(())
    };
    let signal = |signal: fn(&CountStore) -> Result<()>| {
        let running = store.take();
        let sent = running.as_ref().map_or(Ok(()), signal);
        store.set(running);
        sent
    };
    let rows = vec![
        bench.observe("count-store killed, started again", kill, restart)?,
        bench.observe(
            "count-store stopped, continued",
            || signal(CountStore::pause),
            || signal(CountStore::resume),
        )?,
    ];
    bench.edge.envoy.stop()?;
    Ok(rows)
}

/// Makes a database of what the load knows.
pub fn load(folder: &Path, database: &Path) -> Result<()> {
    let rows = folder.join("sharings.csv");
    fs::write(&rows, truth::csv()).map_err(Error::while_doing("write the rows"))?;
    count_store::load(database, &rows, Progress::Quiet)
}
