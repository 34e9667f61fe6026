//! Whether the other experiments see: the filter is copied, a fault is planted in the copy, and
//! the quick form of an experiment is run with the module built from it. It must fail, and say why.

use std::path::Path;
use std::process::Command;

use testkit::altered::{Alteration, Replacement};
use testkit::{Error, Result};

use crate::{Scale, Section};

/// A fault, and who must see it.
struct Plant {
    what: &'static str,
    replacement: Replacement<'static>,
    /// Experiments, and a word of what each must complain of.
    seen_by: &'static [(&'static str, &'static str)],
}

const PLANTS: [Plant; 4] = [
    Plant {
        what: "a panic on an answer that broke off",
        replacement: Replacement {
            file: "src/glue/turn.rs",
            from: "    if fields == 0 {\n",
            to: "    if fields == 0 {\n        panic!(\"planted\");\n",
        },
        seen_by: &[("vm", "trapped"), ("faults", "trapped")],
    },
    Plant {
        what: "a leak of every path",
        replacement: Replacement {
            file: "src/glue/contexts.rs",
            from: "        let target = edge.locate(map.path())?",
            to: "        std::mem::forget(std::hint::black_box(map.path().to_vec()));\n        let target = edge.locate(map.path())?",
        },
        seen_by: &[("vm", "grew")],
    },
    Plant {
        what: "another status for another method",
        replacement: Replacement {
            file: "src/request.rs",
            from: "Reply::fault(status::METHOD_NOT_ALLOWED, ",
            to: "Reply::fault(status::FORBIDDEN, ",
        },
        seen_by: &[("faults", "undocumented"), ("overload", "undocumented")],
    },
    Plant {
        what: "a count that is one too high",
        replacement: Replacement {
            file: "src/store/outcome.rs",
            from: "=> Reply::counted(count),",
            to: "=> Reply::counted(count + 1),",
        },
        seen_by: &[("faults", "wrong counts"), ("overload", "gave 200")],
    },
];

/// Runs it.
pub fn run(scale: Scale) -> Result<Section> {
    let mut section = Section::default();
    section.text.push_str("| planted | seen by | which said |\n|---|---|---|\n");
    for plant in &PLANTS {
        let replacements = &[plant.replacement];
        let planted = Alteration { name: "planted", replacements };
        if let Err(error) = planted.check() {
            section.failures.push(format!("{}: {error}", plant.what));
            continue;
        }
        if scale == Scale::Quick {
            continue; // Each takes a build and the experiments again.
        }
        let module = planted.build()?;
        for (experiment, word) in plant.seen_by {
            let said = complaint(experiment, &module)?;
            section.text.push_str(&format!(
                "| {} | `{experiment}` | {} |\n",
                plant.what,
                brief(&said)
            ));
            if !said.contains(word) {
                let what = plant.what;
                section.failures.push(format!("`{experiment}` did not see {what}: {said:?}"));
            }
        }
    }
    Ok(section)
}

/// What an experiment complains of with this module; nothing if it passes.
fn complaint(experiment: &str, module: &Path) -> Result<String> {
    let program = std::env::current_exe().map_err(Error::while_doing("find this program"))?;
    let mut again = Command::new(program);
    again.args(["--quick", experiment]).env("FILTER_MODULE", module);
    let output = again.output().map_err(Error::while_doing("run the experiment again"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    // Behind what it says of its progress, and an empty line.
    let (_, complaint) = said.split_once("\n\n").unwrap_or_default();
    Ok(if output.status.success() { String::new() } else { complaint.trim().to_owned() })
}

/// The first line, cut, fit for a table.
fn brief(said: &str) -> String {
    let line = said.lines().next().unwrap_or_default().replace('|', "\\|");
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
