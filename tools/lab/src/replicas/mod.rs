//! The same counts from PostgreSQL and its replicas: a primary and two standbys, two count stores, one Envoy, and rows that
//! are written all the time. What becomes of one server or of one store, no count may notice.

mod asking;
mod judge;
mod site;
mod trouble;
mod writer;

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::{Findings, Options};
use site::Site;
use trouble::TROUBLES;

/// `--max-lag` of the stores: short, so that old rows are seen soon.
const MAX_LAG: Duration = Duration::from_secs(2);

/// What PostgreSQL's word on its position may be older than it is: one measurement, as the contract says.
const ROUND: Duration = Duration::from_secs(1);

/// Runs it.
pub fn run(options: &Options) -> Result<Findings> {
    let site = Site::start(options)?;
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for trouble in TROUBLES.iter().filter(|trouble| !options.quick || trouble.is_quick) {
        eprintln!("   {}", trouble.name);
        let (figures, wrong) = site.observe(trouble)?;
        rows.push(figures);
        failures.extend(wrong);
    }
    let [stores, servers] = site.sizes();
    let version = site.version()?;
    site.end()?;
    let figures = json!({
        "version": version,
        "rows": rows,
        "stores": stores,
        "servers": servers,
        "connections": site::CONNECTIONS,
        "written_every": crate::millis(writer::EVERY),
        "max_lag": crate::millis(MAX_LAG),
        "allowed": crate::millis(judge::allowed(options)),
    });
    Findings::new(figures, failures)
}
