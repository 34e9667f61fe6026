//! What the filter counts for Prometheus (docs/watching-it.md#metrics).

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use super::imports::{self, Metric};
use crate::details;
use crate::waiting::Target;

thread_local! {
    /// Of the VM. A plugin configuration that follows another would else get new numbers, and the host keeps the old.
    static DEFINED: OnceCell<Option<Rc<Metrics>>> = const { OnceCell::new() };
}

/// The host's numbers of the metrics.
pub struct Metrics {
    /// One for each of [`details::ALL`].
    requests: Vec<Metric>,
    shared: Metric,
    store: OfTarget,
    keystone: OfTarget,
}

/// What is counted of one target's callouts.
struct OfTarget {
    milliseconds: Metric,
    retries: Metric,
}

impl Metrics {
    /// Those of this VM. `None` if the host refuses them, as it does when `allowed_capabilities` lacks this call.
    pub fn of_vm() -> Option<Rc<Metrics>> {
        let defined = DEFINED
            .try_with(|defined| defined.get_or_init(|| Metrics::define().map(Rc::new)).clone());
        defined.ok().flatten()
    }

    fn define() -> Option<Metrics> {
        let request = |details: &details::Details| {
            imports::counter(&["backup_sharing_count_requests.answered_by.", details.name].concat())
        };
        Some(Metrics {
            requests: details::ALL.iter().map(request).collect::<Option<_>>()?,
            shared: imports::counter("backup_sharing_count_shared")?,
            store: OfTarget::define("store")?,
            keystone: OfTarget::define("keystone")?,
        })
    }

    /// A request is answered with these response code details.
    pub fn answered(&self, details: &str) {
        let metric = details::place(details).and_then(|place| self.requests.get(place));
        if let Some(metric) = metric {
            imports::increment(*metric);
        }
    }

    /// A request waits for what another has asked.
    pub fn shared(&self) {
        imports::increment(self.shared);
    }

    /// A callout is sent again.
    pub fn retried(&self, target: Target) {
        imports::increment(self.of(target).retries);
    }

    /// A callout has ended after this time.
    pub fn called(&self, target: Target, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        imports::record(self.of(target).milliseconds, milliseconds);
    }

    fn of(&self, target: Target) -> &OfTarget {
        match target {
            Target::Store => &self.store,
            Target::Keystone => &self.keystone,
        }
    }
}

impl OfTarget {
    fn define(target: &str) -> Option<OfTarget> {
        let name = |metric: &str| ["backup_sharing_count_", metric, ".target.", target].concat();
        Some(OfTarget {
            milliseconds: imports::histogram(&name("callout_milliseconds"))?,
            retries: imports::counter(&name("retries"))?,
        })
    }
}
