//! A real Envoy: found or downloaded ([`provision`]), run and asked ([`process`]).
//!
//! Nothing here knows what the filter does; configurations come from the callers.

pub mod process;
pub mod provision;

pub use process::{Envoy, Options, Verdict, validate, validate_with};
pub use provision::{RELEASES, envoy_binary, envoy_binary_with, release_binary};
