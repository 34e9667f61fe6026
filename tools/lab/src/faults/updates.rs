//! Envoy gets another plugin configuration again and again, under load.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testkit::{edge, http, wait_for};

use super::Setup;
use super::observation::{Observation, Updates, unless_only_counts};
use super::service::{LISTENER, Service, patience};
use crate::load::{Running, expected};
use crate::millis;

const SUCCESS: &str = "listener_manager.lds.update_success";
const REJECTED: &str = "listener_manager.lds.update_rejected";
const VMS: &str = "wasm.envoy.wasm.runtime.v8.active";

/// With one of Envoy's drain strategies.
pub fn observe(setup: Setup, strategy: &'static str) -> Result<Observation> {
    let published: u64 = setup.options.pick(3, 20);
    // Seconds in which a replaced listener's connections are closed; a busy machine must get to each meanwhile.
    let drain: u64 = setup.options.pick(3, 1);
    let fault = format!("Envoy's configuration replaced {published} times, {strategy} drain");
    eprintln!("   {fault}");
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let store = expected::scripted(expected::store())?;
    let upstream = expected::scripted(expected::upstream())?;
    publish(folder.path(), 0)?;
    let envoy = setup.envoy().arg("--drain-time-s").arg(drain.to_string());
    let envoy = envoy.arg("--drain-strategy").arg(strategy);
    let config = edge::listening_to(folder.path(), store.address(), upstream.address());
    let service = setup.around(envoy.start(config)?, upstream)?;
    let stat = |name| service.edge.envoy.stat(name);
    let (accepted, vms_before) = (stat(SUCCESS)?, stat(VMS)?);

    let loads = service.load()?;
    let mut seen = Observation::begin(&fault, &loads.run_for(service.calm_time()));
    let slowest = replace(&service, &loads, folder.path(), published, &mut seen)?;
    seen.failures.extend(unless_only_counts("meanwhile", &seen.during, setup.options));
    // Until the last replaced listener is gone.
    seen.all.merge(&loads.run_for(Duration::from_secs(drain + 1)));

    let taken = stat(SUCCESS)? - accepted;
    let invalid_refused = refuse(&service, folder.path(), published)?;
    seen.all.merge(&loads.run_for(service.calm_time()));
    seen.all.merge(&loads.stop());
    seen.figures.open_after = service.open_after()?;
    let cut = service.excuse_closes(&mut seen)?;
    // The last replaced listener takes its own with it when it goes.
    let as_before = || stat(VMS).ok().filter(|&after| after == vms_before);
    let vms_after = wait_for("the VMs to go", patience(setup.options), as_before);
    let vms_after = vms_after.or_else(|_| stat(VMS))?;
    seen.expect(taken == published, format!("Envoy took {taken} of {published} updates"));
    seen.expect(invalid_refused, "an invalid update was taken, or changed the service");
    seen.expect(vms_after == vms_before, format!("{vms_before} VMs became {vms_after}"));
    let refused = seen.all.refused;
    seen.expect(refused == 0, format!("{refused} connections refused"));
    let (slowest, connections_closed) = (millis(slowest), seen.all.closed);
    seen.figures.updates = Some(Updates {
        strategy,
        published,
        taken,
        slowest,
        connections_closed,
        cut,
        vms_before,
        vms_after,
        invalid_refused,
    });
    service.edge.envoy.stop()?;
    Ok(seen)
}

/// Publishes one configuration after the other, and waits until each is served.
fn replace(
    service: &Service,
    loads: &Running,
    folder: &Path,
    updates: u64,
    seen: &mut Observation,
) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    for number in 1..=updates {
        let start = Instant::now();
        publish(folder, number)?;
        wait_for(&format!("update {number}"), patience(service.options), || {
            serves(service, number).then_some(())
        })?;
        slowest = slowest.max(start.elapsed());
        seen.meanwhile(&loads.run_for(service.calm_time() / 2));
    }
    Ok(slowest)
}

/// Whether an update that the filter refuses changes nothing.
fn refuse(service: &Service, folder: &Path, last: u64) -> Result<bool> {
    let rejected = service.edge.envoy.stat(REJECTED)?;
    let invalid = r#"{"store": {"cluster": "store", "timeout": "0s"}}"#;
    edge::publish(folder, &[(LISTENER, invalid)])?;
    let refused = wait_for("the update to be refused", patience(service.options), || {
        (service.edge.envoy.stat(REJECTED).ok()? > rejected).then_some(())
    });
    Ok(refused.is_ok() && serves(service, last))
}

/// Whether a new connection meets the configuration of this number, and no other.
fn serves(service: &Service, number: u64) -> bool {
    let path = format!("/v2/p1/os-vendor-backup-sharing/count?status={}", word(number));
    http::request(service.address, "GET", path, &[]).is_ok_and(|answer| answer.status == 200)
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
    edge::publish(folder, &[(LISTENER, &configuration)])
}
