//! Plugin configurations.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::mutate::mutated;

const PIECES: &[&str] = &[
    "{", "}", "[", "]", "\"", ",", ":", "null", "true", "1", "-1", "2.0", "e0", "\"retries\":",
    "1e999", "\\n", "\\u0041", "\\ud800", "\n", " ", "\\", "s", "%", "/", "//", "/..", "%2e", "?",
    "#", "@", "[::1]", ":80", ":65536", "a", "Z", "é", "\"mode\":\"validate\",",
    "\"cluster\":\"c\",", ".", "-", "+", "_", "0",
];

/// Values of each field, good and bad.
const FIELDS: &[(&str, &[&str])] = &[
    ("cluster", &["\"c\"", "\"c_d\"", "\"a:80\"", "\"outbound|80||a\"", "\"\"", "1", "null"]),
    ("protocol", &["\"vbs\"", "\"rqlite\"", "\"VBS\""]),
    (
        "authority",
        &[
            "\"a\"", "\"a:80\"", "\"[::1]:8080\"", "\"a%20b\"", "\"a:\"", "\"u@a\"", "\"a:65536\"",
            "\"\"", "\"[v7.a]\"", "\"[::g]\"", "\"a:0080\"", "\"a:000001\"", "\"[:::]\"",
            "\"[1:2:3:4:5:6:7::]\"", "\"[::1.2.3.04]\"", "\"a:+80\"", "\"a_b!\"", "\"[1::2::3]\"",
        ],
    ),
    (
        "path_prefix",
        &[
            "\"\"", "\"/a\"", "\"/a/b:@\"", "\"/a//b\"", "\"//a\"", "\"/a/\"", "\"a\"",
            "\"/a%2f\"", "\"/%4\"", "\"/a?b\"", "\"/a/../b\"", "\"/%2e\"", "\"/.%2E/a\"",
            "\"/...\"", "\"/.a\"", "\"/a/.%252e\"",
        ],
    ),
    (
        "timeout",
        &[
            "\"1s\"", "\"0.001s\"", "\"0.0009s\"", "\"60s\"", "\"60.000000001s\"",
            "\"59.9999999s\"", "\"0s\"", "\"-1s\"", "\"1.s\"", "\".5s\"", "\"1\"", "\"+1s\"",
            "\"01s\"", "\"1.0000000001s\"", "1", "\"1e1s\"",
        ],
    ),
    (
        "forward_headers",
        &[
            "[]", "[\"a\"]", "[\"X-Tenant\",\"b3\"]", "[\"a\",\"Host\"]", "[\"te\"]",
            "[\"content-x\"]", "[\"a\\u0022\"]", "[1]", "\"a\"", "[\":path\"]", "[\"x-envoy-a\"]",
            "[\"a`|~!#$%&'*+.^_\"]", "[\"trailers\"]",
        ],
    ),
    (
        "retries",
        &["0", "3", "4", "-1", "2.0", "2.5", "1e0", "-0", "30e-1", "\"2\"", "true", "null"],
    ),
    ("unknown", &["\"reject\"", "\"ignore\"", "\"Reject\"", "true"]),
    (
        "statuses",
        &["[\"ok\"]", "[]", "[\"Ok\"]", "[\"a-1_b\",\"c\"]", "[\"1a\"]", "null", "[[\"a\"]]"],
    ),
    ("mode", &["\"count\"", "\"validate\"", "\"Count\"", "null"]),
];

fn member(fields: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let field = select(&FIELDS[fields]);
    field.prop_flat_map(|(name, values)| {
        select(values).prop_map(move |value| format!("\"{name}\":{value}"))
    })
}

fn section(name: &'static str, fields: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    vec(member(fields), 0..4)
        .prop_map(move |members| format!("\"{name}\":{{{}}}", members.join(",")))
}

/// A configuration as JSON.
fn configurations() -> impl Strategy<Value = Vec<u8>> {
    let mode = prop_oneof![2 => Just(String::new()), 1 => member(9..10)];
    let store = prop_oneof![
        3 => section("store", 1..7)
            .prop_map(|store| store.replacen('{', "{\"cluster\":\"c\",", 1).replace(",}", "}")),
        1 => section("store", 0..7),
    ];
    let filters = prop_oneof![1 => Just(String::new()), 1 => section("filters", 7..9)];
    (mode, store, filters).prop_map(|sections| {
        let (mode, store, filters) = sections;
        let sections = [mode, store, filters].into_iter().filter(|section| !section.is_empty());
        format!("{{{}}}", sections.collect::<Vec<_>>().join(",")).into_bytes()
    })
}

proptest! {
    #![proptest_config(crate::cases(4_000))]

    #[test]
    fn the_filter_takes_the_configurations_of_the_contract(text in prop_oneof![
        configurations(),
        mutated(configurations(), PIECES),
    ]) {
        oracles::configuration::check(&text);
    }
}
