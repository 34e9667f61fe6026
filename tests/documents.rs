//! What files say of other files of this repository: links, citations and paths in pages lead to a file and a
//! heading that are there, and nothing points outside.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

use testkit::workspace;

/// The repository's files, without what builds leave.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let kept = entries.filter(|path| !path.ends_with("target") && !path.ends_with(".git"));
    kept.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
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
    let in_a_name = |one: char| one.is_alphanumeric() || "./_-#".contains(one);
    let mut broken = Vec::new();
    for file in files(&root) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let elsewhere = ["home", "root", "Users", "work"].map(|name| format!("/{name}/"));
        let named = elsewhere.iter().filter(|folder| text.contains(*folder));
        broken.extend(named.map(|folder| format!("{}: {folder}", file.display())));
        let mut check = |folder: &Path, link: &str| {
            if is_broken(folder, link) {
                broken.push(format!("{}: {link}", file.display()));
            }
        };
        for (before, after) in text.split("docs/").zip(text.split("docs/").skip(1)) {
            let cited = after.split(|one| !in_a_name(one)).next().unwrap().trim_end_matches('.');
            if cited.contains(".md") && !before.ends_with(in_a_name) {
                check(&root, &format!("docs/{cited}"));
            }
        }
        if file.extension().is_none_or(|kind| kind != "md") {
            continue;
        }
        // What tools/ has are the templates of pages in docs/.
        let is_template = file.starts_with(root.join("tools"));
        let folder = if is_template { root.join("docs") } else { file.parent().unwrap().into() };
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            match link.strip_prefix('#') {
                Some(_) => check(&folder, &format!("{}{link}", file.display())),
                None if link.starts_with("https://") => {}
                None => check(&folder, link),
            }
        }
        let folders = ["src/", "tests/", "tools/", "count-store/", "demo/"];
        for quoted in text.split('`').skip(1).step_by(2) {
            if folders.iter().any(|one| quoted.starts_with(one)) && quoted.chars().all(in_a_name) {
                check(&root, quoted);
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
