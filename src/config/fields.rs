//! The domain of each value in the configuration.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

use super::grammar::{duration, header_name, is_authority, is_path_prefix, whole_milliseconds};
use crate::bytes::are_printable;
use crate::filters::FilterRules;
use crate::values::StatusWord;

/// A value that is a string in the configuration.
pub trait Field: Sized {
    /// What the error says was expected.
    const EXPECTED: &'static str;

    /// The value, if `text` is in the domain.
    fn parse(text: &str) -> Option<Self>;
}

/// Reads one. The same code for all of them: the module has it once.
struct Text {
    expected: &'static str,
    is: fn(&str) -> bool,
}

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        match (self.is)(text) {
            true => Ok(text.to_owned()),
            false => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident($inner:ty) = $expected:literal, $parse:expr;)*) => {
        $(
            $(#[$doc])*
            pub struct $name(pub $inner);

            impl Field for $name {
                const EXPECTED: &'static str = $expected;

                fn parse(text: &str) -> Option<Self> {
                    let parse: fn(&str) -> Option<$inner> = $parse;
                    parse(text).map($name)
                }
            }

            deserialize_as_text!($name);
        )*
    };
}

macro_rules! deserialize_as_text {
    ($name:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let is = |text: &str| Self::parse(text).is_some();
                let text = from.deserialize_str(Text { expected: Self::EXPECTED, is })?;
                Self::parse(&text).ok_or_else(|| D::Error::custom(Self::EXPECTED))
            }
        }
    };
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $expected:literal {
        $($(#[$meaning:meta])* $variant:ident = $word:literal,)*
    })*) => {
        $(
            $(#[$doc])*
            #[derive(Default, PartialEq, Eq)]
            pub enum $name {
                $($(#[$meaning])* $variant,)*
            }

            impl Field for $name {
                const EXPECTED: &'static str = $expected;

                fn parse(text: &str) -> Option<Self> {
                    match text {
                        $($word => Some($name::$variant),)*
                        _ => None,
                    }
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                    f.write_str(match self {
                        $($name::$variant => $word,)*
                    })
                }
            }

            deserialize_as_text!($name);
        )*
    };
}

words! {
    /// `mode`: what becomes of a valid request.
    Mode = "count or validate" {
        /// The store is asked.
        #[default]
        Count = "count",
        /// It continues to the backend.
        Validate = "validate",
    }

    /// `auth.mode`: who vouches for the caller.
    AuthMode = "none, header or keystone" {
        /// Nobody at the edge: the store judges.
        #[default]
        None = "none",
        /// An earlier filter, in a header.
        Header = "header",
        /// Keystone.
        Keystone = "keystone",
    }

    /// `filters.unknown`: what becomes of a parameter that is no filter.
    Unknown = "reject or ignore" {
        /// The request is answered 400.
        #[default]
        Reject = "reject",
        /// It is ignored.
        Ignore = "ignore",
    }
}

/// `metrics`: whether the filter counts for Prometheus.
pub struct Metrics(pub bool);

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics(true)
    }
}

impl<'de> Deserialize<'de> for Metrics {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Metrics, D::Error> {
        from.deserialize_any(Switch).map(Metrics)
    }
}

/// `on` or `off`, which Envoy's YAML reads as truth values.
struct Switch;

impl Visitor<'_> for Switch {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("on or off")
    }

    fn visit_bool<E: Error>(self, is_on: bool) -> Result<bool, E> {
        Ok(is_on)
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<bool, E> {
        match word {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
        }
    }
}

fields! {
    /// `store.cluster` and `auth.keystone.cluster`.
    Cluster(String) = "the name of an Envoy cluster", |text| {
        (!text.is_empty()).then(|| text.to_owned())
    };

    /// `store.protocol`: how the store is asked. There is one way so far.
    Protocol(()) = "vbs", |text| {
        (text == "vbs").then_some(())
    };

    /// `store.authority` and `auth.keystone.authority`: RFC 3986 §3.2, without user information.
    Authority(String) = "a host, or a host and a port", |text| {
        is_authority(text).then(|| text.to_owned())
    };

    /// `store.path_prefix` and `auth.keystone.path_prefix`.
    PathPrefix(String) =
        "nothing, or an absolute path without a trailing / and without dot segments",
        |text| is_path_prefix(text).then(|| text.to_owned());

    /// `store.timeout` and `auth.keystone.timeout`, in whole milliseconds.
    Timeout(Duration) = "a duration such as \"1.5s\", from 0.001s to 60s", |text| {
        let range = Duration::from_millis(1)..=Duration::from_secs(60);
        duration(text).filter(|timeout| range.contains(timeout)).map(whole_milliseconds)
    };

    /// `auth.keystone.remember`.
    Remember(Duration) = "a duration such as \"60s\", from 0s to 300s", |text| {
        duration(text).filter(|time| *time <= Duration::from_secs(300))
    };

    /// `cache.ttl`.
    Ttl(Duration) = "a duration such as \"5s\", 0s or from 0.001s to 3600s", |text| {
        let range = Duration::from_millis(1)..=Duration::from_secs(3600);
        duration(text).filter(|time| time.is_zero() || range.contains(time))
    };

    /// `cache.stale_if_error`.
    StaleIfError(Duration) = "a duration such as \"60s\", from 0s to 86400s", |text| {
        duration(text).filter(|time| *time <= Duration::from_secs(86_400))
    };

    /// `auth.challenge`.
    Challenge(String) = "1 to 256 printable ASCII characters", |text| {
        let well_formed = (1..=256).contains(&text.len()) && are_printable(text.as_bytes());
        well_formed.then(|| text.to_owned())
    };

    /// An element of `auth.keystone.roles`.
    Role(String) = "the name of a role", |text| {
        (!text.is_empty()).then(|| text.to_owned())
    };

    /// `auth.header`, and an element of `store.forward_headers`: in lower case.
    HeaderName(String) = "the name of a header that may be forwarded", header_name;

    /// An element of `filters.statuses`.
    Word(StatusWord) = "a lower-case word", StatusWord::parse;
}

/// `filters.statuses`: one at least.
#[derive(serde::Deserialize)]
#[serde(try_from = "Vec<Word>")]
pub struct Statuses(pub Vec<StatusWord>);

impl Default for Statuses {
    fn default() -> Statuses {
        Statuses(FilterRules::default().statuses)
    }
}

impl TryFrom<Vec<Word>> for Statuses {
    type Error = &'static str;

    fn try_from(words: Vec<Word>) -> Result<Statuses, &'static str> {
        match words.is_empty() {
            true => Err("expected at least one status, got an empty list"),
            false => Ok(Statuses(words.into_iter().map(|word| word.0).collect())),
        }
    }
}

/// `store.retries` and `auth.keystone.retries`.
pub type Retries = Integer<0, 3>;

/// `auth.keystone.max_tokens` and `cache.max_entries`.
pub type MaxEntries = Integer<1, 100_000>;

/// An integer from `LEAST` to `MOST`. It reads `2` and also `2.0`, because a `Struct` has only doubles.
pub struct Integer<const LEAST: u32, const MOST: u32>(pub u32);

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Integer<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_u32(Number::<LEAST, MOST>).map(Integer)
    }
}

struct Number<const LEAST: u32, const MOST: u32>;

impl<const LEAST: u32, const MOST: u32> Visitor<'_> for Number<LEAST, MOST> {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "an integer from {LEAST} to {MOST}")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u32, E> {
        let found = u32::try_from(number).ok().filter(|number| (LEAST..=MOST).contains(number));
        found.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u32, E> {
        // serde_json reads `-0` as a float.
        Err(E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<u32, E> {
        let range = f64::from(LEAST)..=f64::from(MOST);
        if number.fract() != 0.0 || !range.contains(&number) {
            return Err(E::invalid_value(Unexpected::Float(number), &self));
        }
        // Within the range, and whole.
        self.visit_u64(number as u64)
    }
}
