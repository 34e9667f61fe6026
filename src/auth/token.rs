//! Reading what Keystone says of a token, trusting none of it.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::bytes;
use crate::hash::sha256;
use crate::json::{Object, from_body};
use crate::values::ProjectId;

/// What is remembered of a token that Keystone knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's project; `None` if it has none that a path could name.
    pub project: Option<ProjectId>,
    /// Whether one of its roles is among those that may ask.
    pub has_role: bool,
    /// When its time is over.
    pub expires: SystemTime,
}

#[derive(Deserialize)]
struct Body {
    token: Object<Token>,
}

#[derive(Deserialize)]
struct Token {
    expires_at: String,
    project: Option<Object<Project>>,
    #[serde(default)]
    roles: Vec<Object<Role>>,
}

#[derive(Deserialize)]
struct Project {
    id: String,
}

#[derive(Deserialize)]
struct Role {
    name: String,
}

/// The key under which a token is remembered and shared: its SHA-256, however it is spelled. Keystone reads base64, in
/// either alphabet, and skips what is none, so it takes a token with any number of `=` or `!` for the same. Whoever can
/// spell a token in another way knows it.
pub fn key(token: &str) -> [u8; 32] {
    if bytes::are_url_safe(token.as_bytes()) {
        return sha256(token);
    }
    let url_safe = token.chars().map(|character| match character {
        '+' => '-',
        '/' => '_',
        other => other,
    });
    let is_url_safe = |character: &char| u8::try_from(*character).is_ok_and(bytes::is_url_safe);
    sha256(&url_safe.filter(is_url_safe).collect::<String>())
}

/// The caller in the body of a 200. Without `roles` any role will do.
pub fn caller(body: &[u8], roles: &[String]) -> Option<Caller> {
    let Object(Body { token: Object(token) }) = from_body(body)?;
    let fits = |Object(role): &Object<Role>| {
        roles.iter().any(|wanted| wanted.eq_ignore_ascii_case(&role.name))
    };
    Some(Caller {
        project: token.project.and_then(|Object(project)| ProjectId::parse(&project.id)),
        has_role: roles.is_empty() || token.roles.iter().any(fits),
        expires: time(&token.expires_at)?,
    })
}

/// Whether the body of a 404 is Keystone's: `{"error": {"code": 404, …}}`.
pub fn is_keystones_404(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Body {
        error: Object<Error>,
    }

    #[derive(Deserialize)]
    struct Error {
        code: u64,
    }

    from_body(body).is_some_and(|Object(Body { error: Object(Error { code }) })| code == 404)
}

/// RFC 3339, from 1970 on. The parser knows no offset but `Z`, and takes what is not of this form besides.
fn time(text: &str) -> Option<SystemTime> {
    let text = text.to_ascii_uppercase();
    let (local, minutes) = match text.strip_suffix('Z') {
        Some(local) => (local, 0),
        None => {
            let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
            (local, minutes(offset)?)
        }
    };
    let (_, fraction) = local.split_at_checked(SECONDS)?;
    let decimals = fraction.strip_prefix('.').unwrap_or("0");
    if !(fraction.is_empty() || fraction.starts_with('.')) || !are_digits(decimals) {
        return None;
    }
    let local = humantime::parse_rfc3339(&[local, "Z"].concat()).ok()?;
    let ahead = Duration::from_secs(minutes.unsigned_abs().checked_mul(60)?);
    if minutes < 0 { local.checked_add(ahead) } else { local.checked_sub(ahead) }
}

/// The length of `2026-11-26T10:44:25`.
const SECONDS: usize = 19;

/// An offset: `+01:00`.
fn minutes(offset: &str) -> Option<i64> {
    let (hours, minutes) = offset.strip_prefix(['+', '-'])?.split_once(':')?;
    let number = |digits: &str, below: i64| {
        let is_number = digits.len() == 2 && are_digits(digits);
        digits.parse().ok().filter(|number: &i64| is_number && *number < below)
    };
    let minutes = number(hours, 24)?.checked_mul(60)?.checked_add(number(minutes, 60)?)?;
    Some(if offset.starts_with('-') { minutes.saturating_neg() } else { minutes })
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, nanos) in [
            ("1970-01-01T00:00:01Z", Some(1_000_000_000)),
            ("1970-01-01T00:00:01.000000Z", Some(1_000_000_000)),
            ("1970-01-01T01:00:01.5+01:00", Some(1_500_000_000)),
            ("1970-01-01T00:00:01-23:59", Some(86_341_000_000_000)),
            ("1970-01-01t00:00:01.25z", Some(1_250_000_000)),
            ("1970-01-01T00:00:01.1234567891Z", Some(1_123_456_789)),
            ("1970-01-01T00:00:60Z", Some(59_000_000_000)),
            ("1969-01-01T00:00:00Z", None),
            ("1970-01-01T00:00:01.Z", None),
            ("1970-01-01T00:00:01ZZ", None),
            ("1970-01-01T00:00:01ZabcZ", None),
            ("1970-01-01T00:00:01Z+01:00", None),
            ("1970-01-01T00:00:01+00:00Z", None),
            ("1970-01-01T00:00:01.5é+00:00", None),
            ("1970-01-01T00:00:01+24:00", None),
            ("1970-01-01T00:00:01+0100", None),
            ("1970-01-01T00:00:01+1:000", None),
            ("2026-11-25T19:44:54.000000Z", Some(1_795_635_894_000_000_000)),
            ("", None),
            ("2026-11-25", None),
            ("2026-11-25T19:44:54", None),
            ("2026-13-25T19:44:54Z", None),
            ("2026-02-30T19:44:54Z", None),
            ("9999999999", None),
        ] {
            let since = time(text)
                .map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos());
            assert_eq!(since, nanos, "{text}");
        }
    }

    #[test]
    fn however_it_is_spelled_it_is_the_same_token() {
        for spelling in ["gA_b-C0", "gA/b+C0==", " gA_b-C0 ", "gA_!!b-C.0....", "=gA_b-C0"] {
            assert_eq!(key(spelling), sha256("gA_b-C0"), "{spelling}");
        }
        for other in ["ga_b-C0", "gA_b-C", "gA_b_C0", ""] {
            assert_ne!(key(other), sha256("gA_b-C0"), "{other}");
        }
    }

    #[test]
    fn callers() {
        let body = |inside: &str| {
            format!(r#"{{"token":{{"expires_at":"1970-01-01T00:00:09Z"{inside}}}}}"#)
        };
        let read = |inside: &str, roles: &[&str]| {
            let roles: Vec<String> = roles.iter().map(|&role| role.to_owned()).collect();
            caller(body(inside).as_bytes(), &roles)
                .map(|caller| (caller.project.map(|id| id.as_str().to_owned()), caller.has_role))
        };
        let project = r#","project":{"id":"p1","name":"x"},"roles":[{"name":"Member","id":"1"},{"name":"reader"}]"#;
        assert_eq!(read(project, &[]), Some((Some("p1".to_owned()), true)));
        assert_eq!(read(project, &["admin", "member"]), Some((Some("p1".to_owned()), true)));
        assert_eq!(read(project, &["admin"]), Some((Some("p1".to_owned()), false)));
        assert_eq!(read("", &[]), Some((None, true)));
        assert_eq!(read("", &["member"]), Some((None, false)));
        assert_eq!(read(r#","project":null,"domain":{"id":"default"}"#, &[]), Some((None, true)));
        let long = format!(r#","project":{{"id":"{}"}}"#, "a".repeat(65));
        assert_eq!(read(&long, &[]), Some((None, true)));
        for bad in [
            r#","project":"p1""#,
            r#","project":{"id":1}"#,
            r#","project":{}"#,
            r#","roles":{}"#,
            r#","roles":["member"]"#,
            r#","expires_at":"1970-01-01T00:00:09Z""#,
            r#","project":{"id":"p1"},"project":{"id":"p2"}"#,
            r#","project":{"id":"p1","id":"p2"}"#,
        ] {
            assert_eq!(read(bad, &[]), None, "{bad}");
        }
        for bad in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"token":null}"#,
            r#"{"token":{}}"#,
            r#"{"token":[]}"#,
            r#"[{"expires_at":"1970-01-01T00:00:09Z"}]"#,
            r#"{"token":{"expires_at":null}}"#,
            r#"{"token":{"expires_at":"soon"}}"#,
            r#"{"token":["1970-01-01T00:00:09Z",null,[]]}"#,
        ] {
            assert_eq!(caller(bad.as_bytes(), &[]), None, "{bad}");
        }
    }

    #[test]
    fn keystones_404() {
        let own =
            r#"{"error":{"code":404,"message":"Failed to validate token","title":"Not Found"}}"#;
        assert!(is_keystones_404(own.as_bytes()));
        for other in [
            "", "<html>", "{}", r#"{"error":{}}"#, r#"{"error":{"code":"404"}}"#,
            r#"{"error":{"code":401}}"#, r#"{"error":"404"}"#, r#"[{"code":404}]"#,
        ] {
            assert!(!is_keystones_404(other.as_bytes()), "{other}");
        }
    }
}
