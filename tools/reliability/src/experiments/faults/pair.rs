//! Two stores behind `envoy.yaml` as it ships: what becomes of one, no count may notice.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use testkit::count_store::CountStore;
use testkit::envoy::Options;
use testkit::envoy_yaml::{self, Places};
use testkit::store::ScriptedStore;
use testkit::{Error, PATIENCE, Result, wait_for, workspace};

use super::bench::{Bench, LISTENER, options, upstream};
use super::real::load;
use super::row::{Row, statuses};
use crate::Scale;
use crate::load::{Kind, Load, Mix, truth};

/// Between the restarts of one store and of the other.
const APART: Duration = Duration::from_secs(3);

/// How long the stores of the last row keep an idle connection: about as long as each client rests.
const IDLE: Duration = Duration::from_millis(20);

/// The rows.
pub fn rows(envoy: Option<&Path>, scale: Scale) -> Result<Vec<Row>> {
    let mut rows = real(envoy, scale)?;
    rows.push(idle(envoy, scale)?);
    Ok(rows)
}

fn any() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// `envoy.yaml` in front of these, with the names that [`Bench`] knows.
fn start(options: Options, scale: Scale, stores: &[SocketAddr]) -> Result<Bench> {
    let upstream = upstream()?;
    let places = Places {
        listener: any(),
        admin: any(),
        stores,
        backend: upstream.address(),
        module: &workspace::filter_module()?,
    };
    let yaml = envoy_yaml::with_places(places)?
        .replace("  - name: edge\n", &format!("  - name: {LISTENER}\n"))
        .replace("stat_prefix: edge", &format!("stat_prefix: {LISTENER}"))
        .replace("count_store", "store");
    let bench = Bench::around(options.start(&yaml)?, upstream, scale)?;
    healthy(&bench)?;
    Ok(bench)
}

/// Waits until Envoy asks both stores.
fn healthy(bench: &Bench) -> Result<()> {
    wait_for("both stores to be healthy", PATIENCE, || {
        let healthy = bench.edge.envoy.stat("cluster.store.membership_healthy").ok()?;
        (healthy == 2).then_some(())
    })
}

fn real(envoy: Option<&Path>, scale: Scale) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir().map_err(Error::while_doing("make a temporary folder"))?;
    let database = folder.path().join("sharings.sqlite");
    load(folder.path(), &database)?;
    let one = || CountStore::start(&database, any());
    let stores = [one()?, one()?];
    let addresses = stores.each_ref().map(CountStore::address);
    let stores = stores.map(|store| Cell::new(Some(store)));
    let bench = start(options(envoy), scale, &addresses)?;

    let kill = |number: usize| drop(stores[number].take());
    let restart = |number: usize| -> Result<()> {
        let started = wait_for("the count store's port", PATIENCE, || {
            CountStore::start(&database, addresses[number]).ok()
        });
        stores[number].set(Some(started?));
        Ok(())
    };
    let wait = || std::thread::sleep(APART);
    let rows = vec![
        observe(&bench, "of two count-stores one killed, started again", || {
            kill(0);
            wait();
            restart(0)
        })?,
        observe(&bench, "both restarted, 3 s apart", || {
            kill(0);
            restart(0)?;
            wait();
            healthy(&bench)?;
            kill(1);
            restart(1)
        })?,
    ];
    bench.edge.envoy.stop()?;
    Ok(rows)
}

/// Stores that close a connection just as the next request comes on it.
fn idle(envoy: Option<&Path>, scale: Scale) -> Result<Row> {
    let stores = [ScriptedStore::start()?, ScriptedStore::start()?];
    for store in &stores {
        store.forget_requests();
        store.set(truth::store());
    }
    let bench = start(options(envoy), scale, &stores.each_ref().map(ScriptedStore::address))?;
    let row = observe(&bench, "two stores that close idle connections", || {
        stores.iter().for_each(|store| store.close_idle_connections_after(IDLE));
        wait_for("a request to meet a connection being closed", PATIENCE, || {
            (failed_callouts(&bench).ok()? > 0).then_some(())
        })
    })?;
    bench.edge.envoy.stop()?;
    Ok(row)
}

/// How many callouts met no connection, or one that ended.
fn failed_callouts(bench: &Bench) -> Result<u64> {
    const FAILURES: [&str; 3] = [
        "upstream_rq_pending_failure_eject",
        "upstream_rq_rx_reset",
        "upstream_cx_destroy_remote_with_active_rq",
    ];
    let stat = |name| bench.edge.envoy.stat(&format!("cluster.store.{name}"));
    FAILURES.into_iter().map(stat).sum()
}

/// A steady load of 32 connections, most of which count; and trouble.
fn observe(bench: &Bench, fault: &str, trouble: impl FnOnce() -> Result<()>) -> Result<Row> {
    eprintln!("   {fault}");
    let mut row = Row { fault: fault.to_owned(), ..Row::default() };
    let mix = Mix { counts: 9, rejections: 1, passes: 0, hang_ups: 0 };
    let load = Load { connections: 32, pause: IDLE, mix, ..Load::new(bench.address) };
    let running = load.start()?;
    let before = running.run_for(bench.calm());
    row.healthy = before.latency(Kind::Rejection);
    row.all.merge(&before);
    trouble()?;
    row.during = running.run_for(bench.trouble());
    row.all.merge(&row.during);
    let after = running.run_for(bench.calm());
    row.all.merge(&after);
    row.all.merge(&running.stop());
    let (counts, late) = (row.all.answers(Kind::Count, 200), row.all.answers(Kind::Count, 504));
    let answered: u64 = row.all.statuses(Kind::Count).values().sum();
    let good = match bench.scale {
        // On a busy machine a store may close three connections just as they are asked on, or Envoy eject it
        // too late for the retries of a few.
        Scale::Quick => {
            let missed = answered - counts - late;
            missed * 100 <= answered && missed * 2 <= failed_callouts(bench)?
        }
        Scale::Full => counts == answered,
    };
    row.expect(good && counts > 0, format!("counts were answered {}", statuses(&row.all)));
    bench.finish(&mut row)?;
    Ok(row)
}
