//! Envoy gets another plugin configuration again and again, under load.

use std::path::Path;
use std::time::{Duration, Instant};

use testkit::store::ScriptedStore;
use testkit::{Error, Result, edge, http, wait_for};

use super::bench::{Bench, LISTENER, Loads, only_counts, options, patience, upstream};
use super::row::{Row, short};
use crate::Scale;
use crate::load::{Kind, truth};

/// Seconds in which a replaced listener's connections are closed.
const DRAIN: u64 = 1;

const SUCCESS: &str = "listener_manager.lds.update_success";
const REJECTED: &str = "listener_manager.lds.update_rejected";
const VMS: &str = "wasm.envoy.wasm.runtime.v8.active";

/// The row for one of Envoy's drain strategies, and what else there is to say.
pub fn row(envoy: Option<&Path>, scale: Scale, strategy: &str) -> Result<(Row, String)> {
    let updates: u64 = scale.pick(3, 20);
    let fault = format!("Envoy's configuration replaced {updates} times, {strategy} drain");
    eprintln!("   {fault}");
    let mut row = Row { fault, ..Row::default() };
    let (store, folder) = (ScriptedStore::start()?, tempfile::tempdir());
    let folder = folder.map_err(Error::while_doing("make a temporary folder"))?;
    store.forget_requests();
    store.set(truth::store());
    publish(folder.path(), 0)?;
    let options = options(envoy).arg("--drain-time-s").arg(DRAIN.to_string());
    let (options, upstream) = (options.arg("--drain-strategy").arg(strategy), upstream()?);
    let envoy =
        options.start(edge::listening_to(folder.path(), store.address(), upstream.address()))?;
    let bench = Bench::around(envoy, upstream, scale)?;
    let stat = |name| bench.edge.envoy.stat(name);
    let (accepted, vms) = (stat(SUCCESS)?, stat(VMS)?);

    let loads = bench.load()?;
    let before = loads.run_for(bench.calm());
    row.healthy = before.latency(Kind::Rejection);
    row.all.merge(&before);
    let slowest = replace(&bench, &loads, folder.path(), updates, &mut row)?;
    only_counts("meanwhile", &row.during, scale, &mut row.failures);
    // Until the last replaced listener is gone.
    row.all.merge(&loads.run_for(Duration::from_secs(DRAIN + 1)));

    let taken = stat(SUCCESS)? - accepted;
    refuse(&bench, folder.path(), updates, &mut row)?;
    row.all.merge(&loads.run_for(bench.calm()));
    row.all.merge(&loads.stop());
    row.open = bench.open_after()?;
    let cut = bench.excuse_closes(&mut row)?;
    row.expect(taken == updates, format!("Envoy took {taken} of {updates} updates"));
    // The last replaced listener takes its own with it when it goes.
    let as_before = || stat(VMS).ok().filter(|&after| after == vms);
    let vms_after = wait_for("the VMs to go", patience(scale), as_before).or_else(|_| stat(VMS))?;
    row.expect(vms_after == vms, format!("{vms} VMs became {vms_after}"));
    row.expect(cut == 0, format!("Envoy closed {cut} connections with a request in them"));
    row.expect(row.all.refused == 0, format!("{} connections refused", row.all.refused));
    let text = format!(
        "Envoy took {taken} of {updates} updates, the slowest served {} after the file was there; {} \
         connections were closed, each announced or idle, and {} requests crossed with a close; \
         Envoy itself counts {cut} that it closed with a request in them; {vms} VMs before, {vms_after} \
         after. An update with an invalid \
         configuration was refused, and the one before stayed.",
        short(slowest),
        row.all.closed,
        row.all.crossed,
    );
    bench.edge.envoy.stop()?;
    Ok((row, text))
}

/// Publishes one configuration after the other, and waits until each is served.
fn replace(
    bench: &Bench,
    loads: &Loads,
    folder: &Path,
    updates: u64,
    row: &mut Row,
) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    for number in 1..=updates {
        let start = Instant::now();
        publish(folder, number)?;
        wait_for(&format!("update {number}"), patience(bench.scale), || {
            serves(bench, number).then_some(())
        })?;
        slowest = slowest.max(start.elapsed());
        row.during.merge(&loads.run_for(bench.calm() / 2));
    }
    row.all.merge(&row.during);
    Ok(slowest)
}

/// An update that the filter refuses changes nothing.
fn refuse(bench: &Bench, folder: &Path, last: u64, row: &mut Row) -> Result<()> {
    let rejected = bench.edge.envoy.stat(REJECTED)?;
    edge::publish(folder, LISTENER, r#"{"store": {"cluster": "store", "timeout": "0s"}}"#)?;
    let refused = wait_for("the update to be refused", patience(bench.scale), || {
        (bench.edge.envoy.stat(REJECTED).ok()? > rejected).then_some(())
    });
    if let Err(error) = refused {
        row.failures.push(error.to_string());
    }
    row.expect(serves(bench, last), "a refused update changed the service");
    Ok(())
}

/// Whether a new connection meets the configuration of this number, and no other.
fn serves(bench: &Bench, number: u64) -> bool {
    let path = format!("/v2/p1/os-vendor-backup-sharing/count?status={}", word(number));
    http::request(bench.address, "GET", path, &[]).is_ok_and(|answer| answer.status == 200)
}

/// A status that only one configuration knows. Letters, as the filter wants statuses.
fn word(number: u64) -> String {
    let letter = |digit: u8| char::from(b'a' + digit - b'0');
    format!("only_{}", number.to_string().bytes().map(letter).collect::<String>())
}

fn publish(folder: &Path, number: u64) -> Result<()> {
    let configuration = format!(
        r#"{{"store": {{"cluster": "store", "timeout": "5.{}s"}},
            "filters": {{"statuses": ["available", "error", "{}"]}}}}"#,
        100 + number,
        word(number)
    );
    edge::publish(folder, LISTENER, &configuration)
}
