//! Which paths the filter takes (docs/contract.md#requests), by rewriting them as text, one step at a time.

use std::collections::{BTreeSet, VecDeque};

use backup_sharing_count::route::{Route, Target};

use crate::percent;

/// What the contract makes of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The route.
    Route {
        /// The project id as it stands there, one character for each byte.
        project: String,
        /// What follows the first `?`.
        query: Vec<u8>,
    },
    /// Another spelling of the route: some server, or a row of them, reads it as that.
    Disguised,
    /// It has more spellings than need be told apart: the filter may refuse it.
    Open,
    /// Another path.
    Elsewhere,
}

/// Asserts that the filter reads a path, with its query, as the contract does.
pub fn check(path_and_query: &[u8]) {
    let shown = path_and_query.escape_ascii();
    let route = Route::new().expect("the documented route");
    match (read(path_and_query), route.locate(path_and_query)) {
        (Reading::Elsewhere, None) | (Reading::Disguised, Some(Target::Disguised)) => {}
        (Reading::Open, None | Some(Target::Disguised)) => {}
        (Reading::Route { project, query }, Some(Target::Count { project_id, query: found })) => {
            assert_eq!(query, found, "the query of {shown}");
            let project: Vec<u8> = project.chars().map(|byte| byte as u8).collect();
            // What is no UTF-8 is no project id, however it is shown.
            let project = String::from_utf8_lossy(&project);
            assert_eq!(project, project_id, "the project id of {shown}");
        }
        (expected, found) => panic!("{shown}: expected {expected:?}, got {found:?}"),
    }
}

/// Reads a path with its query.
pub fn read(path_and_query: &[u8]) -> Reading {
    let (path, query) = match path_and_query.iter().position(|&byte| byte == b'?') {
        Some(mark) => (&path_and_query[..mark], &path_and_query[mark + 1..]),
        None => (path_and_query, &[][..]),
    };
    // One character for each byte, so that any path is text.
    let path: String = path.iter().copied().map(char::from).collect();
    if let Some(project) = project(&path) {
        return Reading::Route { project: project.to_owned(), query: query.to_vec() };
    }
    let spellings = spellings(&path);
    if spellings.iter().any(|path| project(path).is_some()) {
        return Reading::Disguised;
    }
    // The filter reads 8 KiB of them; of an escape, it reads what is decoded apart.
    match spellings.len() * path.len() > 4_096 {
        true => Reading::Open,
        false => Reading::Elsewhere,
    }
}

/// The project id, if `path` is the route to the letter.
fn project(path: &str) -> Option<&str> {
    match path.split('/').collect::<Vec<_>>()[..] {
        ["", "v2", project, "os-vendor-backup-sharing", "count"] if !project.is_empty() => {
            Some(project)
        }
        _ => None,
    }
}

/// All that a row of servers could make of `path`, each of which takes some of the contract's steps,
/// in any order; escapes are decoded in one round. Of a path with very many, the first.
fn spellings(path: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = VecDeque::from([(path.to_owned(), false)]);
    while let Some((path, decoded)) = open.pop_front() {
        if seen.len() > 300 || !seen.insert((path.clone(), decoded)) {
            continue;
        }
        open.extend(STEPS.map(|step| (step(&path), decoded)));
        if !decoded {
            open.push_back((decode(&path), true));
        }
    }
    seen.into_iter().map(|(path, _)| path).collect()
}

const STEPS: [fn(&str) -> String; 6] = [
    merge_slashes, resolve_dots, straighten_backslashes, cut_parameters, drop_trailing_slash,
    cut_authority,
];

/// Percent-decodes once; what is no escape stays.
fn decode(path: &str) -> String {
    let bytes: Vec<u8> = path.chars().map(|byte| byte as u8).collect();
    percent::decode(&bytes).into_iter().map(char::from).collect()
}

/// Makes one `/` of several.
fn merge_slashes(path: &str) -> String {
    let mut path = path.to_owned();
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    path
}

/// Resolves `.` and `..`: `remove_dot_segments` of RFC 3986 §5.2.4, rules B to E.
fn resolve_dots(path: &str) -> String {
    // What does not begin with a slash is no path (RFC 9112 §3.2.1).
    if !path.starts_with('/') {
        return path.to_owned();
    }
    let mut input = path;
    let mut output = String::new();
    while !input.is_empty() {
        if input.starts_with("/./") {
            input = &input[2..];
        } else if input == "/." {
            input = "/";
        } else if input.starts_with("/../") || input == "/.." {
            input = if input == "/.." { "/" } else { &input[3..] };
            output.truncate(output.rfind('/').unwrap_or(0));
        } else {
            // The slash and the segment behind it.
            let next = input[1..].find('/').map_or(input.len(), |at| at + 1);
            output.push_str(&input[..next]);
            input = &input[next..];
        }
    }
    output
}

/// Reads `\` as `/`.
fn straighten_backslashes(path: &str) -> String {
    path.replace('\\', "/")
}

/// Cuts `;parameters` from every segment (RFC 3986 §3.3).
fn cut_parameters(path: &str) -> String {
    let names = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    names.collect::<Vec<_>>().join("/")
}

/// Reads `//host/path` as an authority and a path (RFC 3986 §4.2).
fn cut_authority(path: &str) -> String {
    match path.strip_prefix("//").map(|rest| rest.split_once('/')) {
        Some(Some((_, path))) => format!("/{path}"),
        Some(None) => String::new(),
        None => path.to_owned(),
    }
}

/// Drops a trailing `/`.
fn drop_trailing_slash(path: &str) -> String {
    path.trim_end_matches('/').to_owned()
}
