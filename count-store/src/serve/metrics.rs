//! What Prometheus is told, at an address of its own: it is answered when nobody else is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use backup_sharing_count::reply::Reply;
use backup_sharing_count::status;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::respond::{Respond, response};
use crate::engine::Engine;

/// In seconds: from the quickest count in an SQLite file to the slowest that anybody waits for. A filter's
/// `store.timeout`, 1 s if nothing is said, is among them.
const BUCKETS: [f64; 19] = [
    20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5,
    1.0, 2.0, 5.0, 10.0, 30.0,
];

/// What alarms look for is there from the beginning: no rate sees the first one of a new series.
const STATUSES: [u16; 3] = [200, 500, 503];

/// What is noted of requests while they are answered.
pub struct Metrics {
    requests: Family<[(&'static str, u16); 1], Counter>,
    seconds: Histogram,
}

/// A count that is being made. It is noted when this is dropped, so one that its client does not wait for
/// is noted too, with the time that it was waited for.
pub struct Counting<'a>(&'a Histogram, Instant);

/// What answers Prometheus.
pub struct Page {
    pub metrics: Arc<Metrics>,
    pub engine: Arc<dyn Engine>,
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Metrics {
        let metrics = Metrics { requests: Family::default(), seconds: Histogram::new(BUCKETS) };
        for status in STATUSES {
            drop(metrics.requests.get_or_create(&[("status", status)]));
        }
        metrics
    }
}

impl Metrics {
    /// Notes a request that is answered with this status.
    pub fn answered(&self, status: u16) {
        self.requests.get_or_create(&[("status", status)]).inc();
    }

    /// A count begins.
    pub fn counting(&self) -> Counting<'_> {
        Counting(&self.seconds, Instant::now())
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        let Counting(seconds, start) = self;
        seconds.observe(start.elapsed().as_secs_f64());
    }
}

// === impl Page ===

impl Respond for Page {
    async fn respond(&self, parts: &Parts) -> Response<Full<Bytes>> {
        if parts.uri.path() != "/metrics" {
            return response(Reply::fault(status::NOT_FOUND, "store_path"));
        }
        if parts.method != Method::GET {
            let message = ["Only GET asks for metrics."];
            let reply = Reply::fault_saying(status::METHOD_NOT_ALLOWED, "store_method", &message);
            return response(reply.header("allow", "GET".to_owned()));
        }
        let Ok(text) = self.text() else {
            return response(Reply::fault(status::INTERNAL_SERVER_ERROR, "store_error"));
        };
        let mut response = Response::new(Full::new(text.into()));
        let content_type = HeaderValue::from_static(prometheus_text::CONTENT_TYPE);
        response.headers_mut().append(CONTENT_TYPE, content_type);
        response
    }
}

impl Page {
    /// The format that every Prometheus reads, whatever else it would accept.
    fn text(&self) -> Result<String, fmt::Error> {
        let mut page = Registry::with_prefix("count_store");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        page.register("build", "The running program", version);
        let requests = self.metrics.requests.clone();
        page.register("requests", "Answers, but for those to /healthz", requests);
        let engine = ("engine".into(), self.engine.kind().into());
        page.sub_registry_with_label(engine).register(
            "count_seconds",
            "How long requests waited for their count",
            self.metrics.seconds.clone(),
        );

        // Made anew each time: what cannot be measured has no sample.
        let in_use = Family::<_, Gauge<u64, AtomicU64>>::default();
        let reachable = Family::<_, Gauge>::default();
        let lag = Family::<_, Gauge<f64, AtomicU64>>::default();
        for server in self.engine.servers() {
            let label = [("server", server.name)];
            // A server that is named twice has two pools of connections, and one line.
            let connections = server.in_use.try_into().unwrap_or(u64::MAX);
            in_use.get_or_create(&label).inc_by(connections);
            if let Some(is_reachable) = server.is_reachable {
                reachable.get_or_create(&label).set(is_reachable.into());
            }
            if let Some(behind) = server.lag {
                lag.get_or_create(&label).set(behind.as_secs_f64());
            }
        }
        let help = "Connections to the database that are counting";
        page.register("database_connections_in_use", help, in_use);
        page.register("server_reachable", "1 if the server answers, else 0", reachable);
        let help = "How long ago another server first had more than this one has";
        page.register("server_lag_seconds", help, lag);

        let mut text = String::new();
        prometheus_text::encode(&mut text, &page)?;
        Ok(text)
    }
}
