//! Requests that ask the same share one callout, to Keystone or to the store: the glue's part, in the wasm host, which
//! traps on a second answer and on one for a client that has gone.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::time::Duration;

use testkit::wasm::{End, Host, Step, Stream};
use testkit::workspace;

const KEYSTONE: &str = r#"{"store": {"cluster": "store", "timeout": "2s"}, "auth": {"mode": "keystone",
    "keystone": {"cluster": "keystone", "timeout": "1s", "max_tokens": 100}}}"#;
const COUNTS: &str = r#"{"store": {"cluster": "store", "timeout": "1s"},
    "cache": {"ttl": "10s", "stale_if_error": "100s"}}"#;
/// What is shared, by the plugin configuration: with the cluster that is asked, and the details of an answer that refuses
/// and of one that is late.
const SHARED: [(&str, &str, &str, &str); 2] = [
    (KEYSTONE, "keystone", "auth_refused", "auth_timeout"),
    (COUNTS, "store", "store_fault", "store_timeout"),
];
const ANSWER: [(&[u8], &[u8]); 1] = [(b":status", b"200")];
const REFUSED: [(&[u8], &[u8]); 1] = [(b":status", b"401")];
const COUNT: &[u8] = br#"{"count":2}"#;
/// The token is good, and its project is p1.
const GOOD: &[u8] =
    br#"{"token": {"expires_at": "2099-01-01T00:00:00.000000Z", "project": {"id": "p1"}}}"#;

/// Callers are asked about, and then their counts.
fn with_cache() -> String {
    KEYSTONE.replacen('{', r#"{"cache": {"ttl": "10s", "max_entries": 100}, "#, 1)
}

fn start(configuration: &str) -> Host {
    Host::load(&workspace::filter_module().unwrap(), configuration).unwrap()
}

fn host() -> Host {
    start(KEYSTONE)
}

fn ask(host: &mut Host, project: &str, token: &str) -> Step {
    let path = format!("/v2/{project}/os-vendor-backup-sharing/count");
    host.request(&[
        (b":method", b"GET"),
        (b":path", path.as_bytes()),
        (b"x-auth-token", token.as_bytes()),
    ])
    .unwrap()
}

/// One that waits for what another has asked.
fn follow(host: &mut Host, project: &str, token: &str) -> Stream {
    let step = ask(host, project, token);
    assert_eq!(step.end, End::Pause);
    step.stream
}

/// One that asks Keystone itself.
fn lead(host: &mut Host, project: &str, token: &str) -> Stream {
    lead_to("keystone", host, project, token)
}

/// One that asks this cluster itself.
fn lead_to(cluster: &str, host: &mut Host, project: &str, token: &str) -> Stream {
    let step = ask(host, project, token);
    assert_eq!(asked(&step.end), cluster);
    step.stream
}

/// The cluster that is asked.
fn asked(end: &End) -> &str {
    match end {
        End::Callout(callout) => &callout.cluster,
        end => panic!("{end:?}"),
    }
}

/// Status and details.
fn replied(end: &End) -> (u32, &str) {
    match end {
        End::Reply(reply) => (reply.status, &reply.details),
        end => panic!("{end:?}"),
    }
}

fn tick(host: &mut Host, streams: &[Stream]) -> Vec<End> {
    let mut ends = host.tick().unwrap();
    ends.sort_by_key(|(stream, _)| *stream);
    let (found, ends): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
    assert_eq!(found, streams);
    ends
}

/// As if nothing had happened: no ticks, once the log level has been asked for the last time.
fn check_no_ticks(host: &mut Host) {
    assert_eq!(host.tick_period(), Duration::from_secs(1), "nobody waits");
    host.tick().unwrap();
    assert_eq!(host.tick_period(), Duration::ZERO);
}

#[test]
fn who_waits_is_answered_on_a_tick_each_for_its_own_project() {
    let mut host = host();
    let leader = lead(&mut host, "p1", "t");
    host.tick().unwrap();
    assert_eq!(host.tick_period(), Duration::from_secs(1), "nobody waits for a tick");
    let [one, other] = ["p1", "p2"].map(|project| follow(&mut host, project, "t"));
    assert_eq!(host.tick_period(), Duration::from_millis(2));
    assert!(tick(&mut host, &[]).is_empty());
    let end = host.callout_response(leader, &ANSWER, GOOD).unwrap().end;
    assert_eq!(asked(&end), "store");
    let ends = tick(&mut host, &[one, other]);
    assert_eq!((asked(&ends[0]), replied(&ends[1])), ("store", (403, "auth_project")));
    // The one's callout is the root context's, the leader's its own.
    for stream in [one, leader] {
        let end = host.callout_response(stream, &ANSWER, COUNT).unwrap().end;
        assert_eq!(replied(&end), (200, "store_count"));
    }
    // It is remembered.
    assert_eq!(asked(&ask(&mut host, "p1", "t").end), "store");
    assert_eq!(replied(&ask(&mut host, "p2", "t").end), (403, "auth_project"));
    host.tick().unwrap();
    check_no_ticks(&mut host);
}

#[test]
fn when_the_one_who_asked_leaves_the_next_tick_asks_again() {
    for (configuration, cluster, refused, _) in SHARED {
        let mut host = start(configuration);
        let leader = lead_to(cluster, &mut host, "p1", "t");
        let [one, other] = ["p1", "p1"].map(|project| follow(&mut host, project, "t"));
        host.finish(leader).unwrap();
        assert_eq!(host.callout_response(leader, &ANSWER, GOOD).unwrap().end, End::Finished);
        let ends = tick(&mut host, &[one]);
        assert_eq!(asked(&ends[0]), cluster);
        // It leaves too. Its callout is the root context's, and goes on.
        host.finish(one).unwrap();
        assert!(tick(&mut host, &[]).is_empty());
        assert_eq!(host.callout_response(one, &REFUSED, b"").unwrap().end, End::Finished);
        let ends = tick(&mut host, &[other]);
        assert_eq!(replied(&ends[0]), (401, refused));
        check_no_ticks(&mut host);
    }
}

#[test]
fn who_waits_may_leave() {
    for (configuration, cluster, refused, _) in SHARED {
        let mut host = start(configuration);
        let leader = lead_to(cluster, &mut host, "p1", "t");
        let [one, other] = ["p1", "p1"].map(|project| follow(&mut host, project, "t"));
        host.finish(one).unwrap();
        let end = host.callout_response(leader, &REFUSED, b"").unwrap().end;
        assert_eq!(replied(&end), (401, refused));
        host.finish(other).unwrap();
        assert!(tick(&mut host, &[]).is_empty());
        check_no_ticks(&mut host);
    }
}

/// 300 replies in one callback would exhaust the VM's stack (docs/envoy-facts.md#local-replies).
#[test]
fn a_thousand_are_answered_a_hundred_on_a_tick() {
    for (configuration, cluster, refused, _) in SHARED {
        let mut host = start(configuration);
        let leader = lead_to(cluster, &mut host, "p1", "t");
        let waiting: Vec<_> = (0..1_000).map(|_| follow(&mut host, "p1", "t")).collect();
        host.callout_response(leader, &REFUSED, b"").unwrap();
        for hundred in waiting.chunks(100) {
            assert_eq!(host.tick_period(), Duration::from_millis(2));
            let ends = tick(&mut host, hundred);
            assert!(ends.iter().all(|end| replied(end) == (401, refused)));
        }
        check_no_ticks(&mut host);
    }
}

fn clock(host: &mut Host, millis: u64) {
    host.set_clock(Duration::from_millis(millis));
}

#[test]
fn who_waits_has_a_deadline_of_its_own() {
    for (configuration, cluster, _, late) in SHARED {
        let mut host = start(configuration);
        let leader = lead_to(cluster, &mut host, "p1", "t");
        clock(&mut host, 400);
        let one = follow(&mut host, "p1", "t");
        clock(&mut host, 900);
        let [promoted, other] = [(); 2].map(|()| follow(&mut host, "p1", "t"));
        clock(&mut host, 1_399);
        assert!(tick(&mut host, &[]).is_empty());
        clock(&mut host, 1_400);
        let ends = tick(&mut host, &[one]);
        assert_eq!(replied(&ends[0]), (504, late));
        // Who asks in another's place asks with what is left of its own time.
        host.finish(leader).unwrap();
        let ends = tick(&mut host, &[promoted]);
        assert!(matches!(&ends[0], End::Callout(callout) if callout.timeout_ms == 500));
        clock(&mut host, 1_900);
        let ends = tick(&mut host, &[other]);
        assert_eq!(replied(&ends[0]), (504, late));
        check_no_ticks(&mut host);
    }
}

/// Whoever has waited for Keystone may wait for the store as long as the one who asks it.
#[test]
fn the_time_for_a_count_begins_when_the_caller_is_known() {
    let mut host = start(&with_cache());
    let leader = lead(&mut host, "p1", "t");
    let follower = follow(&mut host, "p1", "t");
    clock(&mut host, 900);
    let end = host.callout_response(leader, &ANSWER, GOOD).unwrap().end;
    assert_eq!(asked(&end), "store");
    // From here on it waits for the count.
    assert!(tick(&mut host, &[]).is_empty());
    clock(&mut host, 2_899);
    assert!(tick(&mut host, &[]).is_empty());
    clock(&mut host, 2_900);
    let ends = tick(&mut host, &[follower]);
    assert_eq!(replied(&ends[0]), (504, "store_timeout"));
    check_no_ticks(&mut host);
}

#[test]
fn all_who_wait_for_a_count_get_what_the_first_one_gets() {
    let mut host = start(COUNTS);
    let unavailable: [(&[u8], &[u8]); 1] = [(b":status", b"503")];
    let no_store: [(&[u8], &[u8]); 2] = [(b":status", b"200"), (b"cache-control", b"no-store")];
    for (at, headers, details) in [
        (0, &unavailable[..], "store_unavailable:503"),
        (1_000, &ANSWER, "store_count"),
        (20_000, &unavailable, "cache_stale"),
        (20_000, &no_store, "store_count"),
        (20_000, &unavailable, "store_unavailable:503"),
    ] {
        clock(&mut host, at);
        let leader = lead_to("store", &mut host, "p1", "t");
        let followers = [(); 2].map(|()| follow(&mut host, "p1", "t"));
        let mut end = host.callout_response(leader, headers, COUNT).unwrap().end;
        if let End::Callout(_) = end {
            // The store's own 503 is asked again once.
            end = host.callout_response(leader, headers, COUNT).unwrap().end;
        }
        assert_eq!(replied(&end).1, details);
        assert_eq!(tick(&mut host, &followers), [end.clone(), end], "{details}");
    }
    check_no_ticks(&mut host);
}

#[test]
fn a_configuration_is_replaced_while_requests_wait() {
    let mut host = host();
    let leader = lead(&mut host, "p1", "t");
    let [one, other] = ["p1", "p1"].map(|project| follow(&mut host, project, "t"));
    let new =
        KEYSTONE.replace(r#""mode": "keystone","#, r#""mode": "keystone", "challenge": "New","#);
    let old = host.replace_root(&new).unwrap();
    // The new one knows nothing of what the old one asks.
    let newcomer = lead(&mut host, "p1", "t");
    host.finish(leader).unwrap();
    let ends = tick(&mut host, &[one]);
    assert_eq!(asked(&ends[0]), "keystone");
    let challenge = |end: &End| match end {
        End::Reply(reply) => String::from_utf8(reply.headers[1].1.clone()).unwrap(),
        end => panic!("{end:?}"),
    };
    let end = host.callout_response(one, &REFUSED, b"").unwrap().end;
    assert_eq!(challenge(&end), "Keystone");
    let ends = tick(&mut host, &[other]);
    assert_eq!(challenge(&ends[0]), "Keystone");
    for stream in [one, other] {
        host.finish(stream).unwrap();
    }
    host.delete_root(old).unwrap();
    let end = host.callout_response(newcomer, &REFUSED, b"").unwrap().end;
    assert_eq!(challenge(&end), "New");
    host.tick().unwrap();
    check_no_ticks(&mut host);
}

/// Two callouts in turn, for tokens and counts that are never the same, with clients that leave at each point.
#[test]
fn questions_leave_no_more_behind_than_the_configuration_says() {
    const ROUNDS: usize = 120_000;
    let mut host = start(&with_cache());
    let mut memory = 0;
    for round in 0..ROUNDS {
        let token = format!("{round:0180}");
        let leader = lead(&mut host, "p1", &token);
        let follower = (round % 3 == 0).then(|| follow(&mut host, "p1", &token));
        let leaves = round % 4 == 1 || round % 4 == 2;
        if round % 4 == 1 {
            host.finish(leader).unwrap();
        }
        let (status, body): (&[_], _) = match round % 5 {
            0 => (&REFUSED, &b""[..]),
            1 => (&[], &b""[..]),
            _ => (&ANSWER, GOOD),
        };
        let mut end = host.callout_response(leader, status, body).unwrap().end;
        if round % 4 == 2 && matches!(end, End::Callout(_)) {
            host.finish(leader).unwrap();
        }
        // The store's answer, or Keystone's to the question asked again.
        while let End::Callout(callout) = end {
            let body = if callout.cluster == "store" { COUNT } else { GOOD };
            end = host.callout_response(leader, &ANSWER, body).unwrap().end;
        }
        for _ in 0..3 {
            let Some(follower) = follower else { break };
            for (stream, end) in host.tick().unwrap() {
                assert_eq!(stream, follower);
                let mut end = end;
                while let End::Callout(callout) = end {
                    let body = if callout.cluster == "store" { COUNT } else { GOOD };
                    end = host.callout_response(stream, &ANSWER, body).unwrap().end;
                }
                assert!(matches!(end, End::Reply(_)), "{end:?}");
            }
        }
        if !leaves || (end != End::Finished && round % 4 == 2) {
            host.finish(leader).unwrap();
        }
        if let Some(follower) = follower {
            host.finish(follower).unwrap();
        }
        if round % 1_000 == 999 {
            let old = host.replace_root(&with_cache()).unwrap();
            host.delete_root(old).unwrap();
        }
        if round == ROUNDS / 2 {
            memory = host.memory_bytes();
        }
    }
    println!("linear memory after half {memory} bytes, after all {}", host.memory_bytes());
    assert_eq!(host.memory_bytes(), memory);
}
