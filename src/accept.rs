//! Whether the client accepts `application/json` (RFC 9110 §12.5.1, docs/contract.md#accept).

use crate::list::{Value, elements, token, trim, trim_start};

/// Judges the values of all `accept` fields as one list.
///
/// The most specific range that applies decides; among equals the highest
/// weight. A list in which no element parses counts as absent.
pub fn accepts_json<'a>(fields: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut absent = true;
    // Ordered by specificity, then weight: the maximum decides.
    let mut best: Option<(Specificity, Weight)> = None;
    for element in fields.flat_map(elements) {
        if let Some(range) = MediaRange::parse(element) {
            absent = false;
            best = best.max(range.for_json().map(|specificity| (specificity, range.weight)));
        }
    }
    absent || best.is_some_and(|(_, weight)| weight > 0)
}

/// In thousandths, 0 to 1000.
type Weight = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Anything,
    AnyApplication,
    ApplicationJson,
}

#[derive(Debug)]
struct MediaRange<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    weight: Weight,
    /// Whether a parameter other than `charset=utf-8` and the weight was there.
    narrowed: bool,
}

impl<'a> MediaRange<'a> {
    /// `None` if the element is not a media range of RFC 9110 §12.5.1. `*` is read as `*/*`: Java's own HTTP
    /// client sent it until version 19 (docs/decisions/2026-11-23-accept.md).
    fn parse(element: &'a [u8]) -> Option<MediaRange<'a>> {
        let (kind, rest) = token(trim(element))?;
        let (subtype, mut rest) = match rest.strip_prefix(b"/") {
            Some(rest) => token(rest)?,
            None if kind == b"*" => (kind, rest),
            None => return None,
        };
        if kind == b"*" && subtype != b"*" {
            return None;
        }
        let mut weight = None;
        let mut narrowed = false;
        loop {
            rest = trim_start(rest);
            let Some(after) = rest.strip_prefix(b";") else {
                break;
            };
            rest = trim_start(after);
            // RFC 9110 §5.6.6 allows empty parameters: `text/html;;q=1`.
            let Some((name, after)) = token(rest) else {
                continue;
            };
            let (value, after) = Value::parse(after.strip_prefix(b"=")?)?;
            rest = after;
            if name.eq_ignore_ascii_case(b"q") {
                if weight.replace(qvalue(&value)?).is_some() {
                    return None;
                }
            } else {
                narrowed |= !(name.eq_ignore_ascii_case(b"charset") && value.is("utf-8"));
            }
        }
        rest.is_empty().then_some(MediaRange {
            kind,
            subtype,
            weight: weight.unwrap_or(1000),
            narrowed,
        })
    }

    /// How specifically the range names `application/json`, if it covers it.
    fn for_json(&self) -> Option<Specificity> {
        if self.narrowed {
            None
        } else if self.kind == b"*" {
            Some(Specificity::Anything)
        } else if !self.kind.eq_ignore_ascii_case(b"application") {
            None
        } else if self.subtype == b"*" {
            Some(Specificity::AnyApplication)
        } else {
            let json = self.subtype.eq_ignore_ascii_case(b"json");
            json.then_some(Specificity::ApplicationJson)
        }
    }
}

/// `qvalue` of RFC 9110 §12.4.2: `0`, `1`, and at most three decimals. `.2` is read as `0.2`, for
/// Java's client again.
fn qvalue(value: &Value) -> Option<Weight> {
    let Value::Token(token) = *value else {
        return None;
    };
    let (whole, decimals) = match token {
        [whole @ (b'0' | b'1')] => (*whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] => (*whole, decimals),
        [b'.', decimals @ ..] if !decimals.is_empty() => (b'0', decimals),
        _ => return None,
    };
    if decimals.len() > 3 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(10);
    let mut weight = digit(whole)?;
    for at in 0..3 {
        let decimal = decimals.get(at).map_or(Some(0), |&byte| digit(byte))?;
        weight = weight.checked_mul(10)?.checked_add(decimal)?;
    }
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(fields: &[&str]) -> bool {
        accepts_json(fields.iter().map(|field| field.as_bytes()))
    }

    #[test]
    fn acceptable() {
        for field in [
            "",
            " ",
            ",",
            "*/*",
            "application/json",
            "Application/JSON",
            "application/*",
            "application/json;charset=utf-8",
            "application/json; Charset=\"UTF-8\"",
            "application/json;charset=\"u\\tf-8\"",
            "application/json ; q=0.5",
            "application/json;q=0.001",
            "application/json;q=1.000",
            "application/json;Q=1.",
            "application/json;;q=1;",
            "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
            "text/html, image/gif, image/jpeg, */*; q=0.2",
            "text/html, *",
            "text/html, * ; q=.2",
            "*;q=0, application/json;q=.2",
            "application/json;q=.001",
            "application/json;q=.",
            "application/json;q=.0000",
            "*/;q=0",
            "**;q=0",
            "text/html,application/json",
            "text/html;q=0.9, */*;q=0.1",
            "*/*;q=0, application/json",
            "application/*;q=0, application/json;q=0.1",
            "application/json;q=0, application/json",
            "application/json;q=0, application/json;charset=utf-8",
            "text/html;x=\"a,application/xml;q=0\",*/*",
            "text/html;x=\"\\\",\", */*",
            "garbage",
            "*/json",
            "*/json;q=0",
            "text/html;x=\"\u{1}\"",
            "application/json;q=1.5",
            "application/json;q=1.001",
            "application/json;q=0.0001",
            "application/json;q=\"1\"",
            "application/json;q=0;q=1",
            "application/json; q = 1",
            "application/json x",
            "text /html",
            "text/html;a",
            "text/html;a=\"b",
        ] {
            assert!(accepts(&[field]), "{field}");
        }
    }

    #[test]
    fn not_acceptable() {
        for field in [
            "text/html",
            "application/xml",
            "application/jsonx",
            "application/vnd.openstack.volume+json",
            "application/json;version=1",
            "application/json;charset=latin1",
            "application/json;charset=utf-8;version=1",
            "application/json;q=0",
            "application/json;q=0.",
            "application/json;q=0.000",
            "*/*;q=0",
            "*/*;version=1",
            "application/json;q=0, */*",
            "application/*;q=0, */*",
            "application/json;q=0, application/*;q=1",
            "text/html, garbage",
            "text/html;x=\"a,*/*\"",
            "application/json;q=.0",
            "application/json;q=.000, *;q=.2",
            "*;q=0",
            "*;version=1",
            "text/html, *x",
        ] {
            assert!(!accepts(&[field]), "{field}");
        }
    }

    #[test]
    fn several_fields_are_one_list() {
        assert!(accepts(&[]));
        assert!(accepts(&["text/html", "application/json"]));
        assert!(!accepts(&["*/*", "application/json;q=0"]));
        assert!(!accepts(&["garbage", "text/html"]));
    }
}
