//! The list of the experiments.

use crate::{Experiment, clients, faults, fuzzing, overload, planted, soak, versions, vm};

/// All of them, in the order of the pages.
pub static EXPERIMENTS: &[Experiment] = &[
    Experiment { name: "vm", run: vm::run },
    Experiment { name: "fuzzing", run: fuzzing::run },
    Experiment { name: "clients", run: clients::run },
    Experiment { name: "faults", run: faults::run },
    Experiment { name: "overload", run: overload::run },
    Experiment { name: "versions", run: versions::run },
    Experiment { name: "soak", run: soak::run },
    Experiment { name: "planted", run: planted::run },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::NAMES;

    #[test]
    fn the_command_line_knows_all_of_them() {
        let names: Vec<_> = EXPERIMENTS.iter().map(|experiment| experiment.name).collect();
        // Until the last one has moved here.
        let moved: Vec<_> = NAMES.into_iter().filter(|name| names.contains(name)).collect();
        assert_eq!(names, moved);
    }
}
