//! Asks the samples and prints each as a line to paste, its answer, and where that came from.

use std::net::SocketAddr;
use std::time::Duration;

use testkit::envoy::Envoy;
use testkit::http::{self, Response};
use testkit::{Result, wait_for};

use super::samples::{Sample, Source};

/// Asks all of them; the number that did not answer as expected.
pub fn samples(listener: SocketAddr, envoy: &Envoy, samples: &[Sample<'_>]) -> Result<usize> {
    out!("");
    let mut failed = 0;
    let before = access_log(&envoy.log()).count();
    for (asked, sample) in (before..).zip(samples) {
        let headers: Vec<(&str, &[u8])> =
            sample.headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let response = http::request(listener, sample.method, sample.path, &headers)?;
        let (source, details) = answered_by(envoy, asked)?;
        out!("# {}", sample.about);
        out!("{}", curl(listener, sample));
        out!("  {} {}", response.status, response.text().trim_end());
        if let Some(age) = response.header("age") {
            out!("  age: {age}");
        }
        out!("  {} ({details})", name(source));
        if !as_expected(sample, &response, source) {
            failed += 1;
            out!("  EXPECTED {} {}… {}", sample.status, sample.body, name(sample.source));
        }
        out!("");
    }
    out!("{} of {} samples answered as expected.", samples.len() - failed, samples.len());
    Ok(failed)
}

fn as_expected(sample: &Sample<'_>, response: &Response, source: Source) -> bool {
    let body = response.text();
    response.status == sample.status && body.starts_with(sample.body) && source == sample.source
}

fn curl(listener: SocketAddr, sample: &Sample<'_>) -> String {
    let method = match sample.method {
        "GET" => String::new(),
        method => format!(" -X {method}"),
    };
    let headers: String =
        sample.headers.iter().map(|(name, value)| format!(" -H '{name}: {value}'")).collect();
    // curl would resolve dot segments itself.
    format!("curl -s --path-as-is{method}{headers} 'http://{listener}{}'", sample.path)
}

fn name(source: Source) -> &'static str {
    match source {
        Source::Edge => "answered at the edge",
        Source::Store => "answered from the store",
        Source::Memory => "answered from memory",
        Source::PassedOn => "passed on to the backend",
        Source::Envoy => "answered by Envoy itself",
    }
}

/// The lines of the access log among all others.
fn access_log(log: &str) -> impl Iterator<Item = &str> {
    log.lines().filter(|line| line.starts_with('{'))
}

/// Reads the access log's line for the request that `before` others were asked before.
fn answered_by(envoy: &Envoy, before: usize) -> Result<(Source, String)> {
    let details = wait_for("Envoy's access log", Duration::from_secs(5), || {
        let log = envoy.log();
        let entry: serde_json::Value = serde_json::from_str(access_log(&log).nth(before)?).ok()?;
        Some(entry["answered_by"].as_str().unwrap_or_default().to_owned())
    })?;
    let source = match details.as_str() {
        "via_upstream" => Source::PassedOn,
        details if details.starts_with("edge_") || details.starts_with("auth_") => Source::Edge,
        details if details.starts_with("store_") => Source::Store,
        details if details.starts_with("cache_") => Source::Memory,
        _ => Source::Envoy,
    };
    Ok((source, details))
}
