//! The filter as a whole: a request's headers in, a step out; a callout's outcome in, the next step out.
//!
//! A request has any number of callouts, one after the other, and exactly one [`Reply`], unless it passes.

use std::rc::Rc;
use std::time::SystemTime;

use crate::config::{Config, ConfigError};
use crate::details;
use crate::reply::Reply;
use crate::request::{Header, Validator};
use crate::route::Target;
use crate::status;
use crate::store::StoreSettings;
use crate::waiting::Waiting;

pub use crate::waiting::Step;

/// An extra host call costs as much as copying this many headers. Of a request with more, `:path` is read first, so
/// that one for another path costs no copy (docs/decisions/2026-11-24-one-read.md).
pub const READ_AT_ONCE: usize = 56;

/// One configured plugin.
#[derive(Clone, Debug)]
pub struct Edge {
    validator: Validator,
    /// `None`: a valid request continues to the backend.
    store: Option<Rc<StoreSettings>>,
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
        Ok(Edge { validator, store: config.store.map(Rc::new) })
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
        self.judge(target, headers, now).unwrap_or_else(Step::Reply)
    }

    fn judge<'h>(
        &self,
        target: Target,
        headers: impl Iterator<Item = Header<'h>> + Clone,
        now: impl FnOnce() -> SystemTime,
    ) -> Result<Step, Reply> {
        let request = self.validator.check(target, headers.clone())?;
        let Some(store) = &self.store else { return Ok(Step::Continue) };
        let callout = store.callout(&request, headers)?;
        Ok(Step::Callout(Waiting::new(callout, now())))
    }
}

/// The answer to a request that cannot be validated: the plugin has no configuration yet (Envoy sends no such
/// request), or the host does not show the headers. It must not pass unchecked.
pub fn unjudged() -> Reply {
    Reply::fault(status::INTERNAL_SERVER_ERROR, details::EDGE_UNJUDGED)
}
