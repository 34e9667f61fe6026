//! One module for each experiment. Each has a `run(Scale) -> Result<Section>`.

pub mod faults;
mod outsiders;
mod overload;
mod soak;
mod versions;
mod vm;

use crate::Experiment;

/// All of them, in the order of the report.
pub static EXPERIMENTS: &[Experiment] = &[
    Experiment { name: "faults", title: "Faults under load", run: faults::run },
    Experiment { name: "overload", title: "Overload", run: overload::run },
    Experiment { name: "soak", title: "Two million requests through Envoy", run: soak::run },
    Experiment { name: "vm", title: "A million requests in the wasm host", run: vm::run },
    Experiment {
        name: "outsiders",
        title: "The documented API against outsiders",
        run: outsiders::run,
    },
    Experiment { name: "versions", title: "In five releases of Envoy", run: versions::run },
];
