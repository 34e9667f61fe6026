//! The route, and the spellings that only pretend to be another path.

use std::borrow::Cow;

use matchit::Router;

use crate::percent;

/// The documented path, in matchit's notation.
pub const PATTERN: &str = "/v2/{project_id}/os-vendor-backup-sharing/count";

/// Where a path leads, when it concerns this call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target<'p> {
    /// The route itself.
    Count {
        /// The project id as it stands in the path, not checked yet.
        project_id: Cow<'p, str>,
        /// What follows the first `?`; empty without one.
        query: &'p [u8],
    },
    /// A spelling that becomes the route once a backend normalises it.
    Disguised,
}

/// The one route of this call.
#[derive(Clone, Debug)]
pub struct Route {
    router: Router<()>,
}

impl Route {
    /// Builds the router.
    ///
    /// # Errors
    /// If matchit refuses [`PATTERN`], which a test excludes.
    pub fn new() -> Result<Route, matchit::InsertError> {
        let mut router = Router::new();
        router.insert(PATTERN, ())?;
        Ok(Route { router })
    }

    /// Looks at a `:path` with its query. `None`: the request is for somebody else.
    pub fn locate<'p>(&self, path_and_query: &'p [u8]) -> Option<Target<'p>> {
        let mut parts = path_and_query.splitn(2, |&byte| byte == b'?');
        let path = parts.next().unwrap_or_default();
        let query = parts.next().unwrap_or_default();
        if let Some(project_id) = self.project_id(path) {
            return Some(Target::Count { project_id, query });
        }
        self.is_disguised(path).then_some(Target::Disguised)
    }

    /// The project id if `path` is the route, byte for byte.
    fn project_id<'p>(&self, path: &'p [u8]) -> Option<Cow<'p, str>> {
        match String::from_utf8_lossy(path) {
            Cow::Borrowed(path) => self.parameter(path).map(Cow::Borrowed),
            // A project id with bytes beyond UTF-8 is refused later, as any other bad one.
            Cow::Owned(path) => self.parameter(&path).map(str::to_owned).map(Cow::Owned),
        }
    }

    fn parameter<'p>(&self, path: &'p str) -> Option<&'p str> {
        self.router.at(path).ok()?.params.get("project_id")
    }

    /// Whether some backend could read `path` as the route.
    fn is_disguised(&self, path: &[u8]) -> bool {
        might_normalise(path)
            && names_the_call(path)
            && (path.len() > LONG
                || Reading::all_of(path).any(|reading| self.is_route(reading, path)))
    }

    fn is_route(&self, reading: Reading, path: &[u8]) -> bool {
        let resolved = resolve_dots(&reading.before_dots(path), reading.merges);
        self.project_id(&resolved).is_some() || {
            let path = reading.after_dots(resolved);
            self.project_id(&resolve_dots(&path, true)).is_some()
        }
    }
}

/// A longer path in an odd spelling is not read at all, but refused: one of 60 KB would take 180
/// million instructions (`docs/decisions/`), and nobody honest spells this call in so many bytes.
const LONG: usize = 160;

/// Whether `path` has the name of this call in it. No step joins what stands apart, so every
/// disguise has it in one piece.
fn names_the_call(path: &[u8]) -> bool {
    const CALL: &[u8] = b"os-vendor-backup-sharing";
    percent::decode_path(path).windows(CALL.len()).any(|word| word == CALL)
}

/// Whether normalisation could change `path`: a quick no for nearly all.
fn might_normalise(path: &[u8]) -> bool {
    path.ends_with(b"/")
        || path.iter().any(|byte| matches!(byte, b'%' | b'\\' | b';'))
        || path.windows(2).any(|pair| pair == b"//" || pair == b"/.")
}

/// What a lenient backend does to a path before it resolves dot segments; the rest it does after
/// that, or never. So backends differ in what the `..` of `a%2Fb/..`, `a\b/..`, `..;v=1/..` and
/// `a//..` takes away, and in whether `;v=1%2Fb` is all parameter.
#[derive(Clone, Copy, Debug)]
struct Reading {
    cuts_parameters_first: bool,
    decodes: bool,
    straightens_backslashes: bool,
    cuts_parameters: bool,
    merges: bool,
}

impl Reading {
    /// Every reading that could matter for `path`; few, but for paths made to have many.
    fn all_of(path: &[u8]) -> impl Iterator<Item = Reading> {
        let decoded = percent::decode_path(path);
        let escapes = decoded.len() < path.len();
        let matters = [
            escapes && path.contains(&b';'),
            escapes,
            decoded.contains(&b'\\'),
            decoded.contains(&b';'),
            true,
        ];
        let choices = (0..32_u8).map(|choice| [1, 2, 4, 8, 16].map(|bit| choice & bit != 0));
        let possible = move |choice: &[bool; 5]| {
            choice.iter().zip(matters).all(|(&done, matters)| matters || !done)
        };
        choices.filter(possible).map(|choice| {
            let [cuts_parameters_first, decodes, straightens_backslashes, cuts_parameters, merges] =
                choice;
            Reading {
                cuts_parameters_first,
                decodes,
                straightens_backslashes,
                cuts_parameters,
                merges,
            }
        })
    }

    fn before_dots(self, path: &[u8]) -> Vec<u8> {
        let mut path = path.to_vec();
        if self.cuts_parameters_first {
            path = cut_parameters(&path);
        }
        if self.decodes {
            path = percent::decode_path(&path);
        }
        if self.straightens_backslashes {
            straighten_backslashes(&mut path);
        }
        if self.cuts_parameters {
            path = cut_parameters(&path);
        }
        path
    }

    fn after_dots(self, mut path: Vec<u8>) -> Vec<u8> {
        if !self.decodes {
            path = percent::decode_path(&path);
        }
        straighten_backslashes(&mut path);
        cut_parameters(&path)
    }
}

fn straighten_backslashes(path: &mut [u8]) {
    for byte in path.iter_mut().filter(|byte| **byte == b'\\') {
        *byte = b'/';
    }
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

/// Resolves dot segments, merges `//` before or after that, and drops a trailing `/`.
fn resolve_dots(path: &[u8], merge_first: bool) -> Vec<u8> {
    // What begins otherwise is no path (RFC 9112 §3.2.1).
    let Some(path) = path.strip_prefix(b"/") else {
        return path.to_vec();
    };
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"." => {}
            b".." => {
                kept.pop();
            }
            b"" if merge_first => {}
            _ => kept.push(segment),
        }
    }
    let mut resolved = Vec::with_capacity(path.len().saturating_add(1));
    for segment in kept.into_iter().filter(|segment| !segment.is_empty()) {
        resolved.push(b'/');
        resolved.extend_from_slice(segment);
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locate(path: &str) -> Option<Target<'_>> {
        Route::new().unwrap().locate(path.as_bytes())
    }

    fn count<'p>(project_id: &'p str, query: &'p str) -> Option<Target<'p>> {
        let project_id = Cow::Borrowed(project_id);
        let query = query.as_bytes();
        Some(Target::Count { project_id, query })
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
        let path = b"/v2/\xFF/os-vendor-backup-sharing/count";
        assert!(matches!(route.locate(path), Some(Target::Count { .. })));
    }

    #[test]
    fn other_paths_are_left_alone() {
        for path in [
            "",
            "/",
            "*",
            "/v2",
            "/v2/p1/os-vendor-backup-sharing",
            "/v2/p1/os-vendor-backup-sharing/",
            "/v2/p1/os-vendor-backup-sharing/detail",
            "/v2/p1/os-vendor-backup-sharing/count2",
            "/v2/p1/os-vendor-backup-sharing/Count",
            "/v2/p1/os-vendor-backup-sharing/count/x",
            "/v2/p1/os-vendor-backup-sharing/%2563ount",
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
            "/v2/p1/os-vendor-backup-sharing/count/",
            "/v2/p1/os-vendor-backup-sharing/count//",
            "//v2/p1/os-vendor-backup-sharing/count",
            "/v2/p1//os-vendor-backup-sharing/count",
            "/v2/p1/os-vendor-backup-sharing/%63ount",
            "/v2/p1/os%2Dvendor-backup-sharing/count",
            "/v2/p1%2Fos-vendor-backup-sharing/count",
            "/%76%32/p1/os-vendor-backup-sharing/count",
            "/v2/p1/./os-vendor-backup-sharing/count",
            "/v2/p1/x/../os-vendor-backup-sharing/count",
            "/v2/p1/x/%2e%2E/os-vendor-backup-sharing/count",
            "/v2/p1/x/..;a=b/os-vendor-backup-sharing/count",
            "/../v2/p1/os-vendor-backup-sharing/count",
            "/v2\\p1\\os-vendor-backup-sharing\\count",
            "/v2/p1/os-vendor-backup-sharing/x%5C..%5Ccount",
            "/v2/p1/os-vendor-backup-sharing/count;v=1",
            "/v2/p1/os-vendor-backup-sharing/count%3Bv=1",
            "/v2;a/p1/os-vendor-backup-sharing;b/count",
            "/v2/p1//../os-vendor-backup-sharing/count",
            "/v2/p1/x//../../os-vendor-backup-sharing/count",
            "/v2/p1/os-vendor-backup-sharing/count/?name=a",
            "/v2/p1/a\\b/../os-vendor-backup-sharing/count",
            "/v2/p1/a%2Fb/../os-vendor-backup-sharing/count",
            "/v2/p1/%2e%2e/../os-vendor-backup-sharing/count",
            "/v2/p1/..;v=1/../os-vendor-backup-sharing/count",
            "/v2/p1/os-vendor-backup-sharing/count;v=1%2Fx",
        ] {
            assert_eq!(locate(path), Some(Target::Disguised), "{path}");
        }
    }

    #[test]
    fn a_long_path_in_an_odd_spelling_is_refused_unread() {
        let long = "x".repeat(LONG);
        let detail = format!("/v2/{long}/os-vendor-backup-sharing/detail");
        assert_eq!(locate(&detail), None);
        assert_eq!(locate(&format!("{detail}/")), Some(Target::Disguised));
        assert_eq!(locate(&format!("/v2/{long}/backups/")), None);
    }
}
