//! Lists and parameters in header fields (RFC 9110 §5.6).

use crate::bytes::is_tchar;

/// A parameter's value: a token, or the inside of a quoted string.
pub enum Value<'a> {
    /// A token.
    Token(&'a [u8]),
    /// What stands between the quotes.
    Quoted(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The value at the front, and what follows it.
    pub fn parse(text: &'a [u8]) -> Option<(Value<'a>, &'a [u8])> {
        let Some(quoted) = text.strip_prefix(b"\"") else {
            let (token, rest) = token(text)?;
            return Some((Value::Token(token), rest));
        };
        let mut escaped = false;
        let end = quoted.iter().position(|&byte| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        })?;
        let (inside, rest) = quoted.split_at_checked(end)?;
        // RFC 9110 §5.6.4: of the controls, a tab alone.
        if inside.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t') {
            return None;
        }
        Some((Value::Quoted(inside), rest.strip_prefix(b"\"")?))
    }

    /// Compares without case; a quoted pair stands for its second character.
    pub fn is(&self, expected: &str) -> bool {
        match self {
            Value::Token(token) => token.eq_ignore_ascii_case(expected.as_bytes()),
            Value::Quoted(inside) => {
                let mut escaped = false;
                let plain = inside.iter().filter(|&&byte| {
                    escaped = byte == b'\\' && !escaped;
                    !escaped
                });
                plain.map(u8::to_ascii_lowercase).eq(expected.bytes())
            }
        }
    }
}

/// The elements of a list (RFC 9110 §5.6.1), split at commas outside quoted strings.
pub fn elements(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    field.split(move |&byte| {
        let separates = byte == b',' && !quoted;
        if byte == b'"' && !escaped {
            quoted = !quoted;
        }
        escaped = byte == b'\\' && quoted && !escaped;
        separates
    })
}

/// The token (RFC 9110 §5.6.2) at the front, and what follows it.
pub fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| !is_tchar(byte)).unwrap_or(text.len());
    if end == 0 {
        return None;
    }
    text.split_at_checked(end)
}

/// `text` without the blanks in front.
pub fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
    start.and_then(|start| text.get(start..)).unwrap_or_default()
}

/// `text` without the blanks around it.
pub fn trim(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, b' ' | b'\t'));
    let trimmed = end.and_then(|end| text.get(..=end)).unwrap_or_default();
    trim_start(trimmed)
}
