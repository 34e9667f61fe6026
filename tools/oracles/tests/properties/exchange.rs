//! Requests, and how their callouts end.

use std::time::Duration;

use backup_sharing_count::callout::NotSent;
use oracles::exchange::{Exchange, check};
use oracles::http::Answer;
use oracles::outcome::ENVOY_RESPONSES;
use oracles::outcome::{End, Event};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::mutate::{mutated, one_of};
use crate::{accept, path, query, store_answer};

const HEADERS: &[(&str, &str)] = &[
    ("x-auth-token", "secret"),
    ("x-request-id", "r1"),
    ("tracestate", "a=1"),
    ("b3", "0"),
    ("x-tenant", "t"),
    ("content-length", "0"),
    ("content-length", "00"),
    ("content-length", "1"),
    ("content-length", ""),
    ("cookie", "a=b"),
    ("host", "h"),
    (":method", "POST"),
    (":authority", "a"),
    ("te", "trailers"),
];

fn header() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let plain = select(HEADERS).prop_flat_map(|(name, value)| {
        let value = value.as_bytes().to_vec();
        let value = prop_oneof![4 => Just(value.clone()), 1 => mutated(Just(value), &["\r\n", "\t", "é", "\u{7f}", ","])];
        value.prop_map(move |value| (name.as_bytes().to_vec(), value))
    });
    let accept = accept::field().prop_map(|value| (b"accept".to_vec(), value));
    prop_oneof![5 => plain, 1 => accept]
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    let project = prop_oneof![
        4 => Just("p1".to_owned()),
        1 => select(&["p.1", "%70", "..", "a b", "é", "A_-9"][..]).prop_map(str::to_owned),
        1 => (63..66_usize).prop_map(|length| "a".repeat(length)),
    ];
    let call = (project, query::queries()).prop_map(|(project, query)| {
        let path = format!("/v2/{project}/os-vendor-backup-sharing/count?");
        [path.into_bytes(), query].concat()
    });
    prop_oneof![5 => call, 1 => path::paths()]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => store_answer::answers().prop_map(End::Answered),
        2 => Just(End::Answered(Answer { status: b"503".to_vec(), headers: vec![], body: vec![] })),
        4 => select(&ENVOY_RESPONSES[..]).prop_map(End::Envoy),
        3 => Just(End::Broken),
        1 => Just(End::NotSent(NotSent::NoHost)),
        1 => Just(End::NotSent(NotSent::UnknownCluster)),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let micros = prop_oneof![2 => 0..2_000_u64, 2 => 0..30_000_u64, 1 => select(&[750_000, 75_000, 12_000, 740_000][..]), 1 => 0..1_100_000_u64];
    let late = prop_oneof![3 => Just(0), 2 => 0..20_000_u64, 1 => 0..800_000_u64];
    (late, micros, end()).prop_map(|(late, after, end)| Event {
        late: Duration::from_micros(late),
        after: Duration::from_micros(after),
        end,
    })
}

fn exchanges() -> impl Strategy<Value = Exchange> {
    let method =
        prop_oneof![8 => Just(b"GET".to_vec()), 1 => one_of(&["POST", "HEAD", "get", "", "GET "])];
    (0..5_usize, method, target(), vec(header(), 0..4), vec(event(), 0..6)).prop_map(
        |(setup, method, target, headers, events)| Exchange {
            setup,
            method,
            target,
            headers,
            events,
        },
    )
}

proptest! {
    #![proptest_config(crate::cases(4_000))]

    #[test]
    fn the_filter_decides_and_concludes_as_the_contract_does(exchange in exchanges()) {
        check(&exchange);
    }
}
