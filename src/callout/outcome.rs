//! How a callout ends, and whether another may end better (docs/contract.md#retries).

use std::time::Duration;

use super::{EnvoyResponse, Service, reading};
use crate::request::{Header, values_of};

/// The most bytes of a body that are read. A count takes twenty, a token a thousand.
pub const MAX_BODY: usize = 64 * 1024;

/// What the host says of a callout.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// A whole response, from the service or from Envoy on its behalf.
    Answered {
        /// `:status`
        status: &'a [u8],
        /// The headers, if [`reads_headers`]; else none.
        headers: &'a [Header<'a>],
        /// The body, or more than [`MAX_BODY`] bytes of it.
        body: &'a [u8],
    },
    /// No whole response, after its headers had arrived.
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

/// How a callout ended.
#[derive(Clone, Copy, Debug)]
pub enum Ended<'a> {
    /// The service answered.
    Answered {
        /// The status code; `None` if it is no number of three digits.
        code: Option<u16>,
        /// The headers, if [`reads_headers`]; else none.
        headers: &'a [Header<'a>],
        /// The body, or more than [`MAX_BODY`] bytes of it.
        body: &'a [u8],
    },
    /// Envoy answered in its place.
    Envoy(EnvoyResponse<'a>),
    /// The answer broke off before the timeout.
    Broken,
    /// The answer broke off when the timeout ran out.
    Late,
    /// It was never sent.
    NotSent(NotSent),
}

/// Whether another callout may end better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The outcome stands.
    Never,
    /// Once for each question: the service itself said that it is unavailable.
    Once,
    /// As often as the configuration says: no whole answer came.
    WithinLimit,
}

/// Whether a response's headers can matter with this `:status`: challenges, `retry-after`, or what tells
/// Envoy's own response from a service's. With any other status they need not be read.
pub fn reads_headers(status: &[u8]) -> bool {
    matches!(status, b"401" | b"407" | b"429" | b"502" | b"503" | b"504")
}

impl Service {
    /// How a callout to this service ended. `elapsed` is the time since it was sent first.
    pub fn ended<'a>(&self, outcome: Outcome<'a>, elapsed: impl FnOnce() -> Duration) -> Ended<'a> {
        match outcome {
            Outcome::Answered { status, headers, body } => {
                let code = reading::status(status);
                let envoys = matches!(code, Some(502..=504))
                    .then(|| EnvoyResponse::read(headers, body))
                    .flatten();
                match envoys {
                    Some(response) => Ended::Envoy(response),
                    None => Ended::Answered { code, headers, body },
                }
            }
            Outcome::Broken if self.has_timed_out(elapsed()) => Ended::Late,
            Outcome::Broken => Ended::Broken,
            Outcome::NotSent(reason) => Ended::NotSent(reason),
        }
    }

    /// Envoy says of a broken response only that it broke, so the clock decides
    /// whether its timeout was the reason. Its timers may run out a little
    /// early, since they start at the time its event loop read last.
    fn has_timed_out(&self, elapsed: Duration) -> bool {
        let early = self.timeout.checked_div(16).unwrap_or_default();
        elapsed >= self.timeout.saturating_sub(early)
    }
}

impl Ended<'_> {
    /// Whether another callout may end better.
    pub fn retry(&self) -> Retry {
        match self {
            Ended::Broken
            | Ended::Envoy(EnvoyResponse::NoHttp(_) | EnvoyResponse::NoAnswer(..)) => {
                Retry::WithinLimit
            }
            Ended::Answered { code: Some(503), headers, .. } => {
                let says_when = values_of(headers.iter().copied(), "retry-after").next().is_some();
                if says_when { Retry::Never } else { Retry::Once }
            }
            _ => Retry::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(outcome: Outcome<'_>, millis: u64) -> Ended<'_> {
        let service = Service::for_tests();
        service.ended(outcome, || Duration::from_millis(millis))
    }

    fn answered<'a>(status: &'a str, headers: &'a [Header<'a>], body: &'a str) -> Ended<'a> {
        ended(Outcome::Answered { status: status.as_bytes(), headers, body: body.as_bytes() }, 0)
    }

    #[test]
    fn the_clock_tells_a_timeout_from_a_broken_answer() {
        let is_late = |millis| match ended(Outcome::Broken, millis) {
            Ended::Late => true,
            Ended::Broken => false,
            other => panic!("{other:?}"),
        };
        assert_eq!([0, 149, 150, 160, 9000].map(is_late), [false, false, true, true, true]);
        assert_eq!(ended(Outcome::Broken, 0).retry(), Retry::WithinLimit);
        assert_eq!(ended(Outcome::Broken, 160).retry(), Retry::Never);
    }

    #[test]
    fn of_whole_answers_only_a_503_is_repeated_and_not_before_it_says() {
        for code in 100..=999 {
            let retry = answered(&code.to_string(), &[], r#"{"count":7}"#).retry();
            assert_eq!(retry, if code == 503 { Retry::Once } else { Retry::Never }, "{code}");
        }
        let soon: [Header; 1] = [(b"retry-after", b"soon")];
        assert_eq!(answered("503", &soon, "{}").retry(), Retry::Never);
    }

    #[test]
    fn what_envoy_says_in_a_services_place_is_not_the_services_word() {
        let reset = "upstream connect error or disconnect/reset before headers. reset reason: ";
        for (status, reason, retry) in [
            ("503", "remote connection failure", Retry::WithinLimit),
            ("503", "connection termination", Retry::WithinLimit),
            ("503", "overflow", Retry::Never),
            ("502", "protocol error", Retry::WithinLimit),
        ] {
            let body = [reset, reason].concat();
            let found = answered(status, &[], &body);
            assert!(matches!(found, Ended::Envoy(_)), "{reason}");
            assert_eq!(found.retry(), retry, "{reason}");
            // Envoy marks what comes from a host.
            let time: [Header; 1] = [(b"x-envoy-upstream-service-time", b"3")];
            let found = answered(status, &time, &body);
            assert!(matches!(found, Ended::Answered { .. }), "{reason}");
        }
        let late = answered("504", &[], "upstream request timeout");
        assert!(matches!(late, Ended::Envoy(EnvoyResponse::TimedOut)));
        assert_eq!(late.retry(), Retry::Never);
    }
}
