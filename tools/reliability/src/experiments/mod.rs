//! One module for each experiment. Each has a `run(Scale) -> Result<Section>`.

pub mod faults;
mod fuzz;
mod instruments;
mod outsiders;
mod overload;
mod soak;
mod versions;
mod vm;

use testkit::Result;

use crate::{Experiment, Scale, Section};

/// All of them, in the order of the report.
pub static EXPERIMENTS: &[Experiment] = &[
    named("vm", "A million requests in the wasm host", vm::run),
    named("fuzz", "An hour of fuzzing", fuzz::run),
    named("outsiders", "The documented API against outsiders", outsiders::run),
    named("faults", "Faults under load", faults::run),
    named("overload", "Overload", overload::run),
    named("versions", "Five releases of Envoy", versions::run),
    named("soak", "Two million requests through Envoy", soak::run),
    named("instruments", "Whether the instruments see", instruments::run),
];

const fn named(
    name: &'static str,
    title: &'static str,
    run: fn(Scale) -> Result<Section>,
) -> Experiment {
    Experiment { name, title, run }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::NAMES;

    #[test]
    fn the_command_line_knows_all_of_them() {
        let names: Vec<_> = EXPERIMENTS.iter().map(|experiment| experiment.name).collect();
        assert_eq!(names, NAMES);
    }
}
