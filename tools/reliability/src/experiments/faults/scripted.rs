//! Stores that are slow, break off, flood and lie.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::Result;
use testkit::store::{Behaviour, Request, ScriptedStore};

use super::bench::{Bench, LIMITS, TIMEOUT, options};
use super::row::Row;
use crate::Scale;
use crate::load::truth;

/// One row for each fault, all with one Envoy; then one with an Envoy without [`LIMITS`].
pub fn rows(envoy: Option<&Path>, scale: Scale) -> Result<Vec<Row>> {
    let mut rows = with(envoy, scale, LIMITS, faults())?;
    let fault = ("the same, Envoy's limit left at 32 MiB", without_end());
    let place = rows.len() - 1;
    rows.splice(place..place, with(envoy, scale, None, vec![fault])?);
    Ok(rows)
}

fn with(
    envoy: Option<&Path>,
    scale: Scale,
    limit: Option<u32>,
    faults: Vec<(&str, Behaviour)>,
) -> Result<Vec<Row>> {
    let store = ScriptedStore::start()?;
    store.forget_requests();
    store.set(truth::store());
    let bench = Bench::start(options(envoy), scale, store.address(), limit)?;
    let mut rows = Vec::new();
    for (fault, behaviour) in faults {
        let set = |behaviour| {
            store.set(behaviour);
            Ok(())
        };
        rows.push(bench.observe(fault, || set(behaviour), || set(truth::store()))?);
    }
    bench.edge.envoy.stop()?;
    Ok(rows)
}

fn faults() -> Vec<(&'static str, Behaviour)> {
    vec![
        ("store slower than the timeout", truth::store().after(TIMEOUT * 2)),
        ("store resets before the head", Behaviour::ResetBeforeHeaders),
        ("store resets after the head", Behaviour::ResetAfterHeaders),
        ("store closes within the body", Behaviour::Truncate),
        ("store sends 4 MiB", Behaviour::Flood { bytes: 4 << 20 }),
        ("store sends without end", without_end()),
        ("store lies every other time", liar()),
    ]
}

fn without_end() -> Behaviour {
    Behaviour::Flood { bytes: usize::MAX }
}

/// Truthful and one lie after the other, in turns.
fn liar() -> Behaviour {
    let asked = AtomicUsize::new(0);
    Behaviour::by_request(move |request| {
        let turn = asked.fetch_add(1, Ordering::Relaxed);
        let lies = lies(request);
        match turn % 2 {
            0 => truth::answer(request),
            _ => lies[turn / 2 % lies.len()].clone(),
        }
    })
}

/// None of these is a count.
fn lies(request: &Request) -> Vec<Behaviour> {
    let truth = truth::count(&request.target_text()).unwrap_or_default();
    let told = format!("{{\"count\":{truth}}}");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
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
        Behaviour::Garbage(format!("{head}content-length: 2\r\n\r\n{told}").into()),
        Behaviour::Garbage(
            format!("{head}content-length: {length}\r\ncontent-length: 2\r\n\r\n{told}").into(),
        ),
        Behaviour::Garbage(
            format!("{head}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{told}").into(),
        ),
        Behaviour::Garbage(format!("{head}content-length: many\r\n\r\n{told}").into()),
        // A true answer and, unasked, one for whoever comes next.
        Behaviour::Garbage(
            format!(
                "{head}content-length: {length}\r\n\r\n{told}\
                 {head}content-length: 14\r\n\r\n{{\"count\":4242}}"
            )
            .into(),
        ),
    ]);
    lies
}
