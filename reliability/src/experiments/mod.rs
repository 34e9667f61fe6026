//! One module for each experiment. Each has a `run(Scale) -> Result<Section>`.

use crate::Experiment;

/// All of them, in the order of the report.
pub static EXPERIMENTS: &[Experiment] = &[];
