//! Queries.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::mutate::mutated;

const PIECES: &[&str] = &[
    "&",
    "=",
    "+",
    "%",
    "%2",
    "%20",
    "%00",
    "%7f",
    "%C2%85",
    "%c3%a9",
    "%C3",
    "é",
    "%ff",
    "-",
    "_",
    "0",
    "Z",
    ".",
    "name=",
    "&name=a",
    "&status=ok",
    "availability_zone",
    "&x=1",
    "%6eame",
    "%26",
    "%3d",
    "%F0%9F%98%80",
];

const PARAMETERS: &[&str] = &[
    "share_to_me=true",
    "share_to_me=Yes",
    "share_to_me=0",
    "share_to_me=maybe",
    "volume_id=8332443e-9866-41d8-8a58-a898cf5db030",
    "backup_id=8332443E-9866-41D8-8A58-A898CF5DB030",
    "name=prod",
    "name=a+b%20c",
    "name=%C3%A9%26%2B",
    "status=available",
    "status=Error_Deleting",
    "status=ok",
    "status=gone-2",
    "status=gone",
    "from_project_id=p_1",
    "to_project_id=P-2",
    "to_project_id=a.b",
    "availability_zone=eu-de-01",
    "avalilability_zone=AZ1",
    "limit=1",
    "x",
    "name",
    "=",
    "%6eame=a",
    "Name=a",
];

fn parameter() -> impl Strategy<Value = String> {
    let name = select(&["name", "availability_zone", "from_project_id", "status", "long"][..]);
    let length = prop_oneof![0..3_usize, 62..67_usize, 253..258_usize];
    let long = (name, select(&["a", "é", "%C3%A9", "+", "Z-"][..]), length)
        .prop_map(|(name, letter, length)| format!("{name}={}", letter.repeat(length)));
    prop_oneof![4 => select(PARAMETERS).prop_map(str::to_owned), 1 => long]
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
