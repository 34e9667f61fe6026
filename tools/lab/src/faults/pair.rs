//! Two stores behind `envoy.yaml` as it ships: what becomes of one, no count may notice.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use testkit::count_store::CountStore;
use testkit::store::ScriptedStore;
use testkit::{PATIENCE, wait_for};

use super::Setup;
use super::observation::Observation;
use super::service::{LISTENER, Service};
use crate::load::{Kind, Load, Mix, expected};
use crate::{anywhere, shipped};

/// Between the restarts of one store and of the other.
const APART: Duration = Duration::from_secs(3);

/// How long the stores of the last row keep an idle connection: about as long as each client rests.
const IDLE: Duration = Duration::from_millis(20);

/// Real stores, then scripted ones.
pub fn observe_all(setup: Setup) -> Result<Vec<Observation>> {
    let mut seen = real(setup)?;
    seen.push(idle(setup)?);
    Ok(seen)
}

/// `envoy.yaml` in front of these, with the names that [`Service`] knows.
fn start<'a>(setup: Setup<'a>, stores: &[SocketAddr]) -> Result<Service<'a>> {
    let upstream = expected::scripted(expected::upstream())?;
    let yaml = shipped(stores, upstream.address())?
        .replace("  - name: edge\n", &format!("  - name: {LISTENER}\n"))
        .replace("stat_prefix: edge", &format!("stat_prefix: {LISTENER}"))
        .replace("count_store", "store");
    let service = setup.around(setup.envoy().start(&yaml)?, upstream)?;
    healthy(&service)?;
    Ok(service)
}

/// Waits until Envoy asks both stores.
fn healthy(service: &Service) -> Result<()> {
    wait_for("both stores to be healthy", PATIENCE, || {
        let healthy = service.edge.envoy.stat("cluster.store.membership_healthy").ok()?;
        (healthy == 2).then_some(())
    })
}

fn real(setup: Setup) -> Result<Vec<Observation>> {
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let database = expected::database(folder.path())?;
    let one = || CountStore::start(&database, anywhere());
    let stores = [one()?, one()?];
    let addresses = stores.each_ref().map(CountStore::address);
    let stores = stores.map(|store| Cell::new(Some(store)));
    let service = start(setup, &addresses)?;

    let kill = |number: usize| drop(stores[number].take());
    let restart = |number: usize| -> Result<()> {
        let started = wait_for("the count store's port", PATIENCE, || {
            CountStore::start(&database, addresses[number]).ok()
        });
        stores[number].set(Some(started?));
        Ok(())
    };
    let wait = || std::thread::sleep(APART);
    let seen = vec![
        observe(&service, "of two count-stores one killed, started again", || {
            kill(0);
            wait();
            restart(0)
        })?,
        observe(&service, "both restarted, 3 s apart", || {
            kill(0);
            restart(0)?;
            wait();
            healthy(&service)?;
            kill(1);
            restart(1)
        })?,
    ];
    service.edge.envoy.stop()?;
    Ok(seen)
}

/// Stores that close a connection just as the next request comes on it.
fn idle(setup: Setup) -> Result<Observation> {
    let one = || expected::scripted(expected::store());
    let stores = [one()?, one()?];
    let service = start(setup, &stores.each_ref().map(ScriptedStore::address))?;
    let seen = observe(&service, "two stores that close idle connections", || {
        stores.iter().for_each(|store| store.close_idle_connections_after(IDLE));
        wait_for("a request to meet a connection being closed", PATIENCE, || {
            (failed_callouts(&service).ok()? > 0).then_some(())
        })
    })?;
    service.edge.envoy.stop()?;
    Ok(seen)
}

/// How many callouts met no connection, or one that ended.
fn failed_callouts(service: &Service) -> testkit::Result<u64> {
    const FAILURES: [&str; 3] = [
        "upstream_rq_pending_failure_eject",
        "upstream_rq_rx_reset",
        "upstream_cx_destroy_remote_with_active_rq",
    ];
    let stat = |name| service.edge.envoy.stat(&format!("cluster.store.{name}"));
    FAILURES.into_iter().map(stat).sum()
}

/// A steady load of 32 connections, most of which count; and trouble.
fn observe(
    service: &Service,
    fault: &str,
    trouble: impl FnOnce() -> Result<()>,
) -> Result<Observation> {
    eprintln!("   {fault}");
    let mix = Mix { counts: 9, rejections: 1, passes: 0, hang_ups: 0, strangers: 0 };
    let load = Load { connections: 32, pause: IDLE, mix, ..Load::new(service.address) };
    let loads = load.start()?;
    let mut seen = Observation::begin(fault, &loads.run_for(service.calm_time()));
    trouble()?;
    seen.meanwhile(&loads.run_for(service.trouble_time()));
    seen.all.merge(&loads.run_for(service.calm_time()));
    seen.all.merge(&loads.stop());
    let (counts, late) = (seen.all.answers(Kind::Count, 200), seen.all.answers(Kind::Count, 504));
    let (answered, statuses) = seen.all.statuses(Kind::Count);
    let good = if service.options.quick {
        // On a busy machine a store may close three connections just as they are asked on, or Envoy eject it
        // too late for the retries of a few.
        let missed = answered - counts - late;
        missed * 100 <= answered && missed * 2 <= failed_callouts(service)?
    } else {
        counts == answered
    };
    seen.expect(good && counts > 0, format!("counts were answered {statuses:?}"));
    service.look_back(&mut seen)?;
    Ok(seen)
}
