//! From what the store did to what the client gets: the contract's §3 in one match.

use std::time::Duration;

use super::{answer, printable};
use crate::call::{Header, values_of};
use crate::reply::{Fault, Reply};
use crate::status;
use crate::store::Store;

/// The most bytes of a store's body that are read. A count takes twenty.
pub const MAX_BODY: usize = 64 * 1024;

/// How a callout ended.
#[derive(Clone, Copy, Debug)]
pub enum CalloutOutcome<'a> {
    /// With a whole response, from the store or from Envoy on its behalf.
    Answered {
        /// `:status`
        status: &'a [u8],
        /// The header fields, if [`reads_headers`] wants them.
        headers: &'a [Header<'a>],
        /// The body, or more than [`MAX_BODY`] bytes of it.
        body: &'a [u8],
    },
    /// Without a whole response, after the head had arrived.
    Broken {
        /// The time since the callout was sent.
        elapsed: Duration,
    },
    /// It was never sent.
    NotSent(NotSent),
}

/// Why Envoy did not send a callout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The configuration names a cluster that Envoy does not have.
    UnknownCluster,
    /// The cluster has no host that could be asked.
    NoHost,
}

impl Store {
    /// The client's answer to a callout that ended in `outcome`.
    pub fn conclude(&self, outcome: CalloutOutcome) -> Reply {
        match outcome {
            CalloutOutcome::Answered { status, headers, body } => read(status, headers, body),
            CalloutOutcome::Broken { elapsed } if self.has_timed_out(elapsed) => timed_out(),
            CalloutOutcome::Broken { .. } => {
                let fault = Fault::new(status::BAD_GATEWAY, "store_broken");
                Err(fault.message(&["The count store's answer broke off."]))
            }
            CalloutOutcome::NotSent(NotSent::NoHost) => Err(unavailable()),
            CalloutOutcome::NotSent(NotSent::UnknownCluster) => Err(self.unknown_cluster()),
        }
        .unwrap_or_else(Reply::from)
    }

    /// Envoy says of a broken response only that it broke, so the clock decides
    /// whether its timeout was the reason. Its timers may run out a little
    /// early, since they start at the time its event loop read last.
    fn has_timed_out(&self, elapsed: Duration) -> bool {
        let early = self.timeout.checked_div(16).unwrap_or_default();
        elapsed >= self.timeout.saturating_sub(early)
    }

    fn unknown_cluster(&self) -> Fault {
        let alarm = format!(
            "store.cluster: Envoy has no cluster {:?}; requests are answered 500",
            self.cluster
        );
        Fault::new(status::INTERNAL_SERVER_ERROR, "store_unknown_cluster").alarm(alarm)
    }
}

/// Whether a store's header fields can matter with this `:status`: its
/// challenges, or when to come back. They need not be read with any other.
pub fn reads_headers(status: &[u8]) -> bool {
    matches!(status, b"401" | b"407" | b"429" | b"503")
}

/// Envoy answers in the store's place with 503 and 504, which mean the same
/// whoever sends them.
fn read(status: &[u8], headers: &[Header], body: &[u8]) -> Result<Reply, Fault> {
    Err(match answer::status(status) {
        Some(200) => return count(body),
        Some(400) => passed_on(status::BAD_REQUEST, body),
        Some(401) => {
            let fault = passed_on(status::UNAUTHORIZED, body);
            with_challenges(fault, "www-authenticate", headers)
        }
        Some(403) => passed_on(status::FORBIDDEN, body),
        Some(404) => passed_on(status::NOT_FOUND, body),
        Some(407) => {
            let fault = passed_on(status::PROXY_AUTHENTICATION_REQUIRED, body);
            with_challenges(fault, "proxy-authenticate", headers)
        }
        Some(409) => passed_on(status::CONFLICT, body),
        Some(408 | 504) => return timed_out(),
        Some(429 | 503) => with_retry_after(unavailable(), headers),
        Some(500) => Fault::new(status::INTERNAL_SERVER_ERROR, "store_error"),
        Some(501) => Fault::new(status::NOT_IMPLEMENTED, "store_error"),
        Some(502) => Fault::new(status::BAD_GATEWAY, "store_error"),
        _ => {
            let fault = Fault::new(status::BAD_GATEWAY, "store_invalid");
            fault.message(&["The count store answered with a status that this call does not have."])
        }
    })
}

fn count(body: &[u8]) -> Result<Reply, Fault> {
    let invalid = || Fault::new(status::BAD_GATEWAY, "store_invalid");
    let count = answer::count(body).ok_or_else(invalid)?;
    Ok(Reply::count(count))
}

fn timed_out() -> Result<Reply, Fault> {
    Err(Fault::new(status::GATEWAY_TIMEOUT, "store_timeout"))
}

fn unavailable() -> Fault {
    Fault::new(status::SERVICE_UNAVAILABLE, "store_unavailable")
}

/// The store's own refusal, in its own words if it has any.
fn passed_on(status: &'static status::Status, body: &[u8]) -> Fault {
    let fault = Fault::new(status, "store_fault");
    match answer::message(body) {
        Some(message) => fault.message(&[&message]),
        None => fault,
    }
}

fn with_challenges(fault: Fault, name: &'static str, headers: &[Header]) -> Fault {
    let challenges = values_of(headers.iter().copied(), name).filter_map(printable);
    challenges.fold(fault, |fault, challenge| fault.header(name, challenge.to_owned()))
}

fn with_retry_after(fault: Fault, headers: &[Header]) -> Fault {
    let mut values = values_of(headers.iter().copied(), "retry-after");
    match (values.next().and_then(answer::retry_after), values.next()) {
        (Some(value), None) => fault.header("retry-after", value.to_owned()),
        _ => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        Store {
            cluster: "counts".to_owned(),
            authority: "counts".to_owned(),
            path_prefix: String::new(),
            timeout: Duration::from_millis(160),
            forward_headers: Vec::new(),
            retries: 2,
        }
    }

    #[test]
    fn the_clock_tells_a_timeout_from_a_broken_answer() {
        let status = |ms| {
            let elapsed = Duration::from_millis(ms);
            store().conclude(CalloutOutcome::Broken { elapsed }).status
        };
        assert_eq!([0, 149, 150, 160, 9000].map(status), [502, 502, 504, 504, 504]);
    }

    #[test]
    fn what_was_not_sent_is_told_apart() {
        let reply = |reason| store().conclude(CalloutOutcome::NotSent(reason));
        let no_host = reply(NotSent::NoHost);
        assert_eq!((no_host.status, no_host.alarm), (503, None));
        let unknown = reply(NotSent::UnknownCluster);
        assert_eq!(unknown.status, 500);
        assert!(unknown.alarm.unwrap().contains("\"counts\""));
        assert!(!unknown.body.contains("counts"), "not the client's business");
        let odd = Store { cluster: "a\nb".to_owned(), ..store() };
        let reply = odd.conclude(CalloutOutcome::NotSent(NotSent::UnknownCluster));
        assert!(reply.alarm.unwrap().contains(r#""a\nb""#), "one line");
    }

    #[test]
    fn every_status_a_store_can_send_has_a_documented_answer() {
        for code in 100..=999 {
            let text = code.to_string();
            let (status, body) = (text.as_bytes(), br#"{"count":7}"#);
            let outcome = CalloutOutcome::Answered { status, headers: &[], body };
            let expected = match code {
                200 | 400 | 401 | 403 | 404 | 407 | 409 | 500..=504 => code,
                408 => 504,
                429 => 503,
                _ => 502,
            };
            assert_eq!(store().conclude(outcome).status, expected, "{code}");
        }
    }

    #[test]
    fn a_response_without_a_status_is_not_a_count() {
        let body = br#"{"count":7}"#;
        let outcome = CalloutOutcome::Answered { status: b"", headers: &[], body };
        assert_eq!(store().conclude(outcome).status, 502);
    }
}
