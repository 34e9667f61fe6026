//! Whether `accept` takes `application/json` (docs/contract.md#accept), by way of the crate `mediatype`.
//!
//! That crate reads media types (RFC 6838), the contract speaks of media ranges (RFC 9110 §12.5.1).
//! Where they differ:
//!
//! | | RFC 9110 | `mediatype` | here |
//! |---|---|---|---|
//! | names | any token | begin with a letter, a digit or `*`; no `` ` `` `\|` `~` | stand-ins: [`simplify`] |
//! | `a/b+c` | a subtype | a subtype and a suffix | a stand-in for `+` |
//! | names over 127 characters | allowed | refused | no opinion |
//! | empty parameters, `;;` | allowed (§5.6.6) | refused, but for the last | dropped first |
//! | an empty value, `a=` | refused | allowed | refused |
//! | `*/json` | no range (§12.5.1 knows `*/*` alone) | allowed | refused |
//! | controls in quoted strings | refused, but for tab (§5.6.4) | allowed, but for CR and LF | refused |
//! | bytes beyond ASCII in quoted strings | allowed | not UTF-8, not text | stand-ins |
//! | a range `*`, a weight `.2` | refused | refused; any value | `*/*` and `0.2`, as the contract says |

use backup_sharing_count::accept::accepts_json;
use mediatype::{MediaType, Name};

/// Asserts that the filter judges these `accept` fields as the contract does.
pub fn check(fields: &[&[u8]]) {
    let judged = accepts_json(fields.iter().copied());
    if let Some(expected) = accepts(fields) {
        let shown: Vec<String> = fields.iter().map(|f| f.escape_ascii().to_string()).collect();
        assert_eq!(judged, expected, "accept: {shown:#?}");
    }
}

/// Whether JSON is acceptable. `None`: the contract does not say.
pub fn accepts(fields: &[&[u8]]) -> Option<bool> {
    let mut elements = Vec::new();
    for field in fields {
        elements.extend(split(field)?);
    }
    let ranges: Vec<Range> = elements.iter().filter_map(|element| range(element)).collect();
    if elements.iter().any(|element| is_too_long(element)) {
        return None;
    }
    // From the most specific to the least; the first kind that is there decides.
    let decisive = (1..=3).rev().find_map(|specificity| {
        let weights = ranges.iter().filter(|range| range.specificity == specificity);
        weights.map(|range| range.weight).max()
    });
    Some(ranges.is_empty() || decisive.is_some_and(|weight| weight > 0))
}

struct Range {
    /// 3 for `application/json`, 2 for `application/*`, 1 for `*/*`, 0 if it does not apply.
    specificity: u8,
    weight: u32,
}

/// The elements of a field, split at the commas outside quoted strings. `None` if a quotation mark
/// stands where none may, or is never closed: what is quoted then is anybody's guess.
fn split(field: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut elements = vec![Vec::new()];
    let mut bytes = field.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b',' {
            elements.push(Vec::new());
            continue;
        }
        let element = elements.last_mut()?;
        if byte == b'"' && element.last() != Some(&b'=') {
            return None;
        }
        element.push(byte);
        if byte == b'"' {
            loop {
                let inside = bytes.next()?;
                element.push(inside);
                match inside {
                    b'\\' => element.push(bytes.next()?),
                    b'"' => break,
                    _ => {}
                }
            }
        }
    }
    Some(elements)
}

/// The media range that an element is, if it is one.
fn range(element: &[u8]) -> Option<Range> {
    let element = in_full(without_empty_parameters(element));
    let simple = simplify(&element)?;
    let parsed = MediaType::parse(&simple).ok()?;
    // What was written where the library found `part` of it, in lower case.
    let written = |part: &str| {
        let start = part.as_ptr() as usize - simple.as_ptr() as usize;
        element[start..start + part.len()].to_ascii_lowercase()
    };
    let (kind, subtype) = (written(parsed.ty.as_str()), written(parsed.subty.as_str()));
    let mut specificity = match (&kind[..], &subtype[..]) {
        (b"application", b"json") => 3,
        (b"application", b"*") => 2,
        (b"*", b"*") => 1,
        (b"*", _) => return None,
        _ => 0,
    };
    let mut weight = None;
    for (name, value) in parsed.params.iter() {
        let value = written(value.as_str());
        match &written(name.as_str())[..] {
            _ if value.is_empty() => return None,
            // Two weights are not the RFC's grammar.
            b"q" if weight.is_some() => return None,
            b"q" => weight = Some(thousandths(str::from_utf8(&value).ok()?)?),
            b"charset" if unquoted(&value) == b"utf-8" => {}
            _ => specificity = 0,
        }
    }
    Some(Range { specificity, weight: weight.unwrap_or(1000) })
}

/// `element` with stand-ins, byte for byte, so that the library takes what RFC 9110 does: a letter
/// for each character of a token, and for each byte in a quoted string that is not ASCII. `None`
/// if a quoted string holds a control character.
fn simplify(element: &[u8]) -> Option<String> {
    let mut quoted = false;
    let mut escaped = false;
    let stand_in = |&byte: &u8| {
        let inside = quoted;
        quoted ^= byte == b'"' && !escaped;
        escaped = inside && byte == b'\\' && !escaped;
        Some(match byte {
            b'\t' => '\t',
            0x00..=0x1F | 0x7F if inside => return None,
            0x80.. if inside => 'x',
            b'!' | b'#'..=b'\'' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~' if !inside => 'x',
            // Not a character that a media type may have.
            0x80.. => '(',
            _ => char::from(byte),
        })
    };
    element.iter().map(stand_in).collect()
}

/// `element` without blank parameters and the whitespace around it.
fn without_empty_parameters(element: &[u8]) -> Vec<u8> {
    let mut quoted = false;
    let mut escaped = false;
    let parts = element.split(|&byte| {
        let inside = quoted;
        quoted ^= byte == b'"' && !escaped;
        escaped = inside && byte == b'\\' && !escaped;
        byte == b';' && !inside
    });
    let blank = |part: &&[u8]| part.iter().all(|byte| b" \t".contains(byte));
    let kept = parts.enumerate().filter(|(at, part)| *at == 0 || !blank(part));
    let joined = kept.map(|(_, part)| part).collect::<Vec<_>>().join(&b';');
    let start = joined.iter().take_while(|byte| b" \t".contains(byte)).count();
    joined[start..].to_vec()
}

/// `element` with `*/*` where it has the range `*`.
fn in_full(element: Vec<u8>) -> Vec<u8> {
    let parameters = element.iter().position(|&byte| byte == b';').unwrap_or(element.len());
    match element[..parameters].trim_ascii_end() {
        b"*" => [b"*/*", &element[1..]].concat(),
        _ => element,
    }
}

/// A value as it is meant: without quotation marks, and a quoted pair as its second character.
fn unquoted(value: &[u8]) -> Vec<u8> {
    let Some(inside) = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return value.to_vec();
    };
    let mut inside = inside.iter().copied();
    let mut plain = Vec::new();
    while let Some(byte) = inside.next() {
        plain.extend(if byte == b'\\' { inside.next() } else { Some(byte) });
    }
    plain
}

/// `qvalue` of RFC 9110 §12.4.2, in thousandths; the zero before decimals may be missing.
fn thousandths(weight: &str) -> Option<u32> {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    match (whole, format!("{decimals:0<3}").parse()) {
        ("", _) if decimals.is_empty() => None,
        ("" | "0", Ok(thousandths)) => Some(thousandths),
        ("1", Ok(0)) => Some(1000),
        _ => None,
    }
}

/// Whether a name may be longer than the library takes.
fn is_too_long(element: &[u8]) -> bool {
    element.split(|byte| b"/;= \t".contains(byte)).any(|name| name.len() > Name::MAX_LENGTH)
}
