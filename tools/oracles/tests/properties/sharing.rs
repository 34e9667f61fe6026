//! Requests with equal tokens, in any order with what happens to them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Mostly one token, so that many wait for it.
fn event() -> impl Strategy<Value = String> {
    let request = prop_oneof![3 => select(&[0, 4][..]), 1 => 0..8_u8];
    prop_oneof![
        6 => request.prop_map(|number| format!("r{number}")),
        3 => (0..10_u8).prop_map(|number| format!("l{number}")),
        4 => (0..10_u8).prop_map(|number| format!("w{number}")),
        3 => Just("k0".to_owned()),
        4 => (select(&["g", "x", "n", "b", "v", "u", "z", "h", "t"][..]), 0..4_u8)
            .prop_map(|(kind, number)| format!("{kind}{number}")),
    ]
}

proptest! {
    #![proptest_config(crate::cases(4_000))]

    #[test]
    fn who_waits_is_answered_once_in_time_and_by_one_callout(events in vec(event(), 0..40)) {
        let events = events.concat();
        oracles::sharing::check(events.as_bytes());
        oracles::sharing::check(["s0", &events].concat().as_bytes());
    }
}
