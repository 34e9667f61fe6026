//! Percent-encoding (RFC 3986 §2.1) by hand, where the filter has a library.

/// What the escapes stand for; what is no escape stays.
pub fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let escape = after.get(..2).filter(|_| byte == b'%').and_then(hex);
        decoded.push(escape.unwrap_or(byte));
        rest = if escape.is_some() { &after[2..] } else { after };
    }
    decoded
}

/// The byte that two hex digits stand for.
fn hex(digits: &[u8]) -> Option<u8> {
    let digits = str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u8::from_str_radix(digits, 16).ok()
}

/// `text` with everything but unreserved characters (§2.3) as `%XX`.
pub fn encode(text: &str) -> String {
    let character = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(character).collect()
}
