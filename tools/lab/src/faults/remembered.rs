//! Faults where counts are remembered: nobody may notice a store that fails if counts may be stale, and nobody may get
//! a count that is older than allowed, or another's.

use std::time::Duration;

use anyhow::Result;
use testkit::edge::envoy_config;
use testkit::store::Behaviour;

use super::Setup;
use super::mortal::Mortal;
use super::observation::Observation;
use super::service::LISTENER;
use super::stores::liar;
use crate::load::expected::{self, Changing};
use crate::load::{Kind, Truth, ask_each_count};

const STALE: &str = r#"{"store": {"cluster": "store", "timeout": "0.4s"}, "cache": {"ttl": "0.5s", "stale_if_error": "60s"}}"#;
/// The store is not told who asks, so all whom Keystone vouches for share what is remembered.
const SHARED: &str = r#"{"store": {"cluster": "store", "timeout": "0.4s", "forward_headers": []}, "cache": {"ttl": "0.5s"}, "auth": {"mode": "keystone", "keystone": {"cluster": "keystone", "timeout": "0.4s", "remember": "0.05s"}}}"#;
const TTL: Duration = Duration::from_millis(500);

/// One worker, which has each count before the fault.
pub fn stale(setup: Setup) -> Result<Vec<Observation>> {
    let store = Mortal::start(expected::store())?;
    let upstream = expected::scripted(expected::upstream())?;
    let config = envoy_config(&[(LISTENER, STALE)], store.address, upstream.address())?;
    let mut service = setup.around(setup.envoy().concurrency(1).start(config)?, upstream)?;
    service.truth.remembered = Some(TTL + Duration::from_secs(60));
    let observe = |fault, inflict: &dyn Fn() -> Result<()>, mend: &dyn Fn() -> Result<()>| {
        ask_each_count(service.address)?;
        let mut seen = service.observe(fault, inflict, mend)?;
        let oldest = seen.during.oldest;
        seen.expect(oldest > 0, "no count was stale");
        anyhow::Ok(seen)
    };
    // No count may notice.
    let counted = |mut seen: Observation| {
        let (answered, statuses) = seen.during.statuses(Kind::Count);
        let counted = seen.during.answers(Kind::Count, 200);
        seen.expect(counted == answered, format!("meanwhile, counts were answered {statuses:?}"));
        seen
    };
    let (mend, restart) = (|| store.set(expected::store()), || store.restart(expected::store()));
    let killed = "store killed, started again; counts are remembered, and may be stale";
    let mut seen = vec![counted(observe(killed, &|| store.kill(), &restart)?)];
    if !setup.options.quick {
        let hangs = "the same, store answers nothing";
        seen.push(counted(observe(hangs, &|| store.set(Behaviour::Hang), &mend)?));
        // Some lies are a 4xx, which takes the count back.
        seen.push(observe("the same, store lies every other time", &|| store.set(liar()), &mend)?);
    }
    service.edge.envoy.stop()?;
    Ok(seen)
}

/// Counts that change, and callers who may not have them.
pub fn shared(setup: Setup) -> Result<Vec<Observation>> {
    let changing = Changing::every(TTL / 2);
    let store = Mortal::start(changing.store())?;
    let keystone = Mortal::start(expected::keystone())?;
    let mut service = setup.start_with_keystone(SHARED, store.address, keystone.address)?;
    service.truth = Truth { remembered: Some(TTL), changing: Some(changing) };
    let fault = "Keystone killed, started again; counts change, and are remembered for all callers";
    let restart = || keystone.restart(expected::keystone());
    let mut seen = vec![service.observe(fault, || keystone.kill(), restart)?];
    if !setup.options.quick {
        let restart = || store.restart(changing.store());
        let fault = "the same, the store killed, started again";
        seen.push(service.observe(fault, || store.kill(), restart)?);
    }
    for seen in &mut seen {
        seen.expect(seen.all.remembered > 0, "no count was remembered");
    }
    service.edge.envoy.stop()?;
    Ok(seen)
}
