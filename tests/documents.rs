//! What files say of other files of this repository: links and citations lead to a file and a heading that
//! are there, and nothing points outside.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

use testkit::workspace;

/// The repository's text files, without what builds leave.
fn files(folder: &Path) -> Vec<PathBuf> {
    const KINDS: [&str; 9] = ["md", "rs", "toml", "yaml", "lua", "py", "json", "sql", "svg"];
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let kept = entries.filter(|path| !path.ends_with("target") && !path.ends_with(".git"));
    let (folders, files): (Vec<_>, Vec<_>) = kept.partition(|path| path.is_dir());
    let is_text =
        |path: &PathBuf| path.extension().is_some_and(|kind| KINDS.iter().any(|one| kind == *one));
    files
        .into_iter()
        .filter(is_text)
        .chain(folders.iter().flat_map(|one| self::files(one)))
        .collect()
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let is_kept = |one: &char| one.is_alphanumeric() || " -_".contains(*one);
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars().filter(is_kept).collect::<String>().replace(' ', "-")
}

/// Whether `path#anchor`, seen from `folder`, leads nowhere or out of the repository.
fn is_broken(folder: &Path, link: &str) -> bool {
    let (path, wanted) = link.split_once('#').unwrap_or((link, ""));
    let Ok(target) = folder.join(path).canonicalize() else { return true };
    let is_there = || {
        let page = fs::read_to_string(&target).unwrap();
        page.lines().any(|line| line.starts_with('#') && anchor(line) == wanted)
    };
    !target.starts_with(workspace::root().canonicalize().unwrap())
        || !(wanted.is_empty() || is_there())
}

#[test]
fn links_and_citations_lead_to_what_is_there_and_nothing_leads_outside() {
    let root = workspace::root();
    let mut broken = Vec::new();
    for file in files(&root) {
        let text = fs::read_to_string(&file).unwrap();
        let elsewhere = ["home", "root", "Users", "work"].map(|name| format!("/{name}/"));
        let named = elsewhere.iter().filter(|folder| text.contains(*folder));
        broken.extend(named.map(|folder| format!("{}: {folder}", file.display())));
        let mut check = |folder: &Path, link: &str| {
            if is_broken(folder, link) {
                broken.push(format!("{}: {link}", file.display()));
            }
        };
        let in_a_name = |one: char| one.is_alphanumeric() || "./_-#".contains(one);
        for (before, after) in text.split("docs/").zip(text.split("docs/").skip(1)) {
            let cited = after.split(|one| !in_a_name(one)).next().unwrap().trim_end_matches('.');
            if cited.contains(".md") && !before.ends_with(in_a_name) {
                check(&root, &format!("docs/{cited}"));
            }
        }
        // What tools/ has are the templates of pages in docs/.
        let is_template = file.starts_with(root.join("tools"));
        let folder = if is_template { root.join("docs") } else { file.parent().unwrap().into() };
        let is_page = file.extension().unwrap() == "md";
        for link in text.split("](").skip(1).filter(|_| is_page) {
            let link = link.split(')').next().unwrap();
            match link.strip_prefix('#') {
                Some(_) => check(&folder, &format!("{}{link}", file.display())),
                None if link.starts_with("https://") => {}
                None => check(&folder, link),
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
