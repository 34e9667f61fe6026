//! Envoy leaves: no more health, no more listeners, no more process.

use std::time::Duration;

use anyhow::Result;
use testkit::edge::envoy_config;
use testkit::wait_for;

use super::Setup;
use super::observation::{Observation, unless_only_counts};
use super::service::{LISTENER, patience};
use crate::load::expected;

/// How long Envoy asks its clients to go, in seconds.
const DRAIN: u64 = 1;

/// Long enough that there is always something under way.
const STORE: Duration = Duration::from_millis(100);

/// With a timeout that no busy machine reaches.
const PATIENT: &str = r#"{"store": {"cluster": "store", "timeout": "20s"}}"#;

/// Does it.
pub fn observe(setup: Setup) -> Result<Observation> {
    let fault = "Envoy drained and ended";
    eprintln!("   {fault}");
    let store = expected::scripted(expected::store().after(STORE))?;
    let upstream = expected::scripted(expected::upstream())?;
    let config = envoy_config(&[(LISTENER, PATIENT)], store.address(), upstream.address())?;
    let envoy = setup.envoy().arg("--drain-time-s").arg(DRAIN.to_string()).start(config)?;
    let service = setup.around(envoy, upstream)?;
    let loads = service.load()?;
    let mut seen = Observation::begin(fault, &loads.run_for(service.calm_time()));

    service.edge.envoy.admin_post("/healthcheck/fail")?;
    seen.meanwhile(&loads.run_for(service.calm_time()));
    service.edge.envoy.admin_post("/drain_listeners?graceful")?;
    let limit = Duration::from_secs(DRAIN) + patience(setup.options);
    let refused = wait_for("the listener to close", limit, || {
        seen.meanwhile(&loads.take());
        (seen.during.refused > 0).then_some(())
    });
    seen.failures.extend(refused.err().map(|error| format!("{error:#}")));
    seen.meanwhile(&loads.run_for(service.calm_time()));
    service.look_back(&mut seen)?;
    // From here on connections are refused, so nothing more can be lost.
    seen.meanwhile(&loads.stop());
    seen.failures.extend(unless_only_counts("meanwhile", &seen.during, setup.options));
    service.excuse_closes(&mut seen)?;
    service.edge.envoy.stop()?;
    Ok(seen)
}
