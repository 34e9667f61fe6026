//! Envoy leaves: no more health, no more listeners, no more process.

use std::path::Path;
use std::time::Duration;

use testkit::edge::envoy_config;
use testkit::store::ScriptedStore;
use testkit::{Result, wait_for};

use super::bench::{Bench, LISTENER, only_counts, options, patience, upstream};
use super::row::Row;
use crate::Scale;
use crate::load::{Kind, truth};

/// How long Envoy asks its clients to go.
const DRAIN: u64 = 1;

/// Long enough that there is always something under way.
const STORE: Duration = Duration::from_millis(100);

/// With a timeout that no busy machine reaches.
const PATIENT: &str = r#"{"store": {"cluster": "store", "timeout": "20s"}}"#;

/// The row.
pub fn row(envoy: Option<&Path>, scale: Scale) -> Result<Row> {
    let fault = "Envoy drained and ended".to_owned();
    eprintln!("   {fault}");
    let mut row = Row { fault, ..Row::default() };
    let store = ScriptedStore::start()?;
    store.forget_requests();
    store.set(truth::store().after(STORE));
    let (options, upstream) = (options(envoy).arg("--drain-time-s"), upstream()?);
    let config = envoy_config(&[(LISTENER, PATIENT)], store.address(), upstream.address())?;
    let envoy = options.arg(DRAIN.to_string()).start(&config)?;
    let bench = Bench::around(envoy, upstream, scale)?;
    let loads = bench.load()?;
    let before = loads.run_for(bench.calm());
    row.healthy = before.latency(Kind::Rejection);
    row.all.merge(&before);

    bench.edge.envoy.admin_post("/healthcheck/fail")?;
    row.during.merge(&loads.run_for(bench.calm()));
    bench.edge.envoy.admin_post("/drain_listeners?graceful")?;
    let limit = Duration::from_secs(DRAIN) + patience(scale);
    let refused = wait_for("the listener to close", limit, || {
        row.during.merge(&loads.take());
        (row.during.refused > 0).then_some(())
    });
    if let Err(error) = refused {
        row.failures.push(error.to_string());
    }
    row.during.merge(&loads.run_for(bench.calm()));
    row.open = bench.open_after()?;
    if let Err(error) = bench.edge.check_vms() {
        row.failures.push(error.to_string());
    }
    // From here on connections are refused, so nothing more can be lost.
    row.during.merge(&loads.stop());
    only_counts("meanwhile", &row.during, scale, &mut row.failures);
    row.all.merge(&row.during);
    let cut = bench.excuse_closes(&mut row)?;
    row.expect(cut == 0, format!("Envoy closed {cut} connections with a request in them"));
    bench.edge.envoy.stop()?;
    Ok(row)
}
