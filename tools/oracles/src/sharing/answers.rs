//! What Keystone and the store say in [`sharing`](super).

use std::time::{Duration, SystemTime};

use backup_sharing_count::callout::{NotSent, Outcome};
use backup_sharing_count::edge::Step;
use backup_sharing_count::reply::Reply;
use backup_sharing_count::waiting::Waiting;

use crate::keystone::{Caller, Verdict};
use crate::outcome::ENVOY_RESPONSES;

/// What Keystone knows of the tokens: project, role, and when they expire.
pub const TOKENS: [(&str, &str, &str); 4] = [
    ("p0", "member", "1970-01-01T01:00:00Z"),
    ("p1", "member", "1970-01-01T01:00:00Z"),
    ("p0", "reader", "1970-01-01T01:00:00Z"),
    ("p0", "member", "1970-01-01T00:00:00.300000Z"),
];

/// What Keystone says of a token, by [`TOKENS`].
pub fn verdict(token: usize) -> Verdict {
    let (project, role, _) = TOKENS[token];
    let expires = Duration::from_millis(if token == 3 { 300 } else { 3_600_000 });
    Verdict::Known(Caller {
        project: Some(project.to_owned()),
        has_role: role == "member",
        expires: SystemTime::UNIX_EPOCH + expires,
    })
}

/// What becomes of a request that is counted.
pub fn counted(details: &str) -> Verdict {
    Verdict::Failed(200, details.to_owned())
}

/// What became of a request.
pub fn failed(reply: &Reply) -> Verdict {
    Verdict::Failed(reply.status, reply.details.to_string())
}

/// What a request does after its callout has ended so, which asked about this token.
pub fn resume(
    waiting: Box<Waiting>,
    kind: u8,
    token: usize,
    counts: bool,
    now: &dyn Fn() -> SystemTime,
) -> Step {
    let envoy = |name: &str| {
        let word = ENVOY_RESPONSES.iter().find(|word| word.name == name).expect("it is listed");
        (word.status, word.text.to_owned())
    };
    let (project, role, expires) = TOKENS[token];
    let (status, body) = match kind {
        b'g' if counts => ("200", format!("{{\"count\":{token}}}")),
        b'g' => {
            let token = format!(
                r#"{{"token":{{"expires_at":"{expires}","project":{{"id":"{project}"}},"roles":[{{"name":"{role}"}}]}}}}"#
            );
            ("200", token)
        }
        b'x' => ("401", String::new()),
        b'n' => ("404", r#"{"error":{"code":404}}"#.to_owned()),
        b'u' => ("503", String::new()),
        b'z' => ("500", String::new()),
        b't' => envoy("late"),
        b'v' => envoy("reset"),
        b'h' => return waiting.resume(Outcome::NotSent(NotSent::NoHost), now),
        _ => return waiting.resume(Outcome::Broken, now),
    };
    let (status, body) = (status.as_bytes(), body.as_bytes());
    waiting.resume(Outcome::Answered { status, headers: &[], body }, now)
}
