//! The filter as a whole: a request's head in, a decision out; a callout's
//! outcome in, a reply out.
//!
//! Per request, at most one [`Callout`] and exactly one [`Reply`], unless the
//! request passes.

use crate::call::{Call, Header};
use crate::config::{Config, ConfigError};
use crate::reply::{Fault, Reply};
use crate::route::Target;
use crate::status;
use crate::store::{Callout, CalloutOutcome, Store};

/// One configured filter.
#[derive(Clone, Debug)]
pub struct Edge {
    call: Call,
    /// `None`: a valid request continues to the upstream.
    store: Option<Store>,
}

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// Let it continue to the upstream, unchanged.
    Pass,
    /// Send the callout; its outcome goes to [`Edge::conclude`].
    Ask(Callout<'a>),
    /// Answer it.
    Reply(Reply),
}

impl Edge {
    /// The filter that a plugin configuration describes.
    ///
    /// # Errors
    /// A sentence that names the field and what was expected of it.
    pub fn new(configuration: &[u8]) -> Result<Edge, ConfigError> {
        let config = Config::parse(configuration)?;
        let call = Call::new(config.rules).map_err(|error| ConfigError(error.to_string()))?;
        Ok(Edge { call, store: config.store })
    }

    /// Looks at a `:path`. `None`: the request passes, and nothing else of it
    /// need be read.
    pub fn locate<'p>(&self, path: &'p [u8]) -> Option<Target<'p>> {
        self.call.locate(path)
    }

    /// Decides on a request for this call.
    pub fn decide<'a>(
        &'a self,
        target: Target,
        headers: impl Iterator<Item = Header<'a>> + Clone,
    ) -> Decision<'a> {
        self.judge(target, headers).unwrap_or_else(|fault| Decision::Reply(fault.into()))
    }

    fn judge<'a>(
        &'a self,
        target: Target,
        headers: impl Iterator<Item = Header<'a>> + Clone,
    ) -> Result<Decision<'a>, Fault> {
        let request = self.call.check(target, headers.clone())?;
        match &self.store {
            Some(store) => store.ask(&request, headers).map(Decision::Ask),
            None => Ok(Decision::Pass),
        }
    }

    /// The answer to a callout that ended in `outcome`. `None`: this filter
    /// sends no callouts.
    pub fn conclude(&self, outcome: CalloutOutcome) -> Option<Reply> {
        let store = self.store.as_ref()?;
        Some(store.conclude(outcome))
    }
}

/// The answer to a request that cannot be judged: the plugin has no configuration yet, or the host does not
/// show the headers. Envoy sends none of the first sort; to let one pass unchecked would be worse.
pub fn unjudged() -> Reply {
    Fault::new(status::INTERNAL_SERVER_ERROR, "edge_unjudged").into()
}
