//! A real Envoy: found or downloaded ([`provision`]), configured ([`config`], [`filters`]), run and asked
//! ([`process`]).
//!
//! Nothing here knows what the filter does.

pub mod config;
pub mod filters;
pub mod process;
pub mod provision;

pub use process::{Envoy, Options, Verdict, validate, validate_with};
pub use provision::{RELEASES, envoy_binary, envoy_binary_with, release_binary};
