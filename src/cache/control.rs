//! What a store allows to be done with its answer (RFC 9111 §5.1 and §5.2.2).

use std::time::Duration;

use crate::list::{Value, elements, token, trim};
use crate::request::{Header, values_of};

/// What may be done with an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Allowed {
    /// For so long it may be remembered from its arrival on. Zero: not at all.
    pub time: Duration,
    /// Whether it may be given when the store fails, after that time.
    pub stale: bool,
    /// How old it was when it arrived.
    pub age: Duration,
}

/// What the headers of an answer allow. Of several limits the strictest holds.
pub fn allowed(headers: &[Header]) -> Allowed {
    let mut allowed = Allowed { time: Duration::MAX, stale: true, age: age(headers) };
    let fields = values_of(headers.iter().copied(), "cache-control");
    for (name, rest) in fields.flat_map(elements).filter_map(|element| token(trim(element))) {
        let is =
            |words: &[&str]| words.iter().any(|word| name.eq_ignore_ascii_case(word.as_bytes()));
        if is(&["no-store", "no-cache", "private"]) {
            allowed.time = Duration::ZERO;
        } else if is(&["max-age", "s-maxage"]) {
            let most = seconds_after_equals(rest).unwrap_or_default();
            allowed.time = allowed.time.min(most.saturating_sub(allowed.age));
        }
        // RFC 9111 §5.2.2.10: `s-maxage` says so too.
        if is(&["must-revalidate", "proxy-revalidate", "s-maxage"]) {
            allowed.stale = false;
        }
    }
    allowed
}

fn seconds_after_equals(text: &[u8]) -> Option<Duration> {
    let (value, rest) = Value::parse(text.strip_prefix(b"=")?)?;
    let (Value::Token(digits) | Value::Quoted(digits)) = value;
    if rest.is_empty() { seconds(digits) } else { None }
}

/// Of a list the first counts (RFC 9111 §5.1); what is no number says nothing.
fn age(headers: &[Header]) -> Duration {
    let first = values_of(headers.iter().copied(), "age").next();
    first.and_then(|field| seconds(trim(elements(field).next()?))).unwrap_or_default()
}

/// RFC 9111 §1.2.2: a number beyond 2^31 stands for that.
fn seconds(digits: &[u8]) -> Option<Duration> {
    let number = digits.iter().try_fold(0_u64, |number, &digit| {
        let digit = char::from(digit).to_digit(10)?;
        Some(number.saturating_mul(10).saturating_add(digit.into()).min(1 << 31))
    })?;
    (!digits.is_empty()).then(|| Duration::from_secs(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[&str], age: &[&str]) -> Allowed {
        let control = fields.iter().map(|value| (&b"cache-control"[..], value.as_bytes()));
        let age = age.iter().map(|value| (&b"age"[..], value.as_bytes()));
        allowed(&control.chain(age).collect::<Vec<_>>())
    }

    #[test]
    fn how_long() {
        for (fields, seconds) in [
            (&[][..], None),
            (&[""], None),
            (&["public, max-ages=0, x-max-age=0, no-transform"], None),
            (&["max-age=5"], Some(5)),
            (&["MAX-AGE=\"5\""], Some(5)),
            (&["max-age=5", "max-age=7"], Some(5)),
            (&["max-age=7,,max-age=5"], Some(5)),
            (&["max-age=60, s-maxage=5"], Some(5)),
            (&["max-age=99999999999999999999"], Some(1 << 31)),
            (&["x=\"a, no-store, b\", max-age=5"], Some(5)),
            (&["no-store"], Some(0)),
            (&["max-age=60", "No-Store"], Some(0)),
            (&["no-cache=\"set-cookie, x\""], Some(0)),
            (&["private"], Some(0)),
            (&["max-age=0"], Some(0)),
            (&["max-age"], Some(0)),
            (&["max-age="], Some(0)),
            (&["max-age=-1"], Some(0)),
            (&["max-age=1.5"], Some(0)),
            (&["max-age = 5"], Some(0)),
            (&["max-age=5 6"], Some(0)),
            (&["max-age=\"5"], Some(0)),
            (&["s-maxage=soon"], Some(0)),
        ] {
            let expected = seconds.map_or(Duration::MAX, Duration::from_secs);
            assert_eq!(read(fields, &[]).time, expected, "{fields:?}");
        }
    }

    #[test]
    fn what_may_be_stale() {
        for (field, stale) in [
            ("max-age=5", true),
            ("max-age=5, must-revalidate", false),
            ("Proxy-Revalidate", false),
            ("s-maxage=5", false),
        ] {
            assert_eq!(read(&[field], &[]).stale, stale, "{field}");
        }
    }

    #[test]
    fn how_old_it_was() {
        for (fields, seconds) in [
            (&[][..], 0),
            (&["7"], 7),
            (&["7", "8"], 7),
            (&[" 7 , 8"], 7),
            (&["", "8"], 0),
            (&["-7"], 0),
            (&["7s"], 0),
            (&["99999999999999999999"], 1 << 31),
        ] {
            assert_eq!(read(&[], fields).age, Duration::from_secs(seconds), "{fields:?}");
        }
        assert_eq!(read(&["max-age=10"], &["4"]).time, Duration::from_secs(6));
        assert_eq!(read(&["max-age=10"], &["10"]).time, Duration::ZERO);
    }
}
