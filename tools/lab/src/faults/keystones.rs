//! Faults of Keystone, which the filter asks about each caller: killed, stopped in its tracks, slow, broken off, flooding
//! and lying. The store is in order.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use testkit::store::Behaviour;

use super::Setup;
use super::mortal::Mortal;
use super::observation::{Observation, TIMEOUT};
use super::service::CALLERS;
use crate::load::expected;

/// All with one Envoy.
pub fn observe_all(setup: Setup) -> Result<Vec<Observation>> {
    let store = expected::scripted(expected::store())?;
    let keystone = Mortal::start(expected::keystone())?;
    let service = setup.start_with_keystone(CALLERS, store.address(), keystone.address)?;
    let restart = || keystone.restart(expected::keystone());
    let killed = "Keystone killed, started again";
    let mut seen = vec![service.observe(killed, || keystone.kill(), restart)?];
    // The quick form takes the first few.
    let faults = [
        ("Keystone answers nothing", Behaviour::Hang),
        ("Keystone resets after the headers", Behaviour::ResetAfterHeaders),
        ("Keystone says what is no answer", nonsense()),
        ("Keystone slower than the timeout", expected::keystone().after(TIMEOUT * 2)),
        ("Keystone takes 0.1 s", expected::keystone().after(TIMEOUT / 4)),
        ("Keystone resets before the headers", Behaviour::ResetBeforeHeaders),
        ("Keystone closes within the body", Behaviour::Truncate),
        ("Keystone sends 4 MiB", Behaviour::Flood { bytes: 4 << 20 }),
        ("Keystone says 500 to all", Behaviour::status(500)),
    ];
    for (fault, behaviour) in faults.into_iter().take(setup.options.pick(3, usize::MAX)) {
        let mend = || keystone.set(expected::keystone());
        seen.push(service.observe(fault, || keystone.set(behaviour), mend)?);
    }
    service.edge.envoy.stop()?;
    Ok(seen)
}

/// One after the other; nothing of this tells who a caller is.
fn nonsense() -> Behaviour {
    const TIME: &str = r#""expires_at":"2100-01-01T00:00:00Z""#;
    let mut said: Vec<Behaviour> = [
        "{}".to_owned(),
        "null".to_owned(),
        r#"{"token":{}}"#.to_owned(),
        r#"{"token":{"project":{"id":"p37"}}}"#.to_owned(),
        r#"{"token":{"project":{"id":"p37"},"expires_at":"never"}}"#.to_owned(),
        format!(r#"{{"token":{{"project":"p37",{TIME}}}}}"#),
        format!(r#"{{"token":{{"project":{{"id":37}},{TIME}}}}}"#),
        format!(r#"{{"token":{{{TIME},{TIME}}}}}"#),
        format!(r#"{{"token":{{{TIME}}}}}{{"token":{{{TIME}}}}}"#),
        format!(r#"[{{"token":{{{TIME}}}}}]"#),
        "[".repeat(70_000),
    ]
    .map(|body| Behaviour::json(200, body))
    .into();
    said.extend([
        Behaviour::status(204),
        Behaviour::status(302),
        Behaviour::json(404, "<html>"),
        Behaviour::status(418),
        Behaviour::Garbage(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".into()),
    ]);
    let asked = AtomicUsize::new(0);
    Behaviour::by_request(move |_| said[asked.fetch_add(1, Ordering::Relaxed) % said.len()].clone())
}
