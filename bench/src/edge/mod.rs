//! To be written.

use testkit::Result;

use crate::{Options, Section};

/// Runs it.
///
/// # Errors
/// If it could not be measured.
pub fn run(_options: &Options) -> Result<Section> {
    Ok(Section::default())
}
