//! The paths of this server.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use backup_sharing_count::reply::Reply;
use backup_sharing_count::request::{Header, Validator};
use backup_sharing_count::route::Target;
use backup_sharing_count::status;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, Response};

use super::metrics::Metrics;
use super::respond::{Respond, response};
use super::tokens::Tokens;
use crate::engine::{Engine, Failure};
use crate::limits::FAILURES;
use crate::say::say;

/// All that a request is judged by and answered from.
pub struct Service {
    pub validator: Validator,
    pub tokens: Tokens,
    pub engine: Arc<dyn Engine>,
    /// If somebody wants to know.
    pub metrics: Option<Arc<Metrics>>,
    pub failures: Failures,
}

/// The failures that were told in the last second, and how many were not for that.
#[derive(Default)]
pub struct Failures(Mutex<(Vec<(Failure, Instant)>, u64)>);

impl Respond for Service {
    async fn respond(&self, parts: &Parts) -> Response<Full<Bytes>> {
        // Every path but one goes to the library, which tells the call from the rest.
        if parts.uri.path() == "/healthz" {
            return response(self.health(&parts.method).await);
        }
        let reply = self.answer(parts).await.unwrap_or_else(|fault| fault);
        if let Some(metrics) = &self.metrics {
            metrics.answered(reply.status);
        }
        response(reply)
    }
}

impl Service {
    async fn health(&self, method: &Method) -> Reply {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let message = ["Only GET asks for health."];
            return Reply::fault_saying(status::METHOD_NOT_ALLOWED, "store_method", &message);
        }
        match self.engine.check().await {
            Ok(()) => Reply { body: "{\"status\":\"ok\"}".into(), ..Reply::counted(0) },
            Err(failure) => {
                self.failures.tell(failure);
                Reply::fault(status::SERVICE_UNAVAILABLE, "store_unavailable")
            }
        }
    }

    async fn answer(&self, parts: &Parts) -> Result<Reply, Reply> {
        let path = parts.uri.path_and_query().map_or("", |path| path.as_str()).as_bytes();
        let headers = headers(parts, path);
        let not_found = || Reply::fault(status::NOT_FOUND, "store_path");
        let target = self.validator.locate(path).ok_or_else(not_found)?;
        // A caller without access does not learn what a valid query looks like.
        if let Target::Count { project_id, .. } = &target {
            self.tokens.admit(project_id, &headers)?;
        }
        let request = self.validator.check(target, headers.iter().copied())?;
        let counting = self.metrics.as_ref().map(|metrics| metrics.counting());
        let counted = self.engine.count(&request).await;
        drop(counting);
        let count = counted.map_err(|failure| {
            let reply = match failure {
                Failure::Unavailable(_) => {
                    Reply::fault(status::SERVICE_UNAVAILABLE, "store_unavailable")
                }
                Failure::Broken(_) => Reply::fault(status::INTERNAL_SERVER_ERROR, "store_error"),
            };
            self.failures.tell(failure);
            reply
        })?;
        Ok(Reply::counted(count))
    }
}

/// The headers as the library reads them, with pseudo-headers.
fn headers<'a>(parts: &'a Parts, path: &'a [u8]) -> Vec<Header<'a>> {
    let pseudo: [Header; 2] = [(b":method", parts.method.as_str().as_bytes()), (b":path", path)];
    let fields = parts.headers.iter();
    let fields = fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    pseudo.into_iter().chain(fields).collect()
}

impl Failures {
    /// Says each once a second: while a database is away, every count fails.
    fn tell(&self, failure: Failure) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, untold) = &mut *failures;
        told.retain(|(_, at)| at.elapsed() < FAILURES);
        if told.iter().any(|(one, _)| *one == failure) {
            *untold = untold.saturating_add(1);
            return;
        }
        match mem::take(untold) {
            0 => say(&failure),
            untold => {
                say(format_args!("{failure} ({untold} failures before it were not told again.)"))
            }
        }
        told.push((failure, Instant::now()));
    }
}
