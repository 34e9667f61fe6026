//! From the bytes of a query to [`Filters`], left to right.

use std::borrow::Cow;

use super::{FilterRules, Filters, NAMES};
use crate::bytes;
use crate::details;
use crate::percent;
use crate::reply::{Reply, quote};
use crate::status;

/// Reads a query, without its `?`.
///
/// # Errors
/// 400 for the first piece that is not a filter with a value in its domain.
pub fn parse(query: &[u8], rules: &FilterRules) -> Result<Filters, Reply> {
    let mut filters = Filters::default();
    let mut rest = query;
    while !rest.is_empty() {
        let (piece, after) = cut(rest, b'&');
        if !piece.is_empty() {
            read_piece(piece, rules, &mut filters)?;
        }
        rest = after;
    }
    Ok(filters)
}

fn read_piece(piece: &[u8], rules: &FilterRules, filters: &mut Filters) -> Result<(), Reply> {
    let (raw_name, raw_value) = cut(piece, b'=');

    let name = decode(raw_name).map_err(|wrong| bad(&quote(raw_name), wrong, raw_name))?;
    let Some((filter, slot)) = filters.slot(name.as_bytes()) else {
        if rules.reject_unknown {
            return Err(unknown(&name));
        }
        decode(raw_value).map_err(|wrong| bad(&quote(name.as_bytes()), wrong, raw_value))?;
        return Ok(());
    };
    if slot.is_some() {
        const TWICE: &str = ": expected once, got it again";
        return Err(match filter.alias {
            None => rejected(&[filter.name, TWICE]),
            Some(alias) => rejected(&[filter.name, " (or ", alias, ")", TWICE]),
        });
    }
    let value = decode(raw_value).map_err(|wrong| bad(&name, wrong, raw_value))?;
    let Some(valid) = filter.domain.parse(value, rules) else {
        let expected = filter.domain.expected(rules);
        // Once more, for a value that is in its domain is not copied.
        let value = decode(raw_value).unwrap_or_default();
        return Err(bad(&name, &expected, value.as_bytes()));
    };
    *slot = Some(valid);
    Ok(())
}

/// What stands before the first `separator`, and what behind it.
fn cut(bytes: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let at = bytes::position(bytes, [separator]);
    let (before, after) = at.and_then(|at| bytes.split_at_checked(at)).unwrap_or((bytes, &[]));
    (before, after.get(1..).unwrap_or_default())
}

/// Decodes a name or a value, or says what was expected.
fn decode(piece: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    let utf_8 = "percent-encoded UTF-8";
    match percent::decode_query(piece) {
        Err(percent::MalformedEscape) => Err("two hex digits after every %"),
        Ok(Cow::Borrowed(text)) => str::from_utf8(text).map(Cow::Borrowed).or(Err(utf_8)),
        Ok(Cow::Owned(text)) => String::from_utf8(text).map(Cow::Owned).or(Err(utf_8)),
    }
}

/// The 400 for a name that is no filter's.
fn unknown(name: &str) -> Reply {
    let name = quote(name.as_bytes());
    rejected(&[&name, " is not a filter of this call; expected one of ", NAMES])
}

/// The 400 for a value out of its domain.
fn bad(parameter: &str, expected: &str, value: &[u8]) -> Reply {
    let got = if value.is_empty() { "nothing" } else { &quote(value) };
    rejected(&[parameter, ": expected ", expected, ", got ", got])
}

fn rejected(message: &[&str]) -> Reply {
    Reply::fault_saying(status::BAD_REQUEST, details::EDGE_FILTER, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOLUME: &str = "8332443e-9866-41d8-8a58-a898cf5db030";

    fn given(query: &str) -> Vec<(&'static str, String)> {
        let filters = parse(query.as_bytes(), &FilterRules::default()).unwrap();
        filters.given().map(|(filter, value)| (filter.name, value.as_str().to_owned())).collect()
    }

    fn fault(query: &[u8], rules: &FilterRules) -> String {
        parse(query, rules).unwrap_err().body.into_owned()
    }

    #[test]
    fn filters_come_out_in_documented_order_and_normal_form() {
        let query = format!(
            "availability_zone=eu-de-01&&to_project_id=p2&from_project_id=p1&backup_id={volume}\
             &status=Available&name=a%2Bb+c%26&volume_id={volume}&share_to_me=Yes&",
            volume = VOLUME.to_uppercase()
        );
        let expected = [
            ("share_to_me", "true"),
            ("volume_id", VOLUME),
            ("name", "a+b c&"),
            ("status", "available"),
            ("backup_id", VOLUME),
            ("from_project_id", "p1"),
            ("to_project_id", "p2"),
            ("avalilability_zone", "eu-de-01"),
        ];
        assert_eq!(given(&query), expected.map(|(name, value)| (name, value.to_owned())));
        assert_eq!(given(""), []);
        assert_eq!(given("&&"), []);
    }

    #[test]
    fn a_value_keeps_all_but_the_first_equals_sign() {
        assert_eq!(given("name=a=b"), [("name", "a=b".to_owned())]);
        assert_eq!(given("%6eame=a"), [("name", "a".to_owned())]);
    }

    #[test]
    fn the_first_bad_piece_is_named() {
        let rules = FilterRules::default();
        for (query, message) in [
            (
                "name",
                "name: expected 1 to 255 characters, none of them a control character, got nothing",
            ),
            ("name=a&name=a", "name: expected once, got it again"),
            (
                "availability_zone=a&avalilability_zone=a",
                "avalilability_zone (or availability_zone): expected once, got it again",
            ),
            ("name=%zz&x=1", r#"name: expected two hex digits after every %, got \"%zz\""#),
            ("share_to_me=2", r#"share_to_me: expected true or false, got \"2\""#),
            ("volume_id=1&x", r#"volume_id: expected a UUID, got \"1\""#),
            (
                "to_project_id=a.b",
                r#"to_project_id: expected 1 to 64 of 0-9 A-Z a-z _ -, got \"a.b\""#,
            ),
            (
                "status=gone",
                r#"status: expected one of available, creating, deleting, error, error_deleting, error_restoring, restoring, got \"gone\""#,
            ),
        ] {
            let body = format!(r#"{{"badRequest":{{"code":400,"message":"{message}"}}}}"#);
            assert_eq!(fault(query.as_bytes(), &rules), body, "{query}");
        }
        for (query, name) in [("Name=a", "Name"), ("=a", "")] {
            let message =
                format!(r#"\"{name}\" is not a filter of this call; expected one of {NAMES}"#);
            assert!(fault(query.as_bytes(), &rules).contains(&message), "{query}");
        }
        assert!(NAMES.starts_with("share_to_me, volume_id, name, "), "{NAMES}");
    }

    #[test]
    fn bytes_beyond_utf_8_are_refused_raw_or_escaped() {
        let rules = FilterRules::default();
        for query in [&b"name=\xFF"[..], b"name=%ff", b"\xFF=a", b"name=%C3"] {
            assert!(fault(query, &rules).contains("percent-encoded UTF-8"));
        }
    }

    #[test]
    fn ignored_names_may_repeat_and_be_empty_but_not_be_malformed() {
        let rules = FilterRules { reject_unknown: false, ..FilterRules::default() };
        let filters = parse(b"limit=1&limit=1&x&=&name=a", &rules).unwrap();
        assert_eq!(filters.given().count(), 1);
        assert!(fault(b"limit=%zz", &rules).contains(r#"\"limit\": expected two hex"#));
    }
}
