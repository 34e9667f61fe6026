//! What holds for every answer (docs/contract.md#answers).

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

/// A status of the documented table.
#[derive(Clone, Debug)]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// Its OpenStack fault name.
    pub fault: &'static str,
    /// What the client gets where a store answers with it.
    pub store: StoreSays,
}

/// What the client gets for a status of the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreSays {
    /// 502: no store may answer so.
    Nothing,
    /// The same, with the store's own message.
    Words,
    /// The same, with our message.
    Status,
}

const fn status(code: u16, fault: &'static str, store: StoreSays) -> Status {
    Status { code, fault, store }
}

/// The documented table but for 200, written down a second time.
pub static STATUSES: [Status; 13] = [
    status(400, "badRequest", StoreSays::Words),
    status(401, "unauthorized", StoreSays::Words),
    status(403, "forbidden", StoreSays::Words),
    status(404, "itemNotFound", StoreSays::Words),
    status(405, "badMethod", StoreSays::Nothing),
    status(406, "computeFault", StoreSays::Nothing),
    status(407, "computeFault", StoreSays::Words),
    status(409, "conflictingRequest", StoreSays::Words),
    status(500, "computeFault", StoreSays::Status),
    status(501, "notImplemented", StoreSays::Status),
    status(502, "computeFault", StoreSays::Status),
    status(503, "serviceUnavailable", StoreSays::Status),
    status(504, "computeFault", StoreSays::Status),
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
    let documented = STATUSES.iter().find(|status| status.code == reply.status);
    let Status { code, fault, .. } =
        documented.unwrap_or_else(|| panic!("undocumented: {}", reply.status));
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

#[cfg(test)]
mod tests {
    use backup_sharing_count::status::ALL;

    #[test]
    fn the_statuses_are_those_of_the_product() {
        let here = super::STATUSES.each_ref().map(|status| status.code);
        for code in ALL.iter().map(|status| status.code) {
            assert!(here.contains(&code), "tools/oracles/src/reply.rs lacks the status {code}");
        }
        for code in here {
            let is_there = ALL.iter().any(|status| status.code == code);
            assert!(is_there, "src/status.rs lacks the status {code}");
        }
    }
}
