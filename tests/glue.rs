//! The glue in the wasm host: what it does when a host is unlike Envoy, and what it leaves behind.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects)] // an overflow fails the test, as it should

use std::time::Duration;

use testkit::wasm::{End, Host};
use testkit::workspace;

const COUNT: &str = r#"{"store": {"cluster": "store", "timeout": "2s"}}"#;
const PATH: &str = "/v2/p1/os-vendor-backup-sharing/count";
const ANSWER: [(&[u8], &[u8]); 1] = [(b":status", b"200")];

fn host() -> Host {
    Host::load(&workspace::filter_module().unwrap(), COUNT).unwrap()
}

fn headers(method: &'static str) -> [(&'static [u8], &'static [u8]); 2] {
    [(b":method", method.as_bytes()), (b":path", PATH.as_bytes())]
}

#[test]
fn a_request_is_not_let_through_unchecked_before_there_is_a_configuration() {
    let mut host = host();
    host.poke("proxy_on_context_create", &[90, 0]).unwrap();
    host.poke("proxy_on_context_create", &[91, 90]).unwrap();
    let step = host.poke("proxy_on_request_headers", &[91, 2, 1]).unwrap().unwrap();
    let calls = step.calls.iter().filter(|call| **call == "proxy_send_local_response");
    assert_eq!(calls.count(), 1);
}

#[test]
fn a_host_that_takes_no_reply_gets_a_reset_and_no_client_waits() {
    let mut host = host();
    host.refuse_replies(true);
    assert_eq!(host.request(&headers("PUT")).unwrap().end, End::Closed);
    let asked = host.request(&headers("GET")).unwrap();
    let step = host.callout_response(asked.stream, &ANSWER, br#"{"count":2}"#).unwrap();
    assert_eq!(step.end, End::Closed);
}

/// As Envoy has it: a callout ends, though its client may have left.
#[test]
fn callouts_that_end_leave_nothing_behind() {
    const REPLACED: usize = 60;
    let mut host = host();
    let mut memory = 0;
    for round in 0..REPLACED * 1_000 {
        let refused = host.request(&headers("PUT")).unwrap();
        host.finish(refused.stream).unwrap();
        let asked = host.request(&headers("GET")).unwrap();
        assert!(matches!(asked.end, End::Callout(_)));
        let leaves_early = round % 2 == 0;
        if leaves_early {
            host.finish(asked.stream).unwrap();
        }
        let whole = if round % 3 == 0 { &[][..] } else { &ANSWER };
        let mut retries = 0;
        let mut end = host.callout_response(asked.stream, whole, br#"{"count":2}"#).unwrap().end;
        loop {
            end = match end {
                End::Callout(_) => {
                    retries += 1;
                    // Every other client leaves while its callout is sent again.
                    if round % 4 == 1 && retries == 2 {
                        host.finish(asked.stream).unwrap();
                    }
                    host.callout_response(asked.stream, whole, b"").unwrap().end
                }
                End::Pause => {
                    host.set_clock(Duration::from_millis(20 * round as u64 + 10));
                    host.tick().unwrap().pop().unwrap().1
                }
                _ => break,
            };
        }
        host.set_clock(Duration::from_millis(20 * (round as u64 + 1)));
        assert_eq!(retries, if round % 3 == 0 && !leaves_early { 2 } else { 0 });
        if !leaves_early && end != End::Finished {
            host.finish(asked.stream).unwrap();
        }
        if round % 1_000 == 999 {
            let old = host.replace_root(COUNT).unwrap();
            host.delete_root(old).unwrap();
        }
        if round == 2_000 {
            memory = host.memory_bytes();
        }
    }
    println!("linear memory after 2,000 rounds {memory} bytes, after all {}", host.memory_bytes());
    assert_eq!(host.memory_bytes(), memory);
}

/// Envoy holds as many requests as clients send, and no circuit breaker counts those that wait for another's callout.
#[test]
fn a_crowd_that_waits_does_not_exhaust_the_memory() {
    for configuration in [
        r#"{"store": {"cluster": "store"}, "auth": {"mode": "keystone", "keystone": {"cluster": "keystone"}}}"#,
        r#"{"store": {"cluster": "store"}, "cache": {"ttl": "1s"}}"#,
    ] {
        let mut host = Host::load(&workspace::filter_module().unwrap(), configuration).unwrap();
        let state = vec![b'a'; 58_000];
        let [method, path] = headers("GET");
        let request = [method, path, (b"x-auth-token", b"nobody's"), (b"tracestate", &state)];
        let first = host.request(&request).unwrap();
        assert!(matches!(first.end, End::Callout(_)));
        let (mut waiting, mut refused) = (0, 0);
        for _ in 0..9_500 {
            match host.request(&request).unwrap().end {
                End::Pause => waiting += 1,
                End::Reply(reply) => {
                    assert_eq!(reply.status, 503);
                    assert!(reply.details.ends_with("_unavailable:overflow"), "{}", reply.details);
                    refused += 1;
                }
                end => panic!("{end:?}"),
            }
        }
        let memory = host.memory_bytes();
        println!("{waiting} wait, {refused} are refused, linear memory {memory} bytes");
        assert!(waiting > 100 && refused > 1_000 && memory < 100 << 20);
    }
}

/// Questions of nearly 4 KiB: what is remembered is bounded by their bytes, and what was remembered first goes first.
#[test]
fn counts_leave_no_more_behind_than_32_mib_of_questions() {
    /// As long as a question may be. It is a path and a token, with two numbers of four bytes before each.
    const BYTES: usize = 4_096;
    const FIT: usize = (32 << 20) / BYTES;
    let configuration =
        r#"{"store": {"cluster": "store"}, "cache": {"ttl": "3600s", "max_entries": 100000}}"#;
    let mut host = Host::load(&workspace::filter_module().unwrap(), configuration).unwrap();
    let ask = |host: &mut Host, number: usize| {
        let token = format!("{number:0width$}", width = BYTES - 16 - PATH.len());
        let [method, path] = headers("GET");
        host.request(&[method, path, (b"x-auth-token", token.as_bytes())]).unwrap()
    };
    let mut memory = 0;
    for number in 0..5 * FIT / 2 {
        let asked = ask(&mut host, number);
        host.callout_response(asked.stream, &ANSWER, br#"{"count":2}"#).unwrap();
        host.finish(asked.stream).unwrap();
        if number == 3 * FIT / 2 {
            memory = host.memory_bytes();
        }
    }
    println!("linear memory {memory} bytes, and in the end {}", host.memory_bytes());
    assert_eq!(host.memory_bytes(), memory);
    assert!(memory < 40 << 20, "{memory} bytes");
    let oldest = 5 * FIT / 2 - FIT;
    let details = |end: &End| match end {
        End::Reply(reply) => reply.details.clone(),
        end => panic!("{end:?}"),
    };
    assert_eq!(details(&ask(&mut host, oldest).end), "cache_hit");
    let gone = ask(&mut host, oldest - 1).end;
    assert!(matches!(gone, End::Callout(_)), "{gone:?}");
}
