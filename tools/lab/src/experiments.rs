//! The list of the experiments.

use crate::{
    Experiment, callouts, clients, cost, faults, fuzzing, instructions, overload, planted,
    replicas, soak, startup_memory, store, versions, wasm_host,
};

/// All of them, in the order of the pages.
pub static EXPERIMENTS: &[Experiment] = &[
    Experiment { name: "wasm_host", run: wasm_host::run },
    Experiment { name: "fuzzing", run: fuzzing::run },
    Experiment { name: "clients", run: clients::run },
    Experiment { name: "faults", run: faults::run },
    Experiment { name: "overload", run: overload::run },
    Experiment { name: "replicas", run: replicas::run },
    Experiment { name: "versions", run: versions::run },
    Experiment { name: "soak", run: soak::run },
    Experiment { name: "planted", run: planted::run },
    Experiment { name: "cost", run: cost::run },
    Experiment { name: "instructions", run: instructions::run },
    Experiment { name: "callouts", run: callouts::run },
    Experiment { name: "startup_memory", run: startup_memory::run },
    Experiment { name: "store", run: store::run },
];

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
