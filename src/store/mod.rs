//! The filter's side of the count store: what it is asked and how its answer is read.
//!
//! Nothing here knows how a callout is sent; nothing outside knows what a
//! store's answer looks like.

mod answer;
mod callout;
mod envoys_word;
mod outcome;

pub use callout::{Callout, Store};
pub use outcome::{Again, MAX_BODY, NotSent, Outcome, Verdict, reads_headers};

use crate::bytes;

/// A header value as text, if it is printable ASCII. The host checks no value
/// it sends: CR and LF would split a message.
fn printable(value: &[u8]) -> Option<&str> {
    bytes::are_printable(value).then(|| str::from_utf8(value).ok()).flatten()
}
