//! Whether the other experiments see: the filter is copied, a fault is planted in the copy, and
//! the quick form of an experiment is run with the module built from it. It must fail, and say why.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{Error, Result, workspace};

use crate::{Scale, Section};

/// A fault, and who must see it.
struct Plant {
    what: &'static str,
    file: &'static str,
    /// Stands in the file once.
    from: &'static str,
    to: &'static str,
    /// Experiments, and a word of what each must complain of.
    seen_by: &'static [(&'static str, &'static str)],
}

const PLANTS: [Plant; 4] = [
    Plant {
        what: "a panic on an answer that broke off",
        file: "src/glue/callbacks.rs",
        from: "    if headers == 0 {\n",
        to: "    if headers == 0 {\n        panic!(\"planted\");\n",
        seen_by: &[("vm", "trapped"), ("faults", "trapped")],
    },
    Plant {
        what: "a leak of every path",
        file: "src/glue/callbacks.rs",
        from: "    let path = host::request_header(\":path\");\n",
        to: "    let path = host::request_header(\":path\");\n    std::mem::forget(std::hint::black_box(path.clone()));\n",
        seen_by: &[("vm", "grew")],
    },
    Plant {
        what: "another status for another method",
        file: "src/call.rs",
        from: "Fault::new(status::METHOD_NOT_ALLOWED, ",
        to: "Fault::new(status::FORBIDDEN, ",
        seen_by: &[("faults", "undocumented"), ("overload", "undocumented")],
    },
    Plant {
        what: "a count that is one too high",
        file: "src/store/outcome.rs",
        from: "Ok(Reply::count(count))",
        to: "Ok(Reply::count(count + 1))",
        seen_by: &[("faults", "wrong counts"), ("overload", "gave 200")],
    },
];

/// Runs it.
pub fn run(scale: Scale) -> Result<Section> {
    let mut section = Section::default();
    section.text.push_str("| planted | seen by | which said |\n|---|---|---|\n");
    for plant in &PLANTS {
        let source = read(&workspace::root().join(plant.file))?;
        if source.matches(plant.from).count() != 1 {
            let sentence = format!("{} is no longer as {} wants it", plant.file, plant.what);
            section.failures.push(sentence);
            continue;
        }
        if scale == Scale::Quick {
            continue; // Each takes a build and the experiments again.
        }
        let module = build(plant, &source.replace(plant.from, plant.to))?;
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

/// The module of a copy of the workspace with a fault in it.
fn build(plant: &Plant, source: &str) -> Result<PathBuf> {
    let folder = workspace::target_dir().join("reliability/planted");
    let copy = folder.join("workspace");
    if copy.exists() {
        fs::remove_dir_all(&copy).map_err(Error::while_doing("remove the last copy"))?;
    }
    copy_sources(&workspace::root(), &copy)?;
    let file = copy.join(plant.file);
    fs::write(&file, source).map_err(Error::while_doing(format!("write {}", file.display())))?;
    let target = folder.join("target");
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--locked", "--release", "--target", "wasm32-wasip1"]);
    let built = cargo.env("CARGO_TARGET_DIR", &target).current_dir(&copy).status();
    match built.map_err(Error::while_doing("run cargo"))?.success() {
        true => Ok(target.join("wasm32-wasip1/release/backup_sharing_count.wasm")),
        false => Err(Error::new(format!("The filter with {} does not build.", plant.what))),
    }
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

/// All of a folder but what is built or hidden.
fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    let failed = || Error::while_doing(format!("copy {}", from.display()));
    fs::create_dir_all(to).map_err(failed())?;
    for entry in fs::read_dir(from).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let (name, path) = (entry.file_name(), entry.path());
        if name == "target" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            copy_sources(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name)).map_err(failed())?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::while_doing(format!("read {}", path.display())))
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
