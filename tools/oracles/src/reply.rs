//! What holds for every answer (contract §3).

use backup_sharing_count::reply::Reply;

use crate::json::{Document, Json};

/// The body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// `{"count":N}`
    Count(u64),
    /// `{"fault":{"code":…,"message":…}}`
    Fault {
        /// What the client is told.
        message: String,
    },
}

/// The statuses of the documented table, each with its OpenStack fault name.
const FAULTS: [(u16, &str); 13] = [
    (400, "badRequest"),
    (401, "unauthorized"),
    (403, "forbidden"),
    (404, "itemNotFound"),
    (405, "badMethod"),
    (406, "computeFault"),
    (407, "computeFault"),
    (409, "conflictingRequest"),
    (500, "computeFault"),
    (501, "notImplemented"),
    (502, "computeFault"),
    (503, "serviceUnavailable"),
    (504, "computeFault"),
];

/// Asserts what holds for every answer, and reads its body.
pub fn read(reply: &Reply) -> Body {
    let (name, value) = reply.headers.first().expect("content-type comes first");
    assert_eq!((*name, &**value), ("content-type", "application/json"));
    for (name, value) in reply.headers.iter() {
        let printable = value.bytes().all(|byte| matches!(byte, 0x20..=0x7E));
        assert!(printable, "{name}: {value:?} is not printable ASCII");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
    }
    let Document::Value(body) = Document::read(reply.body.as_bytes()) else {
        panic!("the body is not JSON: {:?}", reply.body);
    };
    if reply.status == 200 {
        let Some([(name, Json::Number(count))]) = body.members() else {
            panic!("no count: {:?}", reply.body);
        };
        let count = count.parse().expect("a count is an integer");
        assert_eq!((name.as_str(), &*reply.body), ("count", &*format!("{{\"count\":{count}}}")));
        return Body::Count(count);
    }
    let documented = FAULTS.iter().find(|(code, _)| *code == reply.status);
    let (code, fault) = documented.unwrap_or_else(|| panic!("undocumented: {}", reply.status));
    let Some([(name, inside)]) = body.members() else {
        panic!("not one fault: {:?}", reply.body);
    };
    assert_eq!(name, fault, "the name of a {code}");
    let Some([(first, number), (second, Json::Text(message))]) = inside.members() else {
        panic!("not a code and a message: {:?}", reply.body);
    };
    assert_eq!((first.as_str(), second.as_str()), ("code", "message"));
    assert_eq!(*number, Json::Number(code.to_string()));
    assert!(!message.is_empty(), "a {code} says why");
    Body::Fault { message: message.clone() }
}

/// The message of a fault, once [`read`] finds nothing wrong with it.
pub fn message(reply: &Reply) -> String {
    match read(reply) {
        Body::Fault { message } => message,
        Body::Count(count) => panic!("expected a fault, got the count {count}"),
    }
}
