//! Paths: the route, disguised and spoilt.

use backup_sharing_count::route::Route;
use proptest::prelude::*;
use testkit::bypass_route;

use crate::mutate::{mutated, one_of, soup};

const PIECES: &[&str] = &[
    "/", "//", "\\", "%2f", "%2F", "%5c", "%5C", "/.", "/./", "/..", "/../", ".", "..", "%2e",
    "%2E%2e", "..;", ";", ";a=b", ";a/b", "%3b", "%3B", "%", "%25", "%2", "?", "x", "/x", "/x/..",
    "/a;b/..", "/a\\b/..", "%63", "v2", "p1", "os-vendor-backup-sharing", "count", "/v2/p1",
    "/count",
];

const ROUTES: &[&str] = &[
    "/v2/p1/os-vendor-backup-sharing/count",
    "/v2/p1/os-vendor-backup-sharing/count?name=a",
    "/v2/p1/os-vendor-backup-sharing/detail",
    "/%76%32/%70/os-vendor-backup-sharin%67/%63ount",
];

/// The route's segments with something between them.
pub fn disguised() -> impl Strategy<Value = Vec<u8>> {
    let between = || soup(PIECES, 4);
    let segment = |text| prop_oneof![3 => Just(vec![text]), 1 => Just(vec![])];
    (
        between(),
        segment("/v2"),
        between(),
        segment("/p1"),
        between(),
        segment("/os-vendor-backup-sharing"),
        between(),
        segment("/count"),
        between(),
    )
        .prop_map(|(a, v2, b, p, c, call, d, count, e)| {
            let segment = |texts: Vec<&str>| texts.concat().into_bytes();
            [a, segment(v2), b, segment(p), c, segment(call), d, segment(count), e].concat()
        })
}

/// Any of these.
pub fn paths() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![disguised(), mutated(one_of(ROUTES), PIECES), soup(PIECES, 12)]
}

proptest! {
    #![proptest_config(crate::cases(4_000))]

    #[test]
    fn the_filter_takes_the_paths_of_the_contract(path in paths()) {
        oracles::path::check(&path);
    }

    #[test]
    fn no_path_of_the_filters_is_left_out_by_the_route(path in paths()) {
        if Route::new().unwrap().locate(&path).is_some() {
            prop_assert!(!bypass_route::leaves_out(&path), "{}", path.escape_ascii());
        }
    }
}
