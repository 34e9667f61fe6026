//! The filter built from altered sources, with a fault that a test must see. The workspace itself stays as it
//! is.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{self, Progress};
use crate::{Error, Result, workspace};

/// What is different about it.
#[derive(Clone, Copy, Debug)]
pub struct Alteration<'a> {
    /// Names its folder: letters, digits, `-` and `_`.
    pub name: &'a str,
    /// Texts that are replaced in its sources.
    pub replacements: &'a [Replacement<'a>],
}

/// A text, and what takes its place.
#[derive(Clone, Copy, Debug)]
pub struct Replacement<'a> {
    /// From the root of the workspace.
    pub file: &'a str,
    /// Stands in the file once, or there is an error: who moves on must take the alteration along.
    pub from: &'a str,
    /// Takes its place.
    pub to: &'a str,
}

impl Alteration<'_> {
    /// Whether the sources still are as the replacements want them.
    ///
    /// # Errors
    /// A sentence with the file and the text that does not stand in it once.
    pub fn check(&self) -> Result<()> {
        self.sources().map(drop)
    }

    /// Builds it and returns the module, under the target folder.
    pub fn build(&self) -> Result<PathBuf> {
        let sources = self.sources()?;
        let folder = workspace::target_dir().join("altered");
        let copy = folder.join(self.name);
        if copy.exists() {
            fs::remove_dir_all(&copy).map_err(Error::while_doing("remove the last copy"))?;
        }
        copy_sources(&workspace::root(), &copy)?;
        for (file, text) in sources {
            let file = copy.join(file);
            fs::write(&file, text)
                .map_err(Error::while_doing(format!("write {}", file.display())))?;
        }
        let target = folder.join("target");
        workspace::ensure_wasm_target(Progress::Quiet)?;
        let mut cargo = workspace::cargo_build(&target);
        cargo.args(["--quiet", "--locked", "--release", "--target", workspace::WASM_TARGET]);
        cargo.args(["--package", "backup-sharing-count", "--lib"]);
        command::run(cargo.current_dir(&copy), Progress::Quiet)?;
        let built = target.join(workspace::WASM_TARGET).join("release/backup_sharing_count.wasm");
        let module = folder.join(format!("{}.wasm", self.name));
        let keep = Error::while_doing(format!("keep {}", module.display()));
        fs::copy(built, &module).map_err(keep)?;
        Ok(module)
    }

    /// The altered files, each with its text.
    fn sources(&self) -> Result<Vec<(&str, String)>> {
        let mut sources: Vec<(&str, String)> = Vec::new();
        for &Replacement { file, from, to } in self.replacements {
            let known = sources.iter().position(|(other, _)| *other == file);
            let (_, text) = match known {
                Some(at) => &mut sources[at],
                None => {
                    let path = workspace::root().join(file);
                    let text = fs::read_to_string(&path);
                    let failed = Error::while_doing(format!("read {}", path.display()));
                    sources.push((file, text.map_err(failed)?));
                    let last = sources.len() - 1;
                    &mut sources[last]
                }
            };
            let times = text.matches(from).count();
            if times != 1 {
                let name = self.name;
                let sentence = format!(
                    "{file} is no longer as `{name}` wants it: {from:?} stands in it {times} times."
                );
                return Err(Error::new(sentence));
            }
            *text = text.replace(from, to);
        }
        Ok(sources)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(replacements: &[Replacement]) -> Result<()> {
        Alteration { name: "test", replacements }.check()
    }

    #[test]
    fn what_is_replaced_stands_there_once() {
        let replace = |from, to| Replacement { file: "rustfmt.toml", from, to };
        check(&[replace("Max", "Off"), replace("= \"Off", "= \"Max")]).unwrap();
        let error = check(&[replace("Min", "Off")]).unwrap_err().to_string();
        assert!(error.contains("0 times"), "{error}");
        let error = check(&[replace("s", "z")]).unwrap_err().to_string();
        assert!(error.contains("rustfmt.toml is no longer as `test` wants it"), "{error}");
    }
}
