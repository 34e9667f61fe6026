//! Reading what a service sent, trusting none of it.

use crate::bytes;
use crate::request::{Header, values_of};

/// A header value as text, if it is printable ASCII. The host does not check the values it sends: CR and LF would
/// split the message.
pub fn printable(value: &[u8]) -> Option<&str> {
    bytes::are_printable(value).then(|| str::from_utf8(value).ok()).flatten()
}

/// The code in a `:status`: three digits (RFC 9110 §15), where a parser of numbers also takes `+200`.
pub fn status(value: &[u8]) -> Option<u16> {
    let &[hundreds, tens, units] = value else {
        return None;
    };
    [hundreds, tens, units].iter().try_fold(0u16, |code, &digit| {
        let digit = digit.is_ascii_digit().then(|| u16::from(digit & 0xF))?;
        code.checked_mul(10)?.checked_add(digit)
    })
}

/// The `retry-after`. RFC 9110 §10.2.3 knows one; of several, none is the service's word.
pub fn retry_after<'a>(headers: &[Header<'a>]) -> Option<&'a str> {
    let mut values = values_of(headers.iter().copied(), "retry-after");
    match (values.next(), values.next()) {
        (Some(value), None) => seconds_or_date(value),
        _ => None,
    }
}

fn seconds_or_date(value: &[u8]) -> Option<&str> {
    let text = printable(value)?;
    let is_seconds = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // The parser takes spaces around a date, which are no part of it.
    let is_date = || text.trim() == text && httpdate::parse_http_date(text).is_ok();
    (is_seconds || is_date()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_three_digits() {
        assert_eq!(status(b"200"), Some(200));
        for bad in ["", "20", "+200", "0200", "20 ", "2e2"] {
            assert_eq!(status(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for good in [
            "0", "120", "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(seconds_or_date(good.as_bytes()), Some(good));
        }
        for bad in [
            "", "-1", "1.5", "soon", "1\r\nset-cookie: a", "Sun, 06 Nov 1994",
            "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
        ] {
            assert_eq!(seconds_or_date(bad.as_bytes()), None, "{bad}");
        }
    }
}
