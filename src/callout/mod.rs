//! An HTTP callout to a service: what is sent, and how it can end.
//!
//! Nothing here knows what a service is asked for: `store` and `auth` do. Nothing outside tells a service's answer
//! from Envoy's own.

mod envoy_response;
mod outcome;
mod reading;
mod sent;
mod service;

pub use envoy_response::EnvoyResponse;
pub use outcome::{Ended, MAX_BODY, NotSent, Outcome, Retry, reads_headers};
pub use sent::Callout;
pub use service::Service;

pub(crate) use reading::{printable, retry_after};
pub(crate) use sent::token;
pub(crate) use service::{TOKEN, TRACING, is_tracing};
