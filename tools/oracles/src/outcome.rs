//! How a callout ended: what an exchange's events are.

use std::time::Duration;

use backup_sharing_count::callout::NotSent;

use crate::http::{self, Answer};

/// The end of a callout, and when.
#[derive(Clone, Debug)]
pub struct Event {
    /// How late a pause before it was over.
    pub late: Duration,
    /// This long after it was sent, or when its timeout ran out.
    pub after: Duration,
    /// How.
    pub end: End,
}

/// How a callout ended.
#[derive(Clone, Debug)]
pub enum End {
    /// With a store's answer.
    Answered(Answer),
    /// With a response of Envoy's own.
    Envoy(EnvoyResponse),
    /// After its headers.
    Broken,
    /// It was not sent.
    NotSent(NotSent),
}

/// A response of Envoy's own to a callout, with the status and the text of Envoy 1.36 to 1.40.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvoyResponse {
    /// How it is called in a seed.
    pub name: &'static str,
    /// `:status`
    pub status: &'static str,
    /// The body.
    pub text: &'static str,
}

impl Event {
    /// Reads one written as text: see [`Exchange::read`](crate::exchange::Exchange::read).
    pub fn read(text: &[u8]) -> Event {
        let (times, rest) = http::line(text);
        let times = str::from_utf8(times).unwrap_or_default().split(' ');
        let mut times = times.map(|millis| Duration::from_millis(millis.parse().unwrap_or(0)));
        let (late, after) = (times.next().unwrap_or_default(), times.next().unwrap_or_default());
        let end = match str::from_utf8(http::line(rest).0).unwrap_or_default() {
            "no host" => End::NotSent(NotSent::NoHost),
            "no cluster" => End::NotSent(NotSent::UnknownCluster),
            "broken" => End::Broken,
            line => {
                let named = |word: &&EnvoyResponse| line.strip_prefix("envoy ") == Some(word.name);
                match ENVOY_RESPONSES.iter().find(named) {
                    Some(word) => End::Envoy(*word),
                    None => End::Answered(Answer::read(rest)),
                }
            }
        };
        Event { late, after, end }
    }
}

macro_rules! failed {
    ($reason:literal) => {
        concat!(
            "upstream connect error or disconnect/reset before headers. reset reason: ",
            $reason
        )
    };
}

const fn word(name: &'static str, status: &'static str, text: &'static str) -> EnvoyResponse {
    EnvoyResponse { name, status, text }
}

/// All of them.
pub const ENVOY_RESPONSES: [EnvoyResponse; 9] = [
    word("late", "504", "upstream request timeout"),
    word("no_host", "503", "no healthy upstream"),
    word("no_http", "502", failed!("protocol error")),
    word("overflow", "503", failed!("overflow")),
    word("connect_failure", "503", failed!("remote connection failure")),
    word("reset", "503", failed!("connection termination")),
    word("reset", "503", failed!("remote reset")),
    word("connect_timeout", "503", failed!("connection timeout")),
    word(
        "tls",
        "503",
        failed!(
            "remote connection failure, transport failure reason: TLS_error:|wrong version number:TLS_error_end"
        ),
    ),
];
