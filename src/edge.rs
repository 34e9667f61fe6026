//! The filter as a whole: a request's headers in, a step out; a callout's outcome in, the next step out.
//!
//! A request has any number of callouts, one after the other, and exactly one [`Reply`], unless it passes.

use std::rc::Rc;
use std::time::SystemTime;

use crate::auth::{Auth, Keystone};
use crate::cache::Cache;
use crate::callout::{Service, token};
use crate::config::{AuthConfig, Config, ConfigError};
use crate::details;
use crate::reply::Reply;
use crate::request::{CountRequest, Header, Validator};
use crate::route::Target;
use crate::status;
use crate::store;
use crate::waiting::{Count, Valid, Waiting};

pub use crate::waiting::Step;

/// An extra host call costs as much as copying this many headers. Of a request with more, `:path` is read first, so
/// that one for another path costs no copy (docs/decisions/2026-11-24-one-read.md).
pub const READ_AT_ONCE: usize = 56;

/// One configured plugin.
#[derive(Clone, Debug)]
pub struct Edge {
    validator: Validator,
    /// `None`: a valid request continues to the backend.
    store: Option<Rc<Service>>,
    /// `None`: each request asks the store.
    cache: Option<Rc<Cache>>,
    /// `None`: nobody at the edge; the store judges.
    auth: Option<Auth>,
    has_metrics: bool,
}

impl Edge {
    /// The filter that a plugin configuration describes.
    ///
    /// # Errors
    /// A sentence that names the field and what was expected of it.
    pub fn new(configuration: &[u8]) -> Result<Edge, ConfigError> {
        let config = Config::parse(configuration)?;
        let validator =
            Validator::new(config.rules).map_err(|error| ConfigError(error.to_string()))?;
        let auth = match config.auth {
            AuthConfig::None => None,
            AuthConfig::Header(header) => Some(Auth::Header(header)),
            AuthConfig::Keystone(settings) => {
                Some(Auth::Keystone(Rc::new(Keystone::new(settings))))
            }
        };
        let store = config.store.map(Rc::new);
        let cache = config.cache.zip(store.as_ref());
        let cache = cache.map(|(settings, store)| Rc::new(Cache::new(settings, store)));
        Ok(Edge { validator, store, cache, auth, has_metrics: config.metrics })
    }

    /// Whether it is configured to count for Prometheus.
    pub fn has_metrics(&self) -> bool {
        self.has_metrics
    }

    /// How many questions are open that several requests may share: to Keystone, and to the store.
    pub fn open_questions(&self) -> usize {
        let tokens = match &self.auth {
            Some(Auth::Keystone(keystone)) => keystone.open().questions(),
            _ => 0,
        };
        self.cache.as_ref().map_or(0, |cache| cache.open().questions()).saturating_add(tokens)
    }

    /// Routes a `:path`. `None`: the request is for another path and continues; none of its headers need be
    /// read.
    pub fn locate<'p>(&self, path: &'p [u8]) -> Option<Target<'p>> {
        self.validator.locate(path)
    }

    /// Judges a request for this call. `now` is asked for the time if a callout is sent.
    pub fn begin<'h>(
        &self,
        target: Target,
        headers: impl Iterator<Item = Header<'h>> + Clone,
        now: impl FnOnce() -> SystemTime,
    ) -> Step {
        let request = match self.validator.check(target, headers.clone()) {
            Ok(request) => request,
            Err(reply) => return Step::Reply(reply),
        };
        match (&self.auth, &self.store) {
            (None, None) => Step::Continue,
            (None, Some(store)) => match store::callout(store, &request, headers) {
                Ok(callout) => match &self.cache {
                    None => Step::Callout(Waiting::for_count(callout, now())),
                    Some(cache) => Count { callout, cache: Some(Rc::clone(cache)) }.begin(now()),
                },
                Err(reply) => Step::Reply(reply),
            },
            (Some(auth), _) => self.vouch(auth, request, headers, now).unwrap_or_else(Step::Reply),
        }
    }

    /// Apart, so that a request of which nobody at the edge asks who the caller is does not pay for it.
    #[inline(never)]
    fn vouch<'h>(
        &self,
        auth: &Auth,
        request: CountRequest,
        headers: impl Iterator<Item = Header<'h>> + Clone,
        now: impl FnOnce() -> SystemTime,
    ) -> Result<Step, Reply> {
        let count = match &self.store {
            Some(store) => Some(Count {
                callout: store::callout(store, &request, headers.clone())?,
                cache: self.cache.clone(),
            }),
            None => None,
        };
        let request = Valid { project: request.project, count };
        let keystone = match auth {
            Auth::Header(header) => {
                header.check(headers, &request.project)?;
                return Ok(request.vouched(now));
            }
            Auth::Keystone(keystone) => keystone,
        };
        // What is forwarded to the store has been checked; what goes to Keystone alone is checked here, whether or not
        // it will be asked.
        let callout = match &self.store {
            Some(_) => None,
            None => Some(keystone.callout(headers.clone())?),
        };
        let token = token(headers.clone())?;
        if token.is_empty() {
            return Err(keystone.missing());
        }
        let callout = || callout.map_or_else(|| keystone.callout(headers), Ok);
        request.vouched_by(keystone, token, callout, now())
    }
}

/// The answer to a request that cannot be validated: the plugin has no configuration yet (Envoy sends no such
/// request), or the host does not show the headers. It must not pass unchecked.
pub fn unjudged() -> Reply {
    Reply::fault(status::INTERNAL_SERVER_ERROR, details::EDGE_UNJUDGED)
}
