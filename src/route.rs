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

    /// Whether some backend could read `path` as the route. Backends differ in
    /// whether `a//..` is `a` or nothing, so both readings are tried.
    fn is_disguised(&self, path: &[u8]) -> bool {
        might_normalise(path)
            && [true, false].iter().any(|&merge_first| {
                let path = normalise(path, merge_first);
                self.project_id(&path).is_some()
            })
    }
}

/// Whether normalisation could change `path`: a quick no for nearly all.
fn might_normalise(path: &[u8]) -> bool {
    path.ends_with(b"/")
        || path.iter().any(|byte| matches!(byte, b'%' | b'\\' | b';'))
        || path.windows(2).any(|pair| pair == b"//" || pair == b"/.")
}

/// What a lenient backend may make of a path: one round of percent-decoding,
/// `\` read as `/`, `;parameters` cut, `//` merged, dot segments resolved, a
/// trailing `/` dropped.
fn normalise(path: &[u8], merge_first: bool) -> Vec<u8> {
    let decoded = percent::decode_path(path);
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in decoded.split(|byte| matches!(byte, b'/' | b'\\')).skip(1) {
        let name = segment.split(|&byte| byte == b';').next().unwrap_or_default();
        match name {
            b"." => {}
            b".." => {
                kept.pop();
            }
            b"" if merge_first => {}
            _ => kept.push(name),
        }
    }
    let mut normal = Vec::with_capacity(decoded.len());
    for name in kept.iter().filter(|name| !name.is_empty()) {
        normal.push(b'/');
        normal.extend_from_slice(name);
    }
    normal
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
        ] {
            assert_eq!(locate(path), Some(Target::Disguised), "{path}");
        }
    }
}
