//! The route, and the disguises: other spellings that a backend could read as the route
//! (docs/contract.md#requests).

use std::borrow::Cow;

use matchit::{InsertError, Router};

use crate::bytes;
use crate::percent;

/// The documented path up to its project id.
pub const BEFORE: &str = "/v2/";

/// The documented path after its project id.
pub const AFTER: &str = "/os-vendor-backup-sharing/count";

/// A path that concerns this call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target<'p> {
    /// The route itself.
    Count {
        /// The project id as it stands in the path, not checked yet. Bytes beyond UTF-8 are U+FFFD, which
        /// no project id has.
        project_id: Cow<'p, str>,
        /// What follows the first `?`; empty without one.
        query: &'p [u8],
    },
    /// A spelling that becomes the route once a backend normalises it.
    Disguised,
}

/// Matches paths.
#[derive(Clone, Debug)]
pub struct Route {
    router: Router<()>,
}

impl Route {
    /// The documented route.
    ///
    /// # Errors
    /// If the router refuses the pattern, which is a constant.
    pub fn new() -> Result<Route, InsertError> {
        let mut router = Router::new();
        router.insert(format!("{BEFORE}{{project_id}}{AFTER}"), ())?;
        Ok(Route { router })
    }

    /// Matches a `:path` with its query. `None`: it is another path.
    pub fn locate<'p>(&self, path_and_query: &'p [u8]) -> Option<Target<'p>> {
        let end = bytes::position(path_and_query, [b'?']).unwrap_or(path_and_query.len());
        let (path, query) = path_and_query.split_at_checked(end)?;
        match self.project_id(path) {
            Some(project_id) => {
                let query = query.get(1..).unwrap_or_default();
                Some(Target::Count { project_id, query })
            }
            None => self.is_disguised(path).then_some(Target::Disguised),
        }
    }

    /// The project id of a path that is the route, byte for byte.
    fn project_id<'p>(&self, path: &'p [u8]) -> Option<Cow<'p, str>> {
        match str::from_utf8(path) {
            Ok(path) => self.router.at(path).ok()?.params.get("project_id").map(Cow::Borrowed),
            // The router reads text. Only a project id may hold anything else and still be the route.
            Err(_) => {
                let path = String::from_utf8_lossy(path);
                let project_id = self.router.at(&path).ok()?.params.get("project_id")?;
                Some(Cow::Owned(project_id.to_owned()))
            }
        }
    }

    /// Whether a backend, or several in a row, could read `path` as the route.
    fn is_disguised(&self, path: &[u8]) -> bool {
        if !might_normalise(path) || !names_the_call(path) {
            return false;
        }
        let most = READ.checked_div(path.len()).unwrap_or_default().max(1);
        let mut spellings = vec![Spelling { path: path.to_vec(), decoded: false }];
        let mut read: usize = 0;
        while let Some(spelling) = spellings.get(read).cloned() {
            if self.project_id(without_trailing_slash(&spelling.path)).is_some() {
                return true;
            }
            for next in spelling.next() {
                if spellings.contains(&next) {
                    continue;
                }
                if spellings.len() >= most {
                    return true;
                }
                spellings.push(next);
            }
            read = read.saturating_add(1);
        }
        false
    }
}

/// The most bytes of spellings that are read for one path. A path that has more is refused: no honest path has
/// that many, and to read on would cost milliseconds (docs/decisions/2026-11-23-disguised-paths.md).
const READ: usize = 8 * 1024;

/// Whether normalisation could change `path`. For nearly all paths the answer is a quick no.
fn might_normalise(path: &[u8]) -> bool {
    let mut before = 0;
    for &byte in path {
        match byte {
            b'%' | b'\\' | b';' => return true,
            b'/' | b'.' if before == b'/' => return true,
            _ => before = byte,
        }
    }
    before == b'/'
}

/// Whether `path` contains the name of this call. No step of normalisation joins separate pieces, so every
/// disguise contains it whole.
fn names_the_call(path: &[u8]) -> bool {
    const CALL: &[u8] = b"os-vendor-backup-sharing";
    percent::decode_path(path).windows(CALL.len()).any(|word| word == CALL)
}

/// What a path may have become on its way through backends.
#[derive(Clone, PartialEq, Eq)]
struct Spelling {
    path: Vec<u8>,
    /// Escapes are decoded in one round, or `%2563ount` would be the route.
    decoded: bool,
}

impl Spelling {
    /// The results of one more step. Backends take the steps in different orders, and some steps twice, so which
    /// segment the `..` of `a\b/..`, `a%2Fb/..` or `a//..` removes depends on the backend.
    fn next(&self) -> impl Iterator<Item = Spelling> {
        type Step = fn(&[u8]) -> Vec<u8>;
        const STEPS: [Step; 5] =
            [straighten_backslashes, cut_parameters, merge_slashes, cut_authority, resolve_dots];
        let decoded = self.decoded;
        let steps = STEPS.iter().map(move |step| Spelling { path: step(&self.path), decoded });
        let decode = || Spelling { path: percent::decode_path(&self.path), decoded: true };
        let changed = |next: &Spelling| next.path != self.path;
        steps.chain((!decoded).then(decode)).filter(changed)
    }
}

/// Reads every `\` as `/`.
fn straighten_backslashes(path: &[u8]) -> Vec<u8> {
    path.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect()
}

/// Cuts `;parameters` from every segment.
fn cut_parameters(path: &[u8]) -> Vec<u8> {
    let mut inside = false;
    let keep = |byte: &u8| {
        inside = *byte == b';' || (inside && *byte != b'/');
        !inside
    };
    path.iter().copied().filter(keep).collect()
}

/// Makes one `/` of several.
fn merge_slashes(path: &[u8]) -> Vec<u8> {
    let mut merged = path.to_vec();
    merged.dedup_by(|byte, before| *byte == b'/' && *before == b'/');
    merged
}

/// Cuts off what a reader of URLs takes for an authority: `//host` (RFC 3986 §4.2).
fn cut_authority(path: &[u8]) -> Vec<u8> {
    let behind = path.strip_prefix(b"//").map(|rest| {
        let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
        rest.get(end..).unwrap_or_default()
    });
    behind.unwrap_or(path).to_vec()
}

/// Resolves dot segments (RFC 3986 §5.2.4).
fn resolve_dots(path: &[u8]) -> Vec<u8> {
    // What begins otherwise is no path (RFC 9112 §3.2.1).
    let Some(segments) = path.strip_prefix(b"/") else {
        return path.to_vec();
    };
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut is_folder = false;
    for segment in segments.split(|&byte| byte == b'/') {
        is_folder = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let mut resolved = Vec::with_capacity(path.len());
    for segment in kept {
        resolved.push(b'/');
        resolved.extend_from_slice(segment);
    }
    if is_folder {
        resolved.push(b'/');
    }
    resolved
}

fn without_trailing_slash(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/');
    end.and_then(|end| path.get(..=end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locate(path: &str) -> Option<Target<'_>> {
        Route::new().unwrap().locate(path.as_bytes())
    }

    fn count<'p>(project_id: &'p str, query: &'p str) -> Option<Target<'p>> {
        Some(Target::Count { project_id: project_id.into(), query: query.as_bytes() })
    }

    #[test]
    fn the_route_is_matched_byte_for_byte() {
        let path = "/v2/p1/os-vendor-backup-sharing/count";
        assert_eq!(locate(path), count("p1", ""));
        assert_eq!(locate(&format!("{path}?a=b?c")), count("p1", "a=b?c"));
        for odd in ["..", "%2e", "a;b", "a%2Fb"] {
            let path = format!("/v2/{odd}/os-vendor-backup-sharing/count");
            assert_eq!(locate(&path), count(odd, ""), "a bad project id, not a disguise");
        }
    }

    #[test]
    fn bytes_beyond_utf_8_in_the_project_id_are_still_the_route() {
        let route = Route::new().unwrap();
        let found = route.locate(b"/v2/a\xFF/os-vendor-backup-sharing/count?b");
        assert_eq!(found, count("a\u{FFFD}", "b"));
        assert_eq!(route.locate(b"/v2/a/os-vendor-backup-sharing/count\xFF"), None);
        let disguised = route.locate(b"/v2/a\xFF//os-vendor-backup-sharing/count");
        assert_eq!(disguised, Some(Target::Disguised));
    }

    #[test]
    fn other_paths_are_left_alone() {
        for path in [
            "",
            "/",
            "*",
            "/v2",
            "/v2/p1/os-vendor-backup-sharing/",
            "/v2/p1/os-vendor-backup-sharing/count2",
            "/v2/p1/os-vendor-backup-sharing/Count",
            "/v2/p1/os-vendor-backup-sharing/count/x",
            "/v2/p1/os-vendor-backup-sharing/count%3Fname=a",
            "/v2/p?1/os-vendor-backup-sharing/count",
            "/v2/?/os-vendor-backup-sharing/count",
            "/v2//os-vendor-backup-sharing/count",
            "/v3/p1/os-vendor-backup-sharing/count",
            "/x/v2/p1/os-vendor-backup-sharing/count",
            "/v2/p1/os-vendor-backup-sharing/count/..",
        ] {
            assert_eq!(locate(path), None, "{path}");
        }
    }

    #[test]
    fn other_spellings_of_the_route_are_disguised() {
        for path in [
            "/v2/p1/os-vendor-backup-sharing/count//",
            "//v2/p1/os-vendor-backup-sharing/count",
            "/v2/p1//os-vendor-backup-sharing/count",
            "/v2/p1/os%2Dvendor-backup-sharing/count",
            "/%76%32/p1/os-vendor-backup-sharing/count",
            "/v2/p1/./os-vendor-backup-sharing/count",
            "/v2/p1/x/../os-vendor-backup-sharing/count",
            "/v2/p1/x/..;a=b/os-vendor-backup-sharing/count",
            "/../v2/p1/os-vendor-backup-sharing/count",
            "/v2/p1/os-vendor-backup-sharing/x%5C..%5Ccount",
            "/v2/p1/os-vendor-backup-sharing/count%3Bv=1",
            "/v2;a/p1/os-vendor-backup-sharing;b/count",
            "/v2/p%3F1/os-vendor-backup-sharing/%63ount",
            "/v2/p1//../os-vendor-backup-sharing/count",
            "/v2/p1/x//../../os-vendor-backup-sharing/count",
            "/v2/p1/os-vendor-backup-sharing/count/?name=a",
            "/v2/p1/os-vendor-backup-sharing/count;a\\b%5Cx/%2E.;",
            "//c//.%2E//v2/p1;a%5Cb/../os-vendor-backup-sharing/count\\/../",
        ] {
            assert_eq!(locate(path), Some(Target::Disguised), "{path}");
        }
    }

    #[test]
    fn a_path_with_too_many_spellings_is_refused_and_a_long_one_is_read() {
        let long = |length| "x".repeat(length);
        for path in [
            format!("/v2/{}/os-vendor-backup-sharing/detail/", long(60_000)),
            format!("/v2/p1/os-vendor-backup-sharing/%20{};v=1", long(2_000)),
            format!("/v2/p1/os-vendor-backup-sharing/count/../../volumes/{}", long(4_000)),
        ] {
            assert_eq!(locate(&path), None, "{path:.60}");
        }
        let many = "/a;b\\%2e%2e".repeat(100);
        let path = format!("/v2/p1/os-vendor-backup-sharing{many}/x");
        assert_eq!(locate(&path), Some(Target::Disguised));
    }
}
