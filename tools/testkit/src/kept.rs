//! Folders under the target folder that take long to fill, and are kept.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::{Result, lock};

/// A folder in `home` with what `make` puts into it: made unless it is there, and made of the same.
///
/// Test binaries and processes may ask at the same time: a file lock lets one of them make it. What it was made
/// of is written down last, so what was killed on the way is made anew.
pub fn kept(home: &Path, made_of: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let (folder, note) = (home.join("made"), home.join("made-of.txt"));
    let keep = || format!("keeping {}", home.display());
    fs::create_dir_all(home).with_context(keep)?;
    let _lock = lock(&home.join("lock"))?;
    if fs::read_to_string(&note).is_ok_and(|noted| noted == made_of) {
        return Ok(folder);
    }
    // The note first: half a folder must not pass for a whole one.
    for removed in [fs::remove_file(&note), fs::remove_dir_all(&folder)] {
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(keep);
            }
            _ => {}
        }
    }
    fs::create_dir(&folder).with_context(keep)?;
    make(&folder)?;
    fs::write(&note, made_of).with_context(keep)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_folder_is_made_once_of_the_same() {
        let home = tempfile::tempdir().unwrap();
        let make = |made_of: &str, text: &str| {
            let folder = kept(home.path(), made_of, |folder| Ok(fs::write(folder.join(text), "")?));
            let files = fs::read_dir(folder.unwrap()).unwrap();
            files.map(|file| file.unwrap().file_name()).collect::<Vec<_>>()
        };
        assert_eq!(make("one", "a"), ["a"]);
        assert_eq!(make("one", "b"), ["a"]);
        assert_eq!(make("two", "c"), ["c"]);
        kept(home.path(), "three", |_| bail!("no network")).unwrap_err();
        assert_eq!(make("two", "d"), ["d"]);
    }
}
