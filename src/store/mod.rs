//! The filter's side of the count store: what it is asked and how its answer is read.
//!
//! Nothing here knows how a callout is sent; nothing outside knows what a
//! store's answer looks like.

mod answer;
mod callout;
mod outcome;

pub use callout::{Callout, Store};
pub use outcome::{CalloutOutcome, MAX_BODY, NotSent};
