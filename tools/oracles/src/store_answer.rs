//! What the client gets for what the store answered (docs/contract.md#store-outcomes), by way of jiter.

use std::time::SystemTime;

use backup_sharing_count::callout::Outcome;
use backup_sharing_count::edge::{Edge, Step};
use backup_sharing_count::reply::Reply;
use backup_sharing_count::request::Header;
use chrono::NaiveDateTime;

use crate::http::{Answer, printable, values};
use crate::json::{Document, Json};
use crate::reply::{self, Body, STATUSES, StoreSays};

/// The largest body that is read, in bytes.
pub const LARGEST: usize = 65_536;

/// Asserts that the filter makes of an answer what the contract does, however often the store gives it.
pub fn check(answer: &Answer) {
    let edge = Edge::new(br#"{"store":{"cluster":"c"}}"#).expect("the smallest configuration");
    check_reply(answer, &conclude(&edge, answer, &answer.body), &|body| {
        conclude(&edge, answer, body)
    });
}

fn conclude(edge: &Edge, answer: &Answer, body: &[u8]) -> Reply {
    let now = || SystemTime::UNIX_EPOCH;
    let target = edge.locate(b"/v2/p1/os-vendor-backup-sharing/count").expect("the call");
    let head: [Header; 1] = [(b":method", b"GET")];
    let mut step = edge.begin(target, head.into_iter(), now);
    loop {
        step = match step {
            Step::Callout(waiting) => {
                let (status, headers) = (answer.status.as_slice(), answer.read_headers(&waiting));
                waiting.resume(Outcome::Answered { status, headers: &headers, body }, &now)
            }
            Step::Reply(reply) => return reply,
            step => panic!("{answer:?}: {step:?}"),
        };
    }
}

/// The status of the client's answer. `None`: the contract does not say.
pub fn status(answer: &Answer) -> Option<u16> {
    let status = str::from_utf8(&answer.status).unwrap_or_default();
    Some(match status {
        "200" => match count(&read(&answer.body)) {
            Ok(Some(_)) => 200,
            Ok(None) => 502,
            Err(Unclear) => return None,
        },
        "408" => 504,
        "429" => 503,
        _ if says(status) == StoreSays::Nothing => 502,
        _ => status.parse().expect("three digits"),
    })
}

fn read(body: &[u8]) -> Document {
    match body.len() {
        0..=LARGEST => Document::read(body),
        _ => Document::Malformed,
    }
}

/// Asserts that `reply` is what the contract makes of `answer`. `with_body` is the reply to the
/// same answer with another body.
pub fn check_reply(answer: &Answer, reply: &Reply, with_body: &dyn Fn(&[u8]) -> Reply) {
    let body = reply::read(reply);
    let status = str::from_utf8(&answer.status).unwrap_or_default();
    let says = says(status);
    let document = read(&answer.body);
    let Some(expected) = self::status(answer) else {
        return assert!([200, 502].contains(&reply.status));
    };
    if expected == 200 {
        let counted = count(&document).ok().flatten().map(Body::Count);
        assert_eq!((Some(body), reply.headers.len()), (counted, 1), "{document:?}");
        return assert_eq!(reply.details, "store_count");
    }
    check_details(answer, status, &reply.details);
    let shown = answer.status.escape_ascii();
    assert_eq!(reply.status, expected, "the store answered {shown} with {document:?}");
    let Body::Fault { message } = body else { panic!("expected a fault, got {body:?}") };
    let own = reply::message(&with_body(b""));
    match says {
        StoreSays::Words => {
            let said = first_message(&document).unwrap_or_else(|| own.clone());
            // Where a name is repeated, readers may differ.
            let is_clear = document != Document::Unclear && !repeats(&document);
            assert!(message == said || !is_clear, "{message:?} of {document:?}");
        }
        _ if status == "200" => {}
        _ => assert_eq!(message, own, "our own message"),
    }
    check_headers(answer, status, reply);
}

fn says(status: &str) -> StoreSays {
    let row = STATUSES.iter().find(|row| row.code.to_string() == status);
    row.map_or(StoreSays::Nothing, |row| row.store)
}

/// The name, and the status that the store sent where the client's does not tell it.
fn check_details(answer: &Answer, status: &str, details: &str) {
    let three = status.len() == 3 && status.bytes().all(|digit| digit.is_ascii_digit());
    let code = status.parse::<u16>().ok().filter(|_| three);
    let expected = match status {
        "200" if answer.body.len() > LARGEST => "store_invalid:too_large".to_owned(),
        "408" | "504" => format!("store_timeout:{status}"),
        "429" | "503" => format!("store_unavailable:{status}"),
        _ if says(status) == StoreSays::Words => "store_fault".to_owned(),
        _ if says(status) == StoreSays::Status => "store_error".to_owned(),
        _ => match code {
            Some(code) => format!("store_invalid:{code}"),
            None => "store_invalid".to_owned(),
        },
    };
    assert_eq!(details, expected, "the store answered {status}");
}

/// The reading is [`Document::Unclear`].
struct Unclear;

/// The one `count` of an object, an integer from 0 to 2^63 - 1.
fn count(document: &Document) -> Result<Option<u64>, Unclear> {
    let value = match document {
        Document::Value(value) => value,
        Document::Malformed => return Ok(None),
        Document::Unclear => return Err(Unclear),
    };
    let counts: Vec<&Json> = value.all("count").collect();
    // Digits alone: no sign (`-0` is written as a negative number), fraction or exponent.
    Ok(match counts[..] {
        [Json::Number(written)] if written.bytes().all(|digit| digit.is_ascii_digit()) => {
            written.parse().ok().filter(|count| *count < 1 << 63)
        }
        _ => None,
    })
}

/// The message of an OpenStack-style body, `{"itemNotFound": {"message": "…"}}`, cut to 512 characters: of the
/// first member in alphabetical order that has one, unless it is empty.
fn first_message(document: &Document) -> Option<String> {
    let Document::Value(value) = document else { return None };
    let mut members = value.members().unwrap_or_default().to_vec();
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut texts =
        members.iter().flat_map(|(_, fault)| fault.all("message")).filter_map(Json::text);
    let message: String = texts.next()?.chars().take(512).collect();
    (!message.is_empty()).then_some(message)
}

/// Whether a member stands in a body twice, or a member's message.
fn repeats(document: &Document) -> bool {
    let Document::Value(value) = document else { return false };
    let members = value.members().unwrap_or_default();
    members
        .iter()
        .any(|(name, fault)| value.all(name).count() > 1 || fault.all("message").count() > 1)
}

fn check_headers(answer: &Answer, status: &str, reply: &Reply) {
    let passed: Vec<(&str, &str)> =
        reply.headers.iter().skip(1).map(|(name, value)| (*name, &**value)).collect();
    let challenges = |name| -> Vec<(&str, &str)> {
        values(&answer.headers, name).filter_map(printable).map(|value| (name, value)).collect()
    };
    match status {
        "401" => assert_eq!(passed, challenges("www-authenticate")),
        "407" => assert_eq!(passed, challenges("proxy-authenticate")),
        "429" | "503" => check_retry_after(answer, &passed),
        _ => assert!(passed.is_empty(), "{status}: {passed:?}"),
    }
}

/// Asserts that these headers are the `retry-after` that an answer has, if any.
pub fn check_retry_after(answer: &Answer, passed: &[(&str, &str)]) {
    let sent: Vec<&[u8]> = values(&answer.headers, "retry-after").collect();
    match (passed, &sent[..]) {
        // RFC 9110 §10.2.3: one value. Of several, none is the service's word.
        ([], [value]) => assert!(!must_pass(value), "{} passes", value.escape_ascii()),
        ([], _) => {}
        ([("retry-after", passed)], [value]) => {
            assert_eq!(passed.as_bytes(), *value);
            assert!(may_pass(passed), "{passed:?} is neither seconds nor a date");
        }
        (passed, sent) => panic!("expected one of {sent:?} at most, got {passed:?}"),
    }
}

fn is_seconds(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|digit| digit.is_ascii_digit())
}

/// Seconds, or an IMF-fixdate (RFC 9110 §5.6.7) of the last and the next decades.
fn must_pass(value: &[u8]) -> bool {
    const FIXDATE: &str = "%a, %d %b %Y %H:%M:%S GMT";
    let Ok(value) = str::from_utf8(value) else { return false };
    let date = NaiveDateTime::parse_from_str(value, FIXDATE);
    let canonical = |date: NaiveDateTime| date.format(FIXDATE).to_string() == value;
    let years = "1970".."9999";
    let recent = value.get(12..16).is_some_and(|year| years.contains(&year));
    is_seconds(value) || (recent && date.is_ok_and(canonical))
}

/// Seconds, or something of the shape of RFC 9110's three dates.
fn may_pass(value: &str) -> bool {
    let shape: String = value
        .chars()
        .map(|c| match c {
            '0'..='9' => '0',
            'A'..='Z' | 'a'..='z' => 'a',
            other => other,
        })
        .collect();
    let rfc850 = shape.trim_start_matches('a') == ", 00-aaa-00 00:00:00 aaa";
    let others =
        ["aaa, 00 aaa 0000 00:00:00 aaa", "aaa aaa 00 00:00:00 0000", "aaa aaa  0 00:00:00 0000"];
    is_seconds(value) || rfc850 || others.contains(&shape.as_str())
}
