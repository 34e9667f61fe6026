//! Requests, and how their callouts end.

use std::time::Duration;

use backup_sharing_count::callout::NotSent;
use oracles::exchange::{Exchange, check};
use oracles::http::Answer;
use oracles::outcome::{ENVOY_RESPONSES, End, Event};
use oracles::request::Request;
use oracles::setups::{Auth, SETUPS};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::mutate::{mutated, one_of};
use crate::{accept, keystone_answer, path, query, store_answer};

const HEADERS: &[(&str, &str)] = &[
    ("x-auth-token", "secret"),
    ("x-project-id", "p1"),
    ("x-tenant", "p1"),
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

fn end(answers: BoxedStrategy<Answer>) -> impl Strategy<Value = End> {
    prop_oneof![
        3 => answers.prop_map(End::Answered),
        2 => Just(End::Answered(Answer { status: b"503".to_vec(), headers: vec![], body: vec![] })),
        4 => select(&ENVOY_RESPONSES[..]).prop_map(End::Envoy),
        3 => Just(End::Broken),
        1 => Just(End::NotSent(NotSent::NoHost)),
        1 => Just(End::NotSent(NotSent::UnknownCluster)),
    ]
}

fn event(end: impl Strategy<Value = End>) -> impl Strategy<Value = Event> {
    let micros = prop_oneof![2 => 0..2_000_u64, 2 => 0..30_000_u64, 1 => select(&[750_000, 75_000, 12_000, 740_000][..]), 1 => 0..1_100_000_u64];
    let late = prop_oneof![3 => Just(0), 2 => 0..20_000_u64, 1 => 0..800_000_u64];
    (late, micros, end).prop_map(|(late, after, end)| Event {
        late: Duration::from_micros(late),
        after: Duration::from_micros(after),
        end,
    })
}

fn request(
    target: impl Strategy<Value = Vec<u8>>,
    header: impl Strategy<Value = (Vec<u8>, Vec<u8>)>,
    end: BoxedStrategy<End>,
) -> impl Strategy<Value = Request> {
    let method =
        prop_oneof![8 => Just(b"GET".to_vec()), 1 => one_of(&["POST", "HEAD", "get", "", "GET "])];
    let after = prop_oneof![2 => Just(0), 2 => 0..12_000_u64, 1 => 0..70_000_u64];
    (after, method, target, vec(header, 0..4), vec(event(end), 0..6)).prop_map(
        |(after, method, target, headers, events)| Request {
            after: Duration::from_millis(after),
            method,
            target,
            headers,
            events,
        },
    )
}

/// Requests with a few tokens, of which Keystone mostly says something.
fn vouched() -> impl Strategy<Value = Vec<Request>> {
    let target =
        one_of(&["/v2/p1/os-vendor-backup-sharing/count", "/v2/p2/os-vendor-backup-sharing/count"]);
    let token = one_of(&["a", "b", "c", "d", "a=", ".b"])
        .prop_map(|token| (b"x-auth-token".to_vec(), token));
    let end = prop_oneof![
        3 => keystone_answer::answers().prop_map(End::Answered),
        1 => end(store_answer::answers().boxed()),
    ];
    let request =
        (request(target, header(), end.boxed()), token).prop_map(|(mut request, token)| {
            if request.headers.len() != 1 {
                request.headers.retain(|(name, _)| name != "x-auth-token".as_bytes());
                request.headers.push(token);
            }
            request
        });
    vec(request, 1..8)
}

/// A store's answers, which mostly allow a count to be remembered for a while.
fn counts() -> impl Strategy<Value = End> {
    let control = one_of(&[
        "max-age=1", "max-age=7", "max-age=0", "no-store", "must-revalidate",
        "s-maxage=2, max-age=5", "Private", "max-age", "max-age=5,", "public",
        ", max-age=99999999999999999999",
    ]);
    let control = control.prop_map(|value| (b"cache-control".to_vec(), value));
    let age = one_of(&["0", "3", "30", "x", "3, 4"]).prop_map(|value| (b"age".to_vec(), value));
    let status = prop_oneof![
        3 => Just("200"),
        1 => select(&["404", "410", "499", "408", "429", "500", "502", "503", "504"][..]),
    ];
    let body = one_of(&["{\"count\":1}", "{\"count\":2}", "{\"count\":3}", "{}"]);
    let (control, age) = (vec(control, 0..3), vec(age, 0..2));
    (status, control, age, body).prop_map(|(status, control, age, body)| {
        let headers = control.into_iter().chain(age).collect();
        End::Answered(Answer { status: status.as_bytes().to_vec(), headers, body })
    })
}

/// Requests with a few questions, under a configuration that remembers counts. Where Keystone is asked, it mostly vouches.
fn asked_again() -> impl Strategy<Value = Exchange> {
    let setups = (0..SETUPS.len()).filter(|&setup| SETUPS[setup].cache.is_some());
    let setup = select(setups.collect::<Vec<_>>());
    let target = one_of(&[
        "/v2/p1/os-vendor-backup-sharing/count",
        "/v2/p1/os-vendor-backup-sharing/count?name=a",
        "/v2/p1/os-vendor-backup-sharing/count?name=b",
    ]);
    let fields: [(&str, &str); 5] = [
        ("x-auth-token", "a"),
        ("x-auth-token", "b"),
        ("x-tenant", "a"),
        ("x-request-id", "r"),
        ("b3", "a"),
    ];
    let header = select(fields.to_vec())
        .prop_map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    let end = prop_oneof![4 => counts(), 1 => end(store_answer::answers().boxed())];
    let after = select(&[0, 0, 100, 900, 1_000, 2_500, 4_999, 5_000, 20_000][..]);
    let request = (request(target, header, end.boxed()), after, any::<bool>());
    (setup, vec(request, 2..8)).prop_map(|(setup, requests)| {
        let requests = requests.into_iter().map(|(mut request, after, vouches)| {
            request.method = b"GET".to_vec();
            request.after = Duration::from_millis(after);
            if vouches && matches!(SETUPS[setup].auth, Auth::Keystone(_)) {
                let body =
                    br#"{"token":{"project":{"id":"p1"},"expires_at":"2100-01-01T00:00:00Z"}}"#;
                let answer =
                    Answer { status: b"200".to_vec(), headers: vec![], body: body.to_vec() };
                let (late, after) = (Duration::ZERO, Duration::ZERO);
                request.events.insert(0, Event { late, after, end: End::Answered(answer) });
            }
            request
        });
        Exchange { setup: setup + usize::from(b'0'), requests: requests.collect() }
    })
}

fn exchanges() -> impl Strategy<Value = Exchange> {
    let any = request(target(), header(), end(store_answer::answers().boxed()).boxed());
    let requests = prop_oneof![1 => vec(any, 1..3), 1 => vouched()];
    (0..SETUPS.len(), requests)
        .prop_map(|(setup, requests)| Exchange { setup: setup + usize::from(b'0'), requests })
}

proptest! {
    #![proptest_config(crate::cases(4_000))]

    #[test]
    fn the_filter_decides_and_concludes_as_the_contract_does(exchange in exchanges()) {
        check(&exchange);
    }

    #[test]
    fn what_is_remembered_is_what_the_contract_says(exchange in asked_again()) {
        check(&exchange);
    }
}
