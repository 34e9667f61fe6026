//! The list of the parts. Each has a `run(&Options) -> Result<Section>`.

use testkit::Result;

use crate::{Options, Part, Section, capacity, edge, envoy, instructions, store};

/// All of them, in the order of the report.
pub static PARTS: &[Part] = &[
    named("edge", "The filter beside Envoy itself and Lua", edge::run),
    Part { optional: true, ..named("instructions", "The same in instructions", instructions::run) },
    named("envoy", "Envoy with and without the module", envoy::run),
    named("store", "The count store as its data grows", store::run),
    named("capacity", "Predictions tried", capacity::run),
];

const fn named(
    name: &'static str,
    title: &'static str,
    run: fn(&Options) -> Result<Section>,
) -> Part {
    Part { name, title, optional: false, run }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::NAMES;

    #[test]
    fn the_command_line_knows_all_of_them() {
        assert_eq!(PARTS.iter().map(|part| part.name).collect::<Vec<_>>(), NAMES);
    }
}
