//! From what the store did to what the client gets, in one match (docs/contract.md#store-outcomes).

use super::answer;
use crate::callout::{Ended, EnvoyResponse, MAX_BODY, NotSent, Service, printable, retry_after};
use crate::details::{self, cause};
use crate::reply::Reply;
use crate::request::{Header, values_of};
use crate::status::{self, Status};

/// What a client gets after a callout to `store` that ended so.
pub fn judge(store: &Service, ended: &Ended) -> Reply {
    match *ended {
        Ended::Answered { code, headers, body } => read(code, headers, body),
        Ended::Envoy(EnvoyResponse::TimedOut) | Ended::Late => timed_out(),
        Ended::Envoy(EnvoyResponse::NoHttp(text)) => invalid(cause::NO_HTTP).envoy_says(text),
        Ended::Envoy(
            EnvoyResponse::Declined(cause, text) | EnvoyResponse::NoAnswer(cause, text),
        ) => unavailable(cause).envoy_says(text),
        Ended::Broken => {
            let message = ["The count store's answer broke off."];
            Reply::fault_saying(status::BAD_GATEWAY, details::STORE_BROKEN, &message)
        }
        Ended::NotSent(NotSent::NoHost) => unavailable(cause::NO_HOST),
        Ended::NotSent(NotSent::UnknownCluster) => {
            let alarm = store.unknown_cluster("store");
            Reply::fault(status::INTERNAL_SERVER_ERROR, details::STORE_UNKNOWN_CLUSTER).alarm(alarm)
        }
    }
}

fn read(code: Option<u16>, headers: &[Header], body: &[u8]) -> Reply {
    match code {
        Some(200) => counted(body),
        Some(400) => passed_on(status::BAD_REQUEST, body),
        Some(401) => {
            let reply = passed_on(status::UNAUTHORIZED, body);
            with_challenges(reply, "www-authenticate", headers)
        }
        Some(403) => passed_on(status::FORBIDDEN, body),
        Some(404) => passed_on(status::NOT_FOUND, body),
        Some(407) => {
            let reply = passed_on(status::PROXY_AUTHENTICATION_REQUIRED, body);
            with_challenges(reply, "proxy-authenticate", headers)
        }
        Some(408) => timed_out().cause("408"),
        Some(409) => passed_on(status::CONFLICT, body),
        Some(429) => unavailable("429").retry_after(retry_after(headers)),
        Some(500) => error(status::INTERNAL_SERVER_ERROR),
        Some(501) => error(status::NOT_IMPLEMENTED),
        Some(502) => error(status::BAD_GATEWAY),
        Some(503) => unavailable("503").retry_after(retry_after(headers)),
        Some(504) => timed_out().cause("504"),
        Some(code) => {
            let message = ["The count store answered with a status that this call does not have."];
            Reply::fault_saying(status::BAD_GATEWAY, details::STORE_INVALID, &message)
                .cause(itoa::Buffer::new().format(code))
        }
        None => Reply::fault(status::BAD_GATEWAY, details::STORE_INVALID),
    }
}

fn counted(body: &[u8]) -> Reply {
    match answer::count(body) {
        Some(count) => Reply::counted(count),
        None if body.len() > MAX_BODY => invalid(cause::TOO_LARGE),
        None => invalid("200"),
    }
}

fn invalid(cause: &str) -> Reply {
    Reply::fault(status::BAD_GATEWAY, details::STORE_INVALID).cause(cause)
}

fn error(status: &'static Status) -> Reply {
    Reply::fault(status, details::STORE_ERROR)
}

/// 504, also for a request that has waited for another's callout as long as it may.
pub fn timed_out() -> Reply {
    Reply::fault(status::GATEWAY_TIMEOUT, details::STORE_TIMEOUT)
}

/// 503 for a request that cannot wait for another's callout, for too many do.
pub fn overflow() -> Reply {
    unavailable(cause::OVERFLOW)
}

fn unavailable(cause: &str) -> Reply {
    Reply::fault(status::SERVICE_UNAVAILABLE, details::STORE_UNAVAILABLE).cause(cause)
}

/// The store's own refusal, with its message if it has one.
fn passed_on(status: &'static Status, body: &[u8]) -> Reply {
    match answer::message(body) {
        Some(message) => Reply::fault_saying(status, details::STORE_FAULT, &[&message]),
        None => Reply::fault(status, details::STORE_FAULT),
    }
}

fn with_challenges(reply: Reply, name: &'static str, headers: &[Header]) -> Reply {
    let challenges = values_of(headers.iter().copied(), name).filter_map(printable);
    challenges.fold(reply, |reply, challenge| reply.header(name, challenge.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::callout::Outcome;

    fn judged(outcome: Outcome) -> Reply {
        let store = Service { cluster: "a\nb".to_owned(), ..Service::for_tests() };
        judge(&store, &store.ended(outcome, || Duration::ZERO))
    }

    fn answered(status: &str, headers: &[Header], body: &str) -> Reply {
        judged(Outcome::Answered { status: status.as_bytes(), headers, body: body.as_bytes() })
    }

    #[test]
    fn what_was_not_sent_is_told_apart() {
        let reply = judged(Outcome::NotSent(NotSent::NoHost));
        assert_eq!((reply.status, reply.notes), (503, None));
        assert_eq!(reply.details, "store_unavailable:no_host");
        let reply = judged(Outcome::NotSent(NotSent::UnknownCluster));
        assert_eq!(reply.status, 500);
        assert!(reply.notes.unwrap().alarm.unwrap().contains(r#""a\nb""#), "one line");
        assert!(!reply.body.contains("a\\nb"), "not the client's business");
    }

    #[test]
    fn every_status_a_store_can_send_has_a_documented_answer() {
        for code in 100..=999 {
            let reply = answered(&code.to_string(), &[], r#"{"count":7}"#);
            let (status, details) = match code {
                200 => (200, "store_count".to_owned()),
                400 | 401 | 403 | 404 | 407 | 409 => (code, "store_fault".to_owned()),
                408 | 504 => (504, format!("store_timeout:{code}")),
                429 | 503 => (503, format!("store_unavailable:{code}")),
                500..=502 => (code, "store_error".to_owned()),
                _ => (502, format!("store_invalid:{code}")),
            };
            assert_eq!((reply.status, &*reply.details), (status, &*details));
        }
    }

    #[test]
    fn what_envoy_says_is_for_the_access_log() {
        let reset = "upstream connect error or disconnect/reset before headers. reset reason: ";
        for (status, reason, answer, details) in [
            ("503", "remote connection failure", 503, "store_unavailable:connect_failure"),
            ("503", "connection termination", 503, "store_unavailable:reset"),
            ("503", "overflow", 503, "store_unavailable:overflow"),
            ("502", "protocol error", 502, "store_invalid:no_http"),
        ] {
            let body = [reset, reason].concat();
            let reply = answered(status, &[], &body);
            assert_eq!((reply.status, &*reply.details), (answer, details), "{reason}");
            assert_eq!(reply.notes.unwrap().envoy_says, Some(body));
            assert!(!reply.body.contains("upstream"), "not the client's business");
        }
        assert_eq!(answered("504", &[], "upstream request timeout").details, "store_timeout");
    }

    #[test]
    fn a_200_that_is_no_count_says_why() {
        assert_eq!(answered("200", &[], "{}").details, "store_invalid:200");
        let long = " ".repeat(MAX_BODY + 1);
        assert_eq!(answered("200", &[], &long).details, "store_invalid:too_large");
        let reply = answered("", &[], r#"{"count":7}"#);
        assert_eq!((reply.status, &*reply.details), (502, "store_invalid"));
    }
}
