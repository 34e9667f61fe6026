//! Percent-encoding (RFC 3986 §2.1), both ways.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use crate::bytes;

/// A `%` that two hex digits do not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedEscape;

/// All but the unreserved characters (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Decodes a piece of a query: `+` is a space, every `%` begins an escape.
pub fn decode_query(piece: &[u8]) -> Result<Cow<'_, [u8]>, MalformedEscape> {
    if bytes::position(piece, [b'%', b'+']).is_none() {
        return Ok(Cow::Borrowed(piece));
    }
    let is_hex = |digit: &u8| digit.is_ascii_hexdigit();
    let is_escape = |after: &[u8]| matches!(after, [high, low, ..] if is_hex(high) && is_hex(low));
    if !piece.split(|&byte| byte == b'%').skip(1).all(is_escape) {
        return Err(MalformedEscape);
    }
    let spaced: Vec<u8> =
        piece.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    Ok(Cow::Owned(decode_path(&spaced)))
}

/// Decodes a path once, as a lenient backend would: what is no escape stays.
pub fn decode_path(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    decoded.extend(percent_decode(path));
    decoded
}

/// Appends `text` with everything but unreserved characters as `%XX`.
pub fn encode_into(url: &mut String, text: &str) {
    url.extend(utf8_percent_encode(text, RESERVED));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_decode_plus_and_escapes() {
        assert_eq!(decode_query(b"a+b%20c%7e%C3%A9").unwrap(), "a b c~é".as_bytes());
        for bad in ["%", "%4", "%zz", "a%", "%+1", "%%41"] {
            assert_eq!(decode_query(bad.as_bytes()), Err(MalformedEscape), "{bad}");
        }
    }

    #[test]
    fn paths_decode_once_and_keep_the_rest() {
        assert_eq!(decode_path(b"a+b%2Fc%252F%zz%"), b"a+b/c%2F%zz%");
    }

    #[test]
    fn only_unreserved_characters_stay() {
        let mut url = String::new();
        encode_into(&mut url, "aZ0-._~ +/%&=é");
        assert_eq!(url, "aZ0-._~%20%2B%2F%25%26%3D%C3%A9");
    }
}
