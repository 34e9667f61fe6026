//! What the count store is asked, and how its answer is read.
//!
//! Nothing here knows how a callout is sent. Nothing outside knows what a store's answer looks like.

mod answer;
mod callout;
mod envoy_response;
mod outcome;
mod settings;

pub use callout::Callout;
pub use outcome::{MAX_BODY, NotSent, Outcome, Retry, Verdict, reads_headers};
pub use settings::StoreSettings;

use crate::bytes;

/// A header value as text, if it is printable ASCII. The host does not check the values it sends: CR and LF would
/// split the message.
fn printable(value: &[u8]) -> Option<&str> {
    bytes::are_printable(value).then(|| str::from_utf8(value).ok()).flatten()
}
