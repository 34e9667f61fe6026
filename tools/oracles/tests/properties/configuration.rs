//! Plugin configurations.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::mutate::mutated;

const PIECES: &[&str] = &[
    "{", "}", "[", "]", "\"", ",", ":", "null", "true", "1", "-1", "2.0", "e0", "\"retries\":",
    "1e999", "\\n", "\\u0041", "\\ud800", "\n", " ", "\\", "s", "%", "/", "//", "/..", "%2e", "?",
    "#", "@", "[::1]", ":80", ":65536", "a", "Z", "é", "\"mode\":\"validate\",",
    "\"cluster\":\"c\",", "\"keystone\":{", ".", "-", "+", "_", "0",
];

/// Values of each field, good and bad.
const FIELDS: &[(&str, &[&str])] = &[
    ("protocol", &["\"vbs\"", "\"rqlite\"", "\"VBS\""]),
    (
        "forward_headers",
        &[
            "[]", "[\"a\"]", "[\"X-Tenant\",\"b3\"]", "[\"a\",\"Host\"]", "[\"te\"]",
            "[\"content-x\"]", "[\"a\\u0022\"]", "[1]", "\"a\"", "[\":path\"]", "[\"x-envoy-a\"]",
            "[\"a`|~!#$%&'*+.^_\"]", "[\"trailers\"]",
        ],
    ),
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
        "retries",
        &["0", "3", "4", "-1", "2.0", "2.5", "1e0", "-0", "30e-1", "\"2\"", "true", "null"],
    ),
    ("roles", &["[]", "[\"Member\",\"a b\"]", "[\"\"]", "\"member\"", "[null]", "null"]),
    (
        "remember",
        &[
            "\"60s\"", "\"0s\"", "\"300s\"", "\"300.000000001s\"", "\"-0s\"", "\"-1s\"",
            "\"0.0000000015s\"", "\"0.000000001s\"", "60",
        ],
    ),
    ("max_tokens", &["1", "100000", "100001", "0", "2.0", "1e4", "-1", "1.5", "\"1\""]),
    ("challenge", &["\"Own\"", "\"\"", "\"a\\nb\"", "\"é\"", "\" ~\"", "1", "null"]),
    ("header", &["\"X-Tenant\"", "\"te\"", "\"x_\"", "\"\"", "\"x-auth-token\"", "null"]),
    ("unknown", &["\"reject\"", "\"ignore\"", "\"Reject\"", "true"]),
    (
        "statuses",
        &["[\"ok\"]", "[]", "[\"Ok\"]", "[\"a-1_b\",\"c\"]", "[\"1a\"]", "null", "[[\"a\"]]"],
    ),
    ("mode", &["\"count\"", "\"validate\"", "\"Count\"", "null"]),
    ("metrics", &["\"on\"", "\"off\"", "true", "false", "\"Off\"", "0", "null"]),
    (
        "ttl",
        &[
            "\"5s\"", "\"0s\"", "\"0.001s\"", "\"0.0009s\"", "\"3600s\"", "\"3600.1s\"", "\"-1s\"",
            "5",
        ],
    ),
    ("stale_if_error", &["\"0s\"", "\"60.5s\"", "\"86400s\"", "\"86400.1s\"", "null"]),
    ("max_entries", &["1", "100000", "100001", "0", "2.0", "1.5", "\"1\""]),
    ("cluster", &["\"c\"", "\"c_d\"", "\"a:80\"", "\"outbound|80||a\"", "\"\"", "1", "null"]),
];

const STORE: Range<usize> = 0..6;
const KEYSTONE: Range<usize> = 2..9;
const AUTH: Range<usize> = 9..11;
const FILTERS: Range<usize> = 11..13;
const MODE: usize = 13;
const METRICS: usize = 14;
const CACHE: Range<usize> = 15..18;
const CLUSTER: usize = 18;

fn member(fields: Range<usize>) -> impl Strategy<Value = String> {
    let field = select(&FIELDS[fields]);
    field.prop_flat_map(|(name, values)| {
        select(values).prop_map(move |value| format!("\"{name}\":{value}"))
    })
}

fn maybe(member: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop_oneof![1 => Just(String::new()), 1 => member]
}

fn object(members: &[String]) -> String {
    let members: Vec<_> = members.iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
    format!("{{{}}}", members.join(","))
}

/// Mostly with a cluster, for without one nothing else matters.
fn service(name: &'static str, fields: Range<usize>) -> impl Strategy<Value = String> {
    let cluster = prop_oneof![
        6 => Just("\"cluster\":\"c\"".to_owned()),
        1 => Just(String::new()),
        1 => member(CLUSTER..CLUSTER + 1),
    ];
    (cluster, vec(member(fields), 0..4)).prop_map(move |(cluster, mut members)| {
        members.push(cluster);
        format!("\"{name}\":{}", object(&members))
    })
}

fn auth() -> impl Strategy<Value = String> {
    let keystone = || service("keystone", KEYSTONE);
    let challenge = || Just("\"challenge\":\"Own\"".to_owned());
    let members = |mode: &'static str, some, others| {
        (some, others).prop_map(move |(some, mut others): (String, Vec<String>)| {
            others.extend([some, format!("\"mode\":\"{mode}\"")]);
            object(&others)
        })
    };
    let others = || vec(member(AUTH), 0..2);
    let auth = prop_oneof![
        1 => members("none", maybe(keystone()).boxed(), others()),
        2 => members("header", challenge().boxed(), vec(member(AUTH.start + 1..AUTH.end), 0..2)),
        1 => members("header", maybe(keystone()).boxed(), others()),
        4 => members("keystone", keystone().boxed(), vec(member(AUTH.start..AUTH.start + 1), 0..2)),
        1 => members("keystone", maybe(keystone()).boxed(), others()),
        1 => members("jwt", keystone().boxed(), others()),
    ];
    auth.prop_map(|auth| format!("\"auth\":{auth}"))
}

/// Mostly with a ttl above 0, for without one the others are wrong.
fn cache() -> impl Strategy<Value = String> {
    let ttl = prop_oneof![2 => Just("\"ttl\":\"5s\"".to_owned()), 1 => member(CACHE)];
    (ttl, vec(member(CACHE.start + 1..CACHE.end), 0..3)).prop_map(|(ttl, mut members)| {
        members.push(ttl);
        format!("\"cache\":{}", object(&members))
    })
}

/// A configuration as JSON.
fn configurations() -> impl Strategy<Value = Vec<u8>> {
    let filters =
        vec(member(FILTERS), 0..4).prop_map(|members| format!("\"filters\":{}", object(&members)));
    let [mode, metrics] = [MODE, METRICS].map(|at| maybe(member(at..at + 1)));
    let sections = (service("store", STORE), maybe(auth()), maybe(cache()), maybe(filters));
    (mode, sections, metrics).prop_map(|(mode, (store, auth, cache, filters), metrics)| {
        object(&[mode, store, auth, cache, filters, metrics]).into_bytes()
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
