//! Percent-encoding (RFC 3986 §2.1), both ways.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::bytes;

/// A `%` that two hex digits do not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedEscape;

/// Decodes a piece of a query: `+` is a space, every `%` begins an escape.
pub fn decode_query(piece: &[u8]) -> Result<Cow<'_, [u8]>, MalformedEscape> {
    if bytes::position(piece, [b'%', b'+']).is_none() {
        return Ok(Cow::Borrowed(piece));
    }
    let mut decoded = Vec::with_capacity(piece.len());
    let mut rest = piece;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match byte {
            b'%' => escape(after).ok_or(MalformedEscape)?,
            b'+' => (b' ', after),
            _ => (byte, after),
        };
        decoded.push(byte);
        rest = after;
    }
    Ok(Cow::Owned(decoded))
}

/// Decodes a path once, as a lenient backend would: what is no escape stays.
pub fn decode_path(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match byte {
            b'%' => escape(after).unwrap_or((byte, after)),
            _ => (byte, after),
        };
        decoded.push(byte);
        rest = after;
    }
    decoded
}

/// Appends `text` with everything but unreserved characters as `%XX`.
pub fn encode_into(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            url.push(char::from(byte));
        } else {
            let digits = [byte >> 4, byte & 0xF].into_iter();
            let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
            url.push('%');
            url.extend(digits.map(|digit| digit.to_ascii_uppercase()));
        }
    }
}

/// The byte that the two hex digits at the front stand for, and what follows.
fn escape(digits: &[u8]) -> Option<(u8, &[u8])> {
    let (&[high, low], after) = digits.split_first_chunk()?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = (digit(high)? << 4) | digit(low)?;
    Some((u8::try_from(value).ok()?, after))
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
