//! What stores answer.

use oracles::http::Answer;
use oracles::reply::STATUSES;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::mutate::{mutated, one_of};

const PIECES: &[&str] = &[
    "{", "}", "[", "]", "\"", ",", ":", "\"count\":1", "\"count\"", "\\u0063ount", "0", "9", "-",
    ".", "e1", "1e999", "null", " ", "\n", "\\ud800", "\\ud83d\\ude00", "\u{1}", "é", "\u{feff}",
    "\"message\":\"b\",", "\"a\":{\"message\":\"c\"},",
];

const BODIES: &[&str] = &[
    "{\"count\":2}",
    "{\"count\":0,\"took\":\"1 ms\"}",
    "{\"count\":9223372036854775807}",
    "{\"count\":9223372036854775808}",
    "{\"count\":-0}",
    "{\"count\":1.0}",
    "{\"count\":1,\"count\":1}",
    "{\"rows\":[{\"count\":9}],\"count\":3}",
    "[2]",
    "",
    "{\"x\":1e999,\"count\":1}",
    "{\"count\":01}",
    "{\"count\":\"1\"}",
    "{\"count\":[1]}",
    "{\"itemNotFound\":{\"message\":\"No.\",\"code\":404}}",
    "{\"error\":{\"message\":\"\"}}",
    "{\"message\":\"x\"}",
    "{\"a\":1,\"error\":{\"code\":1e400,\"message\":\"x\"}}",
    "{\"error\":{\"message\":1}}",
    "<html>",
];

/// What is no status of the documented table, and what is none at all.
const OTHERS: &[&str] = &[
    "408", "429", "201", "204", "304", "418", "505", "+200", "0200", "200 ", "20", "", "2000",
    "65736", "-200", "x",
];

const FIELDS: &[(&str, &str)] = &[
    ("retry-after", "7"),
    ("retry-after", "soon"),
    ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("retry-after", "Sunday, 06-Nov-94 08:49:37 GMT"),
    ("retry-after", "Sun Nov  6 08:49:37 1994"),
    ("retry-after", ""),
    ("retry-after", "-1"),
    ("retry-after", "Sun, 06 Nov 1994 08:49:37 UTC"),
    ("www-authenticate", "Keystone uri=\"http://a/\""),
    ("www-authenticate", "é"),
    ("www-authenticate", ""),
    ("proxy-authenticate", "Basic realm=\"a\""),
    ("set-cookie", "a=b"),
    ("content-type", "text/html"),
    ("content-length", "2"),
    (":status", "200"),
];

fn long_message() -> impl Strategy<Value = Vec<u8>> {
    (select(&["a", "é", "\\u00e9", "\\n"][..]), 510..515_usize).prop_map(|(letter, length)| {
        format!("{{\"error\":{{\"message\":\"{}\"}}}}", letter.repeat(length)).into_bytes()
    })
}

fn long_body() -> impl Strategy<Value = Vec<u8>> {
    (65_519..65_531_usize)
        .prop_map(|spaces| ["{\"count\":2}", &" ".repeat(spaces)].concat().into_bytes())
}

/// An answer.
pub fn answers() -> impl Strategy<Value = Answer> {
    let status = prop_oneof![
        3 => Just(b"200".to_vec()),
        3 => select(&STATUSES[..]).prop_map(|status| status.code.to_string().into_bytes()),
        3 => one_of(OTHERS),
        1 => (100..1000_u16).prop_map(|code| code.to_string().into_bytes()),
    ];
    let field = select(FIELDS).prop_flat_map(|(name, value)| {
        let value = prop_oneof![
            Just(value.as_bytes().to_vec()),
            mutated(Just(value.as_bytes().to_vec()), &["\r\n", "\t", "\u{7f}", " ", "0", ","]),
        ];
        value.prop_map(move |value| (name.as_bytes().to_vec(), value))
    });
    let body = prop_oneof![
        10 => one_of(BODIES),
        30 => mutated(one_of(BODIES), PIECES),
        2 => long_message(),
        1 => long_body(),
    ];
    (status, vec(field, 0..3), body).prop_map(|(status, headers, body)| Answer {
        status,
        headers,
        body,
    })
}

proptest! {
    #![proptest_config(crate::cases(5_000))]

    #[test]
    fn the_filter_trusts_a_store_as_far_as_the_contract_does(answer in answers()) {
        oracles::store_answer::check(&answer);
    }
}
