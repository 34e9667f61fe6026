//! Counts that are remembered (docs/contract.md#remembered-counts), one request after the other, by an injected clock.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::time::{Duration, SystemTime};

use backup_sharing_count::callout::{NotSent, Outcome};
use backup_sharing_count::edge::{Edge, Step};
use backup_sharing_count::request::Header;

/// One worker, and a store that it asks.
struct Worker {
    edge: Edge,
    now: SystemTime,
}

const MINUTES: &str = r#"{"ttl": "60s"}"#;
const STALE: &str = r#"{"ttl": "10s", "stale_if_error": "100s"}"#;

impl Worker {
    fn new(cache: &str) -> Worker {
        Worker::forwarding(
            cache,
            r#"["x-auth-token", "x-request-id", "b3", "x-b3-own", "x-tenant"]"#,
        )
    }

    fn forwarding(cache: &str, names: &str) -> Worker {
        let configuration = format!(
            r#"{{"store": {{"cluster": "store", "retries": 0, "forward_headers": {names}}}, "cache": {cache}}}"#
        );
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        Worker { edge: Edge::new(configuration.as_bytes()).unwrap(), now }
    }

    /// What becomes of `path?query`, with headers behind `|`, if the store would answer `answer`. Begins with `asked`
    /// if it is asked.
    fn get(&mut self, request: &str, answer: &str) -> String {
        let (query, headers) = parts(request);
        let path = format!("/v2/p1/os-vendor-backup-sharing/count?{query}");
        let headers = headers.chain([(":method", "GET")]);
        let headers: Vec<Header> =
            headers.map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let target = self.edge.locate(path.as_bytes()).unwrap();
        match self.edge.begin(target, headers.into_iter(), || self.now) {
            Step::Reply(reply) => shown(&reply),
            Step::Callout(waiting) => {
                let (answer, headers) = parts(answer);
                let headers: Vec<Header> =
                    headers.map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
                let answered = |status, body: &'static str| Outcome::Answered {
                    status,
                    headers: if waiting.reads_headers(status) { &headers } else { &[] },
                    body: body.as_bytes(),
                };
                let outcome = match answer {
                    "no host" => Outcome::NotSent(NotSent::NoHost),
                    "no cluster" => Outcome::NotSent(NotSent::UnknownCluster),
                    "broken" => Outcome::Broken,
                    "late" => answered(b"504", "upstream request timeout"),
                    "no count" => answered(b"200", "{}"),
                    "1" => answered(b"200", r#"{"count":1}"#),
                    "2" => answered(b"200", r#"{"count":2}"#),
                    status => answered(status.as_bytes(), "{}"),
                };
                match waiting.clone().resume(outcome, &|| self.now) {
                    Step::Reply(reply) => ["asked ", &shown(&reply)].concat(),
                    step => panic!("{step}"),
                }
            }
            step => panic!("{step}"),
        }
    }

    /// A row for each request: how many milliseconds after the one before, the request, what the store would answer,
    /// and what becomes of it.
    fn run(mut self, rows: &[(i64, &str, &str, &str)]) {
        for (row, (after, request, answer, expected)) in rows.iter().enumerate() {
            let step = Duration::from_millis(after.unsigned_abs());
            self.now = if *after < 0 { self.now - step } else { self.now + step };
            assert_eq!(self.get(request, answer), *expected, "row {row}");
        }
    }
}

/// What stands before the first `|`, and the header fields behind.
fn parts(text: &str) -> (&str, impl Iterator<Item = (&str, &str)>) {
    let mut parts = text.split(" | ");
    (parts.next().unwrap(), parts.map(|field| field.split_once(": ").unwrap()))
}

fn shown(reply: &backup_sharing_count::reply::Reply) -> String {
    let body = if reply.status == 200 { &*reply.body } else { "" };
    let mut shown = format!(
        "{} {}{}",
        reply.status,
        reply.details,
        body.replace("{\"count\":", " ").replace('}', "")
    );
    for (name, value) in reply.headers.iter().filter(|(name, _)| *name != "content-type") {
        shown.push_str(&format!(" {name} {value}"));
    }
    shown
}

const ASKED_1: &str = "asked 200 store_count 1";
const ASKED_2: &str = "asked 200 store_count 2";

#[test]
fn a_count_is_remembered_for_the_ttl_and_says_its_age() {
    Worker::new(MINUTES).run(&[
        (0, "name=a", "1", ASKED_1),
        (0, "name=a", "2", "200 cache_hit 1 age 0"),
        (999, "name=a", "2", "200 cache_hit 1 age 0"),
        (1, "name=a", "2", "200 cache_hit 1 age 1"),
        (58_999, "name=a", "2", "200 cache_hit 1 age 59"),
        (1, "name=a", "2", ASKED_2),
        (59_999, "name=a", "1", "200 cache_hit 2 age 59"),
    ]);
}

#[test]
fn a_ttl_of_0_remembers_nothing() {
    for cache in ["{}", r#"{"ttl": "0s"}"#] {
        Worker::new(cache).run(&[(0, "", "1", ASKED_1), (0, "", "2", ASKED_2)]);
    }
}

#[test]
fn a_question_is_the_path_and_the_forwarded_headers_but_those_of_tracing() {
    Worker::new(MINUTES).run(&[
        (0, "name=a | x-auth-token: t", "1", ASKED_1),
        (0, "name=a | x-auth-token: u", "2", ASKED_2),
        (0, "name=a", "2", ASKED_2),
        (0, "name=b | x-auth-token: t", "2", ASKED_2),
        (0, "name=a | x-auth-token: t | x-tenant: a", "2", ASKED_2),
        (0, "name=a | x-tenant: a | x-auth-token: t", "2", ASKED_2),
        (0, "name=a | x-tenant: t", "2", ASKED_2),
        (0, "name=a | x-auth-token: t | x-tenant: ", "2", ASKED_2),
        (
            0,
            "name=%61 | x-request-id: r | b3: 0 | x-b3-own: i | x-auth-token: t | cookie: c",
            "2",
            "200 cache_hit 1 age 0",
        ),
        // It is one question to the store, too.
        (0, "share_to_me=True&name=a", "1", ASKED_1),
        (0, "share_to_me=yes&name=a", "2", "200 cache_hit 1 age 0"),
    ]);
}

#[test]
fn without_the_token_among_the_forwarded_headers_all_callers_share() {
    Worker::forwarding(MINUTES, "[]").run(&[
        (0, " | x-auth-token: t", "1", ASKED_1),
        (0, " | x-auth-token: u", "2", "200 cache_hit 1 age 0"),
    ]);
}

#[test]
fn a_question_of_more_than_4_kib_is_not_remembered() {
    let request = |length: usize| format!(" | x-auth-token: {}", "t".repeat(length));
    let (fits, too_long) = (request(4000), request(4096));
    Worker::new(MINUTES).run(&[
        (0, &fits, "1", ASKED_1),
        (0, &fits, "2", "200 cache_hit 1 age 0"),
        (0, &too_long, "1", ASKED_1),
        (0, &too_long, "2", ASKED_2),
    ]);
}

#[test]
fn only_a_200_is_remembered() {
    for (answer, asked) in [
        ("404", "asked 404 store_fault"),
        ("501", "asked 501 store_error"),
        ("503", "asked 503 store_unavailable:503"),
        ("204", "asked 502 store_invalid:204"),
        ("no count", "asked 502 store_invalid:200"),
        ("broken", "asked 502 store_broken"),
        ("no cluster", "asked 500 store_unknown_cluster"),
    ] {
        Worker::new(STALE).run(&[(0, "", answer, asked), (0, "", "1", ASKED_1)]);
    }
}

#[test]
fn any_4xx_but_408_and_429_takes_back_what_was_remembered() {
    for code in (400..500).filter(|code| ![408, 429].contains(code)) {
        let mut worker = Worker::new(STALE);
        worker.get("", "1");
        worker.now += Duration::from_secs(11);
        let asked = worker.get("", &code.to_string());
        let answered = match code {
            400 | 401 | 403 | 404 | 407 | 409 => format!("asked {code} store_fault"),
            _ => format!("asked 502 store_invalid:{code}"),
        };
        assert_eq!(asked, answered, "before anything stale is looked for");
        assert_eq!(worker.get("", "503"), "asked 503 store_unavailable:503", "{code}");
    }
    for code in ["408", "429"] {
        Worker::new(STALE).run(&[
            (0, "", "1", ASKED_1),
            (11_000, "", code, "asked 200 cache_stale 1 age 11"),
            (1_000, "", "503", "asked 200 cache_stale 1 age 12"),
        ]);
    }
}

#[test]
fn a_200_that_must_not_be_remembered_takes_back_what_was() {
    for control in
        ["no-store", "no-cache", "private", "max-age=0", "max-age=soon", "public, No-Store"]
    {
        let answer = |answer: &str| format!("{answer} | cache-control: {control}");
        Worker::new(STALE).run(&[
            (0, "", &answer("1"), ASKED_1),
            (0, "", "1", ASKED_1),
            (11_000, "", &answer("2"), ASKED_2),
            (0, "", "503", "asked 503 store_unavailable:503"),
            (0, "", "1", ASKED_1),
            (11_000, "", &answer("no count"), "asked 502 store_invalid:200"),
            (0, "", "503", "asked 503 store_unavailable:503"),
        ]);
    }
}

#[test]
fn several_cache_control_fields_are_one_list() {
    Worker::new(MINUTES).run(&[
        (0, "", "1 | cache-control: max-age=60 | cache-control: no-store", ASKED_1),
        (0, "", "2", ASKED_2),
    ]);
}

#[test]
fn max_age_shortens_the_ttl_and_lengthens_none() {
    Worker::new(STALE).run(&[
        (0, "", "1 | cache-control: max-age=5", ASKED_1),
        (4_999, "", "2", "200 cache_hit 1 age 4"),
        (1, "", "503", "asked 200 cache_stale 1 age 5"),
        (0, "", "2 | cache-control: max-age=3600", ASKED_2),
        (9_999, "", "1", "200 cache_hit 2 age 9"),
        (1, "", "1", ASKED_1),
    ]);
}

#[test]
fn the_stores_own_age_counts() {
    Worker::new(MINUTES).run(&[
        (0, "", "1 | age: 100", ASKED_1),
        (59_999, "", "2", "200 cache_hit 1 age 159"),
        (1, "", "2 | age: 6 | cache-control: max-age=10", ASKED_2),
        (3_999, "", "1", "200 cache_hit 2 age 9"),
        (1, "", "1 | age: 10 | cache-control: max-age=10", ASKED_1),
        (0, "", "2", ASKED_2),
    ]);
}

#[test]
fn a_clients_own_cache_control_changes_nothing() {
    Worker::new(MINUTES).run(&[
        (0, " | cache-control: no-store", "1", ASKED_1),
        (0, " | cache-control: no-cache | pragma: no-cache", "2", "200 cache_hit 1 age 0"),
    ]);
}

#[test]
fn a_clock_that_went_back_makes_an_entry_expired() {
    Worker::new(STALE).run(&[
        (0, "", "1", ASKED_1),
        (-1, "", "503", "asked 503 store_unavailable:503"),
        (-1, "", "2", ASKED_2),
        (0, "", "1", "200 cache_hit 2 age 0"),
    ]);
}

#[test]
fn where_the_store_fails_a_count_may_be_stale() {
    for answer in [
        "500", "501", "no cluster", "503", "502", "504", "429", "408", "late", "broken", "no host",
        "no count",
    ] {
        let mut worker = Worker::new(STALE);
        worker.get("", "1");
        worker.now += Duration::from_millis(109_999);
        let fails = !["500", "501", "no cluster"].contains(&answer);
        let found = worker.get("", answer);
        assert_eq!(found == "asked 200 cache_stale 1 age 109", fails, "{answer}: {found}");
        worker.now += Duration::from_secs(1);
        let found = worker.get("", answer);
        assert!(!found.starts_with("asked 200"), "{answer}: ttl + stale_if_error: {found}");
    }
    let without = r#"{"ttl": "10s"}"#;
    Worker::new(without)
        .run(&[(0, "", "1", ASKED_1), (10_000, "", "503", "asked 503 store_unavailable:503")]);
}

#[test]
fn must_revalidate_forbids_stale_answers() {
    for control in ["must-revalidate", "proxy-revalidate", "s-maxage=10"] {
        Worker::new(STALE).run(&[
            (0, "", &format!("1 | cache-control: {control}"), ASKED_1),
            (9_999, "", "503", "200 cache_hit 1 age 9"),
            (1, "", "503", "asked 503 store_unavailable:503"),
        ]);
    }
}

#[test]
fn a_question_that_has_just_timed_out_is_not_waited_for_again() {
    for answer in ["late", "504", "408"] {
        Worker::new(STALE).run(&[
            (0, "", "1", ASKED_1),
            (0, "name=a", "1", ASKED_1),
            (10_000, "", answer, "asked 200 cache_stale 1 age 10"),
            (0, "", "2", "200 cache_stale 1 age 10"),
            (0, "name=a", "2", ASKED_2),
            (999, "", "2", "200 cache_stale 1 age 10"),
            (1, "", "2", ASKED_2),
        ]);
    }
    Worker::new(STALE).run(&[
        (0, "", "1", ASKED_1),
        (10_000, "", "503", "asked 200 cache_stale 1 age 10"),
        (0, "", "2", ASKED_2),
    ]);
    Worker::new(STALE).run(&[(0, "", "late", "asked 504 store_timeout"), (0, "", "1", ASKED_1)]);
}

#[test]
fn what_was_remembered_first_goes_first() {
    Worker::new(r#"{"ttl": "60s", "max_entries": 2}"#).run(&[
        (0, "name=a", "1", ASKED_1),
        (0, "name=b", "1", ASKED_1),
        (0, "name=a", "2", "200 cache_hit 1 age 0"),
        (0, "name=c", "1", ASKED_1),
        (0, "name=b", "2", "200 cache_hit 1 age 0"),
        (0, "name=a", "2", ASKED_2),
    ]);
}

/// Whoever waits for another's callout gets what is stale too, and nobody waits again for a second.
#[test]
fn who_has_waited_as_long_as_it_may_gets_a_stale_count() {
    let mut worker = Worker::new(STALE);
    worker.get("", "1");
    worker.now += Duration::from_secs(11);
    let begin = |worker: &Worker| {
        let target = worker.edge.locate(b"/v2/p1/os-vendor-backup-sharing/count?").unwrap();
        let headers: [Header; 1] = [(b":method", b"GET")];
        worker.edge.begin(target, headers.into_iter(), || worker.now)
    };
    let Step::Callout(asks) = begin(&worker) else { panic!("nobody asks") };
    let Step::Hold(waits) = begin(&worker) else { panic!("nobody waits") };
    worker.now += Duration::from_secs(1);
    let Step::Reply(reply) = waits.poll(worker.now) else { panic!("it still waits") };
    assert_eq!(shown(&reply), "200 cache_stale 1 age 12");
    drop(asks);
    assert_eq!(worker.get("", "2"), "200 cache_stale 1 age 12");
}
