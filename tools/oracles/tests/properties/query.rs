//! Queries.

use oracles::filters::{Domain, FILTERS};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::mutate::mutated;

const PIECES: &[&str] = &[
    "&", "=", "+", "%", "%2", "%20", "%00", "%7f", "%C2%85", "%c3%a9", "%C3", "é", "%ff", "-", "_",
    "0", "Z", ".", "name=", "&name=a", "&status=ok", "availability_zone", "&x=1", "%6eame", "%26",
    "%3d", "%F0%9F%98%80",
];

/// What is no filter, or none with one value.
const OTHERS: &[&str] =
    &["limit=1", "x", "name", "=", "%6eame=a", "Name=a", "name=a", "availability_zone=a"];

/// Values, of which some are in the domain.
fn values(domain: Domain) -> &'static [&'static str] {
    match domain {
        Domain::Boolean => &["true", "Yes", "0", "maybe"],
        Domain::Uuid => &[
            "8332443e-9866-41d8-8a58-a898cf5db030", "8332443E-9866-41D8-8A58-A898CF5DB030",
            "8332443e986641d88a58a898cf5db030",
        ],
        Domain::Text => &["prod", "a+b%20c", "%C3%A9%26%2B", "AZ1", "%09"],
        Domain::Status => &["available", "Error_Deleting", "ok", "gone-2", "gone"],
        Domain::Project => &["p_1", "P-2", "a.b"],
    }
}

fn parameter() -> impl Strategy<Value = String> {
    let of_a_filter = select(&FILTERS[..]).prop_flat_map(|filter| {
        let names = [&[filter.name], filter.aliases].concat();
        let length = prop_oneof![0..3_usize, 62..67_usize, 253..258_usize];
        let long = (select(&["a", "é", "%C3%A9", "+", "Z-"][..]), length)
            .prop_map(|(letter, length)| letter.repeat(length));
        let value = prop_oneof![
            4 => select(values(filter.domain)).prop_map(str::to_owned),
            1 => long,
        ];
        (select(names), value).prop_map(|(name, value)| format!("{name}={value}"))
    });
    prop_oneof![4 => of_a_filter, 1 => select(OTHERS).prop_map(str::to_owned)]
}

/// A query.
pub fn queries() -> impl Strategy<Value = Vec<u8>> {
    let valid = || vec(parameter(), 0..5).prop_map(|pieces| pieces.join("&").into_bytes());
    prop_oneof![1 => valid(), 2 => mutated(valid(), PIECES)]
}

proptest! {
    #![proptest_config(crate::cases(4_000))]

    #[test]
    fn the_filter_reads_queries_as_the_contract_does(query in queries()) {
        oracles::query::check(&query);
    }
}

/// A value whose beginning stands in the message as the quoted name, found by fuzzing.
#[test]
fn a_name_in_its_quotation_marks_is_no_quoted_value() {
    let nul = |times| "\0".repeat(times);
    oracles::query::check(format!("{}=\"{}", nul(118), nul(110)).as_bytes());
}
