//! What the count store is asked (protocol `vbs`: the documented call itself, docs/contract.md#callout), and how its
//! answer is read.
//!
//! Nothing here knows how a callout is sent. Nothing outside knows what a store's answer looks like.

mod answer;
mod outcome;

use std::rc::Rc;

pub use outcome::{judge, overflow, timed_out};

use crate::callout::{Callout, Service};
use crate::filters::Value;
use crate::percent;
use crate::reply::Reply;
use crate::request::{CountRequest, Header};
use crate::route;

/// The callout to `store` for a valid request, with those of its `headers` that are to be forwarded.
///
/// # Errors
/// See [`Callout::new`].
pub fn callout<'a>(
    store: &Rc<Service>,
    request: &CountRequest,
    headers: impl Iterator<Item = Header<'a>>,
) -> Result<Callout, Reply> {
    Callout::new(store, path(store, request), headers)
}

fn path(store: &Service, request: &CountRequest) -> String {
    // Room for all filters and some headers: growing costs more.
    let mut path = String::with_capacity(1024);
    path.push_str(&store.path_prefix);
    path.push_str(route::BEFORE);
    path.push_str(request.project.as_str());
    path.push_str(route::AFTER);
    let mut separator = '?';
    for (filter, value) in request.filters.given() {
        path.push(separator);
        path.push_str(filter.name);
        path.push('=');
        match value {
            Value::Text(text) => percent::encode_into(&mut path, text.as_str()),
            // All others consist of unreserved characters.
            plain => path.push_str(plain.as_str()),
        }
        separator = '&';
    }
    path
}
