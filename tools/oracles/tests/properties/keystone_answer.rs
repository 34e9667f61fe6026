//! What Keystone answers.

use oracles::http::Answer;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::mutate::{mutated, one_of};

const PIECES: &[&str] = &[
    "{", "}", "[", "]", "\"", ",", ":", "null", "0", "9", "-", "+", ".", "T", "t", "Z", "z", " ",
    "404", "4.04e2", "\\u005a", "\\ud800", "\u{1}", "é", "\u{2212}", "1e999", "\"token\":{}",
    "\"project\":null,", "\"id\":\"p1\",", "\"roles\":[],", "\"name\":\"MEMBER\",", "+00:00",
    "-23:59", "+24:00", "\"code\":404,", ":60", ".000000001",
];

const REFUSED: &[&str] = &[
    "{\"error\":{\"code\":404,\"message\":\"Failed to validate token\",\"title\":\"Not Found\"}}",
    "{\"error\":{\"code\":\"404\"}}",
    "{\"error\":{\"code\":401}}",
    "{\"error\":{\"code\":404,\"code\":404}}",
    "{\"error\":{}}",
    "{\"error\":{\"code\":404.0}}",
    "<html>",
    "",
];

const TIMES: &[&str] = &[
    "2099-12-31T23:59:59.000000Z", "1970-01-01T00:00:07.000000Z", "1970-01-01T00:00:20Z",
    "1970-01-01T01:00:01.5+01:00", "1970-01-01T00:00:30.123456789123Z",
    "1969-12-31T23:59:59-00:01", "1970-01-01t00:00:09z", "1970-01-01T00:00:60Z",
    "1970-01-01 00:00:09Z", "9999-12-31T23:59:59Z", "2024-02-29T00:00:00Z", "2023-02-29T00:00:00Z",
    "soon", "",
];

/// What else stands in a token.
const MEMBERS: &[&str] = &[
    ",\"project\":{\"id\":\"p1\",\"name\":\"demo\",\"domain\":{\"id\":\"default\"}}",
    ",\"project\":{\"id\":\"p1\"},\"roles\":[{\"id\":\"1\",\"name\":\"member\"},{\"name\":\"reader\"}]",
    ",\"project\":{\"id\":\"p2\"},\"roles\":[{\"name\":\"AUDITOR\"}]",
    ",\"roles\":[{\"name\":\"Member\"}],\"domain\":{\"id\":\"default\"}",
    ",\"project\":null",
    ",\"project\":{\"id\":\"p1\"},\"roles\":[\"member\"]",
    ",\"project\":{}",
    "",
];

fn tokens() -> impl Strategy<Value = Vec<u8>> {
    let time = mutated(one_of(TIMES), PIECES).prop_map(|time| time.escape_ascii().to_string());
    let time = prop_oneof![3 => select(TIMES).prop_map(str::to_owned), 1 => time];
    (time, select(MEMBERS)).prop_map(|(time, members)| {
        format!("{{\"token\":{{\"expires_at\":\"{time}\"{members},\"user\":{{\"id\":\"u\"}}}}}}")
            .into_bytes()
    })
}

/// An answer.
pub fn answers() -> impl Strategy<Value = Answer> {
    let status = prop_oneof![
        6 => Just(b"200".to_vec()),
        3 => one_of(&["401", "404", "404", "400", "414", "431", "403", "429", "500", "501", "502", "503", "504", "599"]),
        1 => one_of(&["201", "204", "301", "418", "+200", "0200", "200 ", "20", "", "x"]),
        1 => (100..1000_u16).prop_map(|code| code.to_string().into_bytes()),
    ];
    let retry = one_of(&["7", "soon", "", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994"])
        .prop_map(|value| (b"retry-after".to_vec(), value));
    let repeats = Just((b"x-subject-token".to_vec(), b"secret".to_vec()));
    let challenge = Just((b"www-authenticate".to_vec(), b"Keystone uri=\"http://a/\"".to_vec()));
    let header = prop_oneof![2 => retry, 1 => repeats, 1 => challenge];
    let long = (65_300..65_700_usize, tokens()).prop_map(|(size, mut body)| {
        body.resize(size, b' ');
        body
    });
    let body = prop_oneof![
        8 => tokens(),
        4 => mutated(tokens(), PIECES),
        3 => one_of(REFUSED),
        2 => mutated(one_of(REFUSED), PIECES),
        1 => long,
    ];
    (status, vec(header, 0..3), body).prop_map(|(status, headers, body)| Answer {
        status,
        headers,
        body,
    })
}

proptest! {
    #![proptest_config(crate::cases(5_000))]

    #[test]
    fn the_filter_trusts_keystone_as_far_as_the_contract_does(answer in answers()) {
        oracles::exchange::check_keystone(&answer);
    }
}
