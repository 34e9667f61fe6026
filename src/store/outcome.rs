//! From what the store did to what the client gets, in one match (docs/contract.md#store-outcomes).

use std::time::Duration;

use super::envoy_response::EnvoyResponse;
use super::{StoreSettings, answer, printable};
use crate::details::{self, cause};
use crate::reply::Reply;
use crate::request::{Header, values_of};
use crate::status::{self, Status};

/// The most bytes of a store's body that are read. A count takes twenty.
pub const MAX_BODY: usize = 64 * 1024;

/// How a callout ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// With a whole response, from the store or from Envoy on its behalf.
    Answered {
        /// `:status`
        status: &'a [u8],
        /// The headers, if [`reads_headers`]; else none.
        headers: &'a [Header<'a>],
        /// The body, or more than [`MAX_BODY`] bytes of it.
        body: &'a [u8],
    },
    /// Without a whole response, after its headers had arrived.
    Broken,
    /// It was never sent.
    NotSent(NotSent),
}

/// Why Envoy did not send a callout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The configuration names a cluster that Envoy does not have.
    UnknownCluster,
    /// The cluster has no host that could be asked, or a circuit breaker is open.
    NoHost,
}

/// What an outcome means.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The client's answer, unless the callout is sent again.
    pub reply: Reply,
    /// Whether the callout may be sent again.
    pub retry: Retry,
}

/// Whether another callout may have a better outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The outcome stands.
    Never,
    /// Once for each request: the store itself said that it is unavailable.
    Once,
    /// As often as `store.retries` says: the connection failed, or the answer is none.
    Always,
}

impl StoreSettings {
    /// What `outcome` means. `elapsed` is the time since the request's first callout was sent.
    pub fn judge(&self, outcome: Outcome, elapsed: impl FnOnce() -> Duration) -> Verdict {
        match outcome {
            Outcome::Answered { status, headers, body } => read(status, headers, body),
            Outcome::Broken if self.has_timed_out(elapsed()) => timed_out().into(),
            Outcome::Broken => {
                let message = ["The count store's answer broke off."];
                Reply::fault_saying(status::BAD_GATEWAY, details::STORE_BROKEN, &message)
                    .retry(Retry::Always)
            }
            Outcome::NotSent(NotSent::NoHost) => unavailable(cause::NO_HOST).into(),
            Outcome::NotSent(NotSent::UnknownCluster) => self.unknown_cluster().into(),
        }
    }

    /// Envoy says of a broken response only that it broke, so the clock decides
    /// whether its timeout was the reason. Its timers may run out a little
    /// early, since they start at the time its event loop read last.
    fn has_timed_out(&self, elapsed: Duration) -> bool {
        let early = self.timeout.checked_div(16).unwrap_or_default();
        elapsed >= self.timeout.saturating_sub(early)
    }

    fn unknown_cluster(&self) -> Reply {
        let alarm = format!(
            "store.cluster: Envoy has no cluster {:?}; requests are answered 500",
            self.cluster
        );
        Reply::fault(status::INTERNAL_SERVER_ERROR, details::STORE_UNKNOWN_CLUSTER).alarm(alarm)
    }
}

/// Whether a response's headers can matter with this `:status`: challenges, `retry-after`, or what tells
/// Envoy's own response from a store's. With any other status they need not be read.
pub fn reads_headers(status: &[u8]) -> bool {
    matches!(status, b"401" | b"407" | b"429" | b"502" | b"503" | b"504")
}

fn read(status: &[u8], headers: &[Header], body: &[u8]) -> Verdict {
    let code = answer::status(status);
    if let Some(502..=504) = code
        && let Some(response) = EnvoyResponse::read(headers, body)
    {
        return envoys(response);
    }
    match code {
        Some(200) => return counted(body),
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
        Some(429) => with_retry_after(unavailable("429"), headers),
        Some(500) => error(status::INTERNAL_SERVER_ERROR),
        Some(501) => error(status::NOT_IMPLEMENTED),
        Some(502) => error(status::BAD_GATEWAY),
        Some(503) => {
            let says_when = values_of(headers.iter().copied(), "retry-after").next().is_some();
            let retry = if says_when { Retry::Never } else { Retry::Once };
            return with_retry_after(unavailable("503"), headers).retry(retry);
        }
        Some(504) => timed_out().cause("504"),
        Some(code) => {
            let message = ["The count store answered with a status that this call does not have."];
            Reply::fault_saying(status::BAD_GATEWAY, details::STORE_INVALID, &message)
                .cause(itoa::Buffer::new().format(code))
        }
        None => Reply::fault(status::BAD_GATEWAY, details::STORE_INVALID),
    }
    .into()
}

/// What Envoy answers in the store's place.
fn envoys(response: EnvoyResponse) -> Verdict {
    let (reply, retry) = match response {
        EnvoyResponse::TimedOut => (timed_out(), Retry::Never),
        EnvoyResponse::NoHttp(text) => (invalid(cause::NO_HTTP).envoy_says(text), Retry::Always),
        EnvoyResponse::NotAsked { cause, text } => {
            (unavailable(cause).envoy_says(text), Retry::Never)
        }
        EnvoyResponse::NoAnswer { cause, text } => {
            (unavailable(cause).envoy_says(text), Retry::Always)
        }
    };
    reply.retry(retry)
}

fn counted(body: &[u8]) -> Verdict {
    let reply = match answer::count(body) {
        Some(count) => Reply::counted(count),
        None if body.len() > MAX_BODY => invalid(cause::TOO_LARGE),
        None => invalid("200"),
    };
    Verdict { reply, retry: Retry::Never }
}

fn invalid(cause: &str) -> Reply {
    Reply::fault(status::BAD_GATEWAY, details::STORE_INVALID).cause(cause)
}

fn error(status: &'static Status) -> Reply {
    Reply::fault(status, details::STORE_ERROR)
}

fn timed_out() -> Reply {
    Reply::fault(status::GATEWAY_TIMEOUT, details::STORE_TIMEOUT)
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

fn with_retry_after(reply: Reply, headers: &[Header]) -> Reply {
    let mut values = values_of(headers.iter().copied(), "retry-after");
    match (values.next().and_then(answer::retry_after), values.next()) {
        (Some(value), None) => reply.header("retry-after", value.to_owned()),
        _ => reply,
    }
}

impl Reply {
    fn retry(self, retry: Retry) -> Verdict {
        Verdict { reply: self, retry }
    }
}

impl From<Reply> for Verdict {
    fn from(reply: Reply) -> Verdict {
        reply.retry(Retry::Never)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> StoreSettings {
        StoreSettings {
            cluster: "counts".to_owned(),
            authority: "counts".to_owned(),
            path_prefix: String::new(),
            timeout: Duration::from_millis(160),
            forward_headers: Vec::new(),
            retries: 2,
        }
    }

    fn judge(outcome: Outcome) -> Verdict {
        store().judge(outcome, || Duration::ZERO)
    }

    fn answered(status: &str, headers: &[Header], body: &str) -> Verdict {
        judge(Outcome::Answered { status: status.as_bytes(), headers, body: body.as_bytes() })
    }

    #[test]
    fn the_clock_tells_a_timeout_from_a_broken_answer() {
        let verdict = |ms| {
            let verdict = store().judge(Outcome::Broken, || Duration::from_millis(ms));
            (verdict.reply.status, verdict.retry)
        };
        let (broken, late) = ((502, Retry::Always), (504, Retry::Never));
        assert_eq!([0, 149, 150, 160, 9000].map(verdict), [broken, broken, late, late, late]);
    }

    #[test]
    fn what_was_not_sent_is_told_apart() {
        let Verdict { reply, retry } = judge(Outcome::NotSent(NotSent::NoHost));
        assert_eq!((reply.status, reply.notes, retry), (503, None, Retry::Never));
        assert_eq!(reply.details, "store_unavailable:no_host");
        let Verdict { reply, retry } = judge(Outcome::NotSent(NotSent::UnknownCluster));
        assert_eq!((reply.status, retry), (500, Retry::Never));
        assert!(reply.notes.unwrap().alarm.unwrap().contains("\"counts\""));
        assert!(!reply.body.contains("counts"), "not the client's business");
        let odd = StoreSettings { cluster: "a\nb".to_owned(), ..store() };
        let verdict = odd.judge(Outcome::NotSent(NotSent::UnknownCluster), || Duration::ZERO);
        assert!(verdict.reply.notes.unwrap().alarm.unwrap().contains(r#""a\nb""#), "one line");
    }

    #[test]
    fn every_status_a_store_can_send_has_a_documented_answer() {
        for code in 100..=999 {
            let verdict = answered(&code.to_string(), &[], r#"{"count":7}"#);
            let (status, details) = match code {
                200 => (200, "store_count".to_owned()),
                400 | 401 | 403 | 404 | 407 | 409 => (code, "store_fault".to_owned()),
                408 | 504 => (504, format!("store_timeout:{code}")),
                429 | 503 => (503, format!("store_unavailable:{code}")),
                500..=502 => (code, "store_error".to_owned()),
                _ => (502, format!("store_invalid:{code}")),
            };
            assert_eq!((verdict.reply.status, &*verdict.reply.details), (status, &*details));
            let retry = if code == 503 { Retry::Once } else { Retry::Never };
            assert_eq!(verdict.retry, retry, "{code}");
        }
    }

    #[test]
    fn what_envoy_says_in_the_stores_place_is_not_the_stores_word() {
        let reset = "upstream connect error or disconnect/reset before headers. reset reason: ";
        for (status, text, answer, details, retry) in [
            (
                "503",
                "remote connection failure",
                503,
                "store_unavailable:connect_failure",
                Retry::Always,
            ),
            ("503", "connection termination", 503, "store_unavailable:reset", Retry::Always),
            ("503", "overflow", 503, "store_unavailable:overflow", Retry::Never),
            ("502", "protocol error", 502, "store_invalid:no_http", Retry::Always),
        ] {
            let body = [reset, text].concat();
            let Verdict { reply, retry: found } = answered(status, &[], &body);
            assert_eq!((reply.status, &*reply.details, found), (answer, details, retry), "{text}");
            let notes = reply.notes.unwrap();
            assert_eq!(notes.envoy_says, Some(body.clone()), "for the access log");
            assert!(!reply.body.contains("upstream"), "not the client's business");
            // Envoy marks what comes from a host.
            let time: Header = (b"x-envoy-upstream-service-time", b"3");
            let Verdict { reply, .. } = answered(status, &[time], &body);
            assert_eq!(reply.notes, None, "{text}");
        }
        let Verdict { reply, retry } = answered("504", &[], "upstream request timeout");
        assert_eq!((&*reply.details, retry), ("store_timeout", Retry::Never));
    }

    #[test]
    fn a_store_that_says_when_to_come_back_is_not_asked_before() {
        let verdict = answered("503", &[(b"retry-after", b"soon")], "{}");
        assert_eq!((verdict.retry, verdict.reply.headers.len()), (Retry::Never, 1));
    }

    #[test]
    fn a_200_that_is_no_count_says_why() {
        assert_eq!(answered("200", &[], "{}").reply.details, "store_invalid:200");
        let long = " ".repeat(MAX_BODY + 1);
        assert_eq!(answered("200", &[], &long).reply.details, "store_invalid:too_large");
        let Verdict { reply, .. } = answered("", &[], r#"{"count":7}"#);
        assert_eq!((reply.status, &*reply.details), (502, "store_invalid"));
    }
}
