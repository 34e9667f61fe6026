//! Faults of the only store: the real one killed and stopped in its tracks; scripted ones that are slow, break
//! off, flood and lie.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use testkit::count_store::CountStore;
use testkit::store::{Behaviour, Request};
use testkit::{PATIENCE, wait_for};

use super::Setup;
use super::observation::{Observation, TIMEOUT};
use super::service::LIMITS;
use crate::anywhere;
use crate::load::expected;

/// The real count store, all with one Envoy.
pub fn real(setup: Setup) -> Result<Vec<Observation>> {
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    let database = expected::database(folder.path())?;
    let store = CountStore::start(&database, anywhere())?;
    let address = store.address();
    let service = setup.start(address, LIMITS)?;

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
    let signal = |signal: fn(&CountStore) -> testkit::Result<()>| {
        let running = store.take();
        let sent = running.as_ref().map_or(Ok(()), signal);
        store.set(running);
        sent
    };
    let seen = vec![
        service.observe("count-store killed, started again", kill, restart)?,
        service.observe(
            "count-store stopped, continued",
            || signal(CountStore::pause),
            || signal(CountStore::resume),
        )?,
    ];
    service.edge.envoy.stop()?;
    Ok(seen)
}

/// Scripted stores that are slow or break off, all with one Envoy.
pub fn broken(setup: Setup) -> Result<Vec<Observation>> {
    let faults = vec![
        ("store slower than the timeout", expected::store().after(TIMEOUT * 2)),
        ("store resets before the headers", Behaviour::ResetBeforeHeaders),
        ("store resets after the headers", Behaviour::ResetAfterHeaders),
        ("store closes within the body", Behaviour::Truncate),
    ];
    with(setup, LIMITS, faults)
}

/// Scripted stores that flood, the worst of them also with an Envoy without [`LIMITS`]; and one that lies.
pub fn flooding_and_lying(setup: Setup) -> Result<Vec<Observation>> {
    let without_end = || Behaviour::Flood { bytes: usize::MAX };
    let flooding = vec![
        ("store sends 4 MiB", Behaviour::Flood { bytes: 4 << 20 }),
        ("store sends without end", without_end()),
    ];
    let mut seen = with(setup, LIMITS, flooding)?;
    let unlimited = ("the same, Envoy's limit left at 32 MiB", without_end());
    seen.extend(with(setup, None, vec![unlimited])?);
    seen.extend(with(setup, LIMITS, vec![("store lies every other time", liar())])?);
    Ok(seen)
}

fn with(
    setup: Setup,
    limit: Option<u32>,
    faults: Vec<(&str, Behaviour)>,
) -> Result<Vec<Observation>> {
    let store = expected::scripted(expected::store())?;
    let service = setup.start(store.address(), limit)?;
    let set = |behaviour| {
        store.set(behaviour);
        Ok(())
    };
    let observe =
        |(fault, behaviour)| service.observe(fault, || set(behaviour), || set(expected::store()));
    let seen = faults.into_iter().map(observe).collect::<Result<_>>()?;
    service.edge.envoy.stop()?;
    Ok(seen)
}

/// Truthful and one lie after the other, in turns.
pub fn liar() -> Behaviour {
    let asked = AtomicUsize::new(0);
    Behaviour::by_request(move |request| {
        let turn = asked.fetch_add(1, Ordering::Relaxed);
        let lies = lies(request);
        match turn % 2 {
            0 => expected::answer(request),
            _ => lies[turn / 2 % lies.len()].clone(),
        }
    })
}

/// None of these is a count.
fn lies(request: &Request) -> Vec<Behaviour> {
    let truth = expected::count(&request.target_text()).unwrap_or_default();
    let told = format!("{{\"count\":{truth}}}");
    let headers = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let length = told.len();
    let mut lies: Vec<Behaviour> = [
        "{\"count\":1.5}".to_owned(),
        "{\"count\":-1}".to_owned(),
        format!("{{\"count\":\"{truth}\"}}"),
        format!("{{\"count\":{truth},\"count\":{}}}", truth + 1),
        "{\"count\":9223372036854775808}".to_owned(),
        "{\"count\":null}".to_owned(),
        format!("{{\"counts\":{truth}}}"),
        format!("{told}{told}"),
        format!("[{told}]"),
        String::new(),
    ]
    .map(|body| Behaviour::json(200, body))
    .into();
    lies.extend([
        Behaviour::json(201, told.clone()),
        Behaviour::status(204),
        Behaviour::json(302, told.clone()),
        Behaviour::status(304),
        Behaviour::json(418, told.clone()),
        Behaviour::Garbage(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".into()),
        // Framing: too short, contradictory, not a number.
        Behaviour::Garbage(format!("{headers}content-length: 2\r\n\r\n{told}").into()),
        Behaviour::Garbage(
            format!("{headers}content-length: {length}\r\ncontent-length: 2\r\n\r\n{told}").into(),
        ),
        Behaviour::Garbage(
            format!("{headers}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{told}")
                .into(),
        ),
        Behaviour::Garbage(format!("{headers}content-length: many\r\n\r\n{told}").into()),
        // A true answer and, unasked, one for whoever comes next.
        Behaviour::Garbage(
            format!(
                "{headers}content-length: {length}\r\n\r\n{told}\
                 {headers}content-length: 14\r\n\r\n{{\"count\":4242}}"
            )
            .into(),
        ),
    ]);
    lies
}
