//! What Keystone's answer says of a caller's token (docs/contract.md#callers), by way of jiter and chrono.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use backup_sharing_count::reply::Reply;
use chrono::DateTime;

use crate::http::Answer;
use crate::json::{Document, Json};
use crate::outcome::{End, Event};
use crate::reply;
use crate::store_answer::{LARGEST, check_retry_after};

/// What Keystone says of a token.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Whose it is.
    Known(Caller),
    /// It is none, or no longer one: remembered.
    Refused,
    /// The client gets this status and these details.
    Failed(u16, String),
    /// The contract does not say. The request does not go on.
    Unclear,
}

/// Whose a token is.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// `project.id`
    pub project: Option<String>,
    /// Whether a role fits.
    pub has_role: bool,
    /// `expires_at`
    pub expires: SystemTime,
}

impl Verdict {
    /// What Keystone's own answer says. Without `roles`, any will do.
    pub fn read(answer: &Answer, roles: &[&str]) -> Verdict {
        let status = str::from_utf8(&answer.status).unwrap_or_default();
        let three = status.len() == 3 && status.bytes().all(|digit| digit.is_ascii_digit());
        if !three {
            return Verdict::Failed(502, "auth_invalid".to_owned());
        }
        // As the number that it is: `020` is 20.
        let number: u16 = status.parse().expect("three digits");
        let failed = |code, name: &str| Verdict::Failed(code, format!("{name}:{number}"));
        match status {
            "200" if answer.body.len() > LARGEST => {
                Verdict::Failed(502, "auth_invalid:too_large".to_owned())
            }
            "200" => match Document::read(&answer.body) {
                Document::Value(body) => token(&body, roles),
                Document::Malformed => failed(502, "auth_invalid"),
                Document::Unclear => Verdict::Unclear,
            },
            "401" => Verdict::Refused,
            "404" => match Document::read(&answer.body) {
                Document::Value(body) => not_found(&body),
                Document::Malformed => failed(502, "auth_invalid"),
                Document::Unclear => Verdict::Unclear,
            },
            "400" | "414" | "431" => failed(401, "auth_refused"),
            "504" => failed(504, "auth_timeout"),
            "403" | "429" => failed(503, "auth_unavailable"),
            _ if status.starts_with('5') => failed(503, "auth_unavailable"),
            _ => failed(502, "auth_invalid"),
        }
    }

    /// What a client gets who asks about `project`. `None`: the request goes on.
    pub fn answer(&self, project: &str, now: SystemTime) -> Option<(u16, &str)> {
        match self {
            Verdict::Known(caller) if caller.expires <= now => Some((401, "auth_refused:expired")),
            Verdict::Known(caller) if caller.project.as_deref() != Some(project) => {
                Some((403, "auth_project"))
            }
            Verdict::Known(caller) if !caller.has_role => Some((403, "auth_role")),
            Verdict::Known(_) => None,
            Verdict::Refused => Some((401, "auth_refused")),
            Verdict::Failed(status, details) => Some((*status, details)),
            Verdict::Unclear => Some((0, "")),
        }
    }
}

/// The one member of this name. `Err`: there are several, or this is no object.
fn one<'a>(value: &'a Json, name: &'a str) -> Result<Option<&'a Json>, ()> {
    value.members().ok_or(())?;
    let mut all = value.all(name);
    match (all.next(), all.next()) {
        (one, None) => Ok(one),
        _ => Err(()),
    }
}

/// A 200's body.
fn token(body: &Json, roles: &[&str]) -> Verdict {
    let invalid = || Verdict::Failed(502, "auth_invalid:200".to_owned());
    let Ok(Some(token)) = one(body, "token") else { return invalid() };
    let Ok(Some(expires)) = one(token, "expires_at") else { return invalid() };
    let Some(expires) = expires.text().and_then(time) else { return invalid() };
    let Some(expires) = expires else { return Verdict::Unclear };
    // What a project and a role are in a token that no Keystone gives is open.
    let project = match one(token, "project") {
        Ok(None | Some(Json::Null)) => None,
        Ok(Some(project)) => match one(project, "id") {
            Ok(Some(Json::Text(id))) => Some(id.clone()),
            _ => return Verdict::Unclear,
        },
        Err(()) => return Verdict::Unclear,
    };
    let given = match one(token, "roles") {
        Ok(None) => &[],
        Ok(Some(Json::Array(given))) => &given[..],
        _ => return Verdict::Unclear,
    };
    let mut has_role = roles.is_empty();
    for role in given {
        let Ok(Some(Json::Text(name))) = one(role, "name") else { return Verdict::Unclear };
        has_role |= roles.iter().any(|role| role.eq_ignore_ascii_case(name));
    }
    Verdict::Known(Caller { project, has_role, expires })
}

/// RFC 3339. `Some(None)`: a time that the contract does not ask to be read.
fn time(text: &str) -> Option<Option<SystemTime>> {
    // The library takes a space for the `T`, and other characters for `-`; RFC 3339 §5.6 does not.
    let ascii = text.is_ascii() && !text.contains(' ');
    let time = DateTime::parse_from_rfc3339(text).ok().filter(|_| ascii)?;
    // No token is from before 1970, at its own offset either.
    let seconds = u64::try_from(time.timestamp().min(time.naive_local().and_utc().timestamp()));
    let seconds = seconds.ok().map(|_| time.timestamp().unsigned_abs());
    // chrono counts a leap second's nanoseconds on from the second before it, which it is read as.
    let nanos = time.timestamp_subsec_nanos() % 1_000_000_000;
    Some(seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)))
}

/// A 404's body: Keystone's says so itself.
fn not_found(body: &Json) -> Verdict {
    let code = one(body, "error").map(|error| error.map(|error| one(error, "code")));
    match code {
        Ok(Some(Ok(Some(Json::Number(code))))) if code == "404" => Verdict::Refused,
        _ => Verdict::Failed(502, "auth_invalid:404".to_owned()),
    }
}

/// Asserts that a request that did not go on got this `reply`.
pub fn check_reply(
    reply: &Reply,
    event: Option<&Event>,
    expected: (u16, &str),
    challenge: &str,
    cluster: &str,
) {
    let message = reply::message(reply);
    let found = (reply.status, &*reply.details);
    if expected.0 == 0 {
        assert!([401, 403, 502].contains(&found.0) && found.1.starts_with("auth_"), "{reply:?}");
    } else {
        assert_eq!(found, expected, "{event:?}");
    }
    let passed: Vec<(&str, &str)> =
        reply.headers.iter().skip(1).map(|(name, value)| (*name, &**value)).collect();
    match (found, event.map(|event| &event.end)) {
        ((401, _), _) => assert_eq!(passed, [("www-authenticate", challenge)]),
        ((503, "auth_unavailable:429" | "auth_unavailable:503"), Some(End::Answered(answer))) => {
            check_retry_after(answer, &passed);
        }
        _ => assert!(passed.is_empty(), "{passed:?}"),
    }
    let notes = reply.notes.clone().unwrap_or_default();
    let text = match event.map(|event| &event.end) {
        Some(End::Envoy(word)) if word.name != "late" => Some(word.text),
        _ => None,
    };
    assert_eq!(notes.envoy_says.as_deref(), text);
    let alarms = ["auth_invalid:404", "auth_unavailable:403", "auth_unknown_cluster"];
    let alarm = notes.alarm.unwrap_or_default();
    let named = alarm.contains(&format!("{cluster:?}"));
    assert_eq!((!alarm.is_empty(), named), (alarms.contains(&found.1), !alarm.is_empty()));
    check_words(reply, message + &alarm);
}

/// Nothing that Keystone says reaches a client or a log: the same words for the same details, whatever it said.
fn check_words(reply: &Reply, words: String) {
    thread_local!(static WORDS: RefCell<BTreeMap<String, String>> = RefCell::default());
    WORDS.with_borrow_mut(|all| {
        let before = all.entry(reply.details.to_string()).or_insert_with(|| words.clone());
        assert_eq!(*before, words, "{}", reply.details);
    });
}
