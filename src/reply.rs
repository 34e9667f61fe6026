//! What the client gets: a count, or a fault with its JSON body (docs/contract.md#answers).

use std::borrow::Cow;

use crate::bytes;
use crate::details;
use crate::status::{self, Status};

/// A header of a reply. No value comes from the client.
pub type ReplyHeader = (&'static str, Cow<'static, str>);

/// A whole answer to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status code.
    pub status: u16,
    /// The headers, `content-type` first.
    pub headers: Cow<'static, [ReplyHeader]>,
    /// The JSON body.
    pub body: Cow<'static, str>,
    /// The response code details: a name of [`details`], and after a colon the cause where it is known.
    pub details: Cow<'static, str>,
    /// What the operator is told besides.
    pub notes: Option<Box<Notes>>,
}

/// What the operator is told of an answer besides its details.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// What Envoy said in the store's place, for the access log.
    pub envoy_says: Option<String>,
    /// A line for the error log.
    pub alarm: Option<String>,
}

const CONTENT_TYPE: ReplyHeader = ("content-type", Cow::Borrowed("application/json"));

const HEADERS: &[ReplyHeader] = &[CONTENT_TYPE];

/// RFC 9110 §15.5.6: a 405 says what is allowed.
const METHOD_HEADERS: &[ReplyHeader] = &[CONTENT_TYPE, ("allow", Cow::Borrowed("GET"))];

impl Reply {
    /// 200 with the count.
    pub fn counted(count: u64) -> Reply {
        let body = ["{\"count\":", itoa::Buffer::new().format(count), "}"].concat();
        Reply {
            status: 200,
            headers: Cow::Borrowed(HEADERS),
            body: Cow::Owned(body),
            details: Cow::Borrowed(details::STORE_COUNT),
            notes: None,
        }
    }

    /// 200 with the body of an earlier one, and its age in seconds.
    pub fn remembered(body: Cow<'static, str>, age: u64, details: &'static str) -> Reply {
        let age = itoa::Buffer::new().format(age).to_owned();
        Reply {
            status: 200,
            headers: Cow::Owned(vec![CONTENT_TYPE, ("age", Cow::Owned(age))]),
            body,
            details: Cow::Borrowed(details),
            notes: None,
        }
    }

    /// A fault with the status's own message, without an allocation. `details` is a name of [`details`].
    pub fn fault(status: &'static Status, details: &'static str) -> Reply {
        let allows = status.code == status::METHOD_NOT_ALLOWED.code;
        Reply {
            status: status.code,
            headers: Cow::Borrowed(if allows { METHOD_HEADERS } else { HEADERS }),
            body: Cow::Borrowed(status.body),
            details: Cow::Borrowed(details),
            notes: None,
        }
    }

    /// A fault with a message of these pieces.
    pub fn fault_saying(status: &'static Status, details: &'static str, message: &[&str]) -> Reply {
        let mut body = String::with_capacity(256);
        body.push_str(status.opening);
        for &piece in message {
            push_escaped(&mut body, piece);
        }
        body.push_str(CLOSING);
        Reply { body: Cow::Owned(body), ..Reply::fault(status, details) }
    }

    /// Adds a response header. Never pass what a client sent.
    pub fn header(mut self, name: &'static str, value: String) -> Reply {
        self.headers.to_mut().push((name, Cow::Owned(value)));
        self
    }

    /// Adds a `retry-after`, if there is one.
    pub fn retry_after(self, when: Option<&str>) -> Reply {
        match when {
            Some(when) => self.header("retry-after", when.to_owned()),
            None => self,
        }
    }

    /// Adds the cause to the details.
    pub fn cause(mut self, cause: &str) -> Reply {
        self.details = Cow::Owned([&self.details, ":", cause].concat());
        self
    }

    /// Adds what Envoy said in the store's place.
    pub fn envoy_says(mut self, text: &str) -> Reply {
        self.notes().envoy_says = Some(text.to_owned());
        self
    }

    /// Adds a line for Envoy's error log.
    pub fn alarm(mut self, line: String) -> Reply {
        self.notes().alarm = Some(line);
        self
    }

    fn notes(&mut self) -> &mut Notes {
        self.notes.get_or_insert_default()
    }
}

/// What follows the message in a body.
const CLOSING: &str = "\"}}";

/// Appends `text` escaped for a JSON string. Most of a message needs no escape, and serde_json spends 19
/// instructions of the module on each byte to find that out.
fn push_escaped(body: &mut String, text: &str) {
    if bytes::are_plain(text.as_bytes()) {
        return body.push_str(text);
    }
    // A string can always be written as JSON.
    let json = serde_json::to_string(text).unwrap_or_default();
    let inside = json.strip_prefix('"').and_then(|json| json.strip_suffix('"'));
    body.push_str(inside.unwrap_or_default());
}

/// The most characters of a client's value that a message repeats.
const QUOTED: usize = 64;

/// `text` in quotes, cut to its first characters.
pub fn quote(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => ["\"", text.get(..end).unwrap_or_default(), "\"…"].concat(),
        None => ["\"", &text, "\""].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status;

    #[test]
    fn a_count_is_the_documented_body() {
        let reply = Reply::counted(2);
        assert_eq!((reply.status, &*reply.body), (200, r#"{"count":2}"#));
    }

    #[test]
    fn a_message_cannot_leave_its_string() {
        let message = ["a\"b\\c", "\n\u{1}é"];
        let reply = Reply::fault_saying(status::BAD_REQUEST, "edge_filter", &message);
        assert_eq!(reply.body, r#"{"badRequest":{"code":400,"message":"a\"b\\c\n\u0001é"}}"#);
    }

    #[test]
    fn a_quotation_has_at_most_64_characters() {
        let long = "é".repeat(65);
        assert_eq!(quote(long.as_bytes()), format!("\"{}\"…", "é".repeat(64)));
        assert_eq!(quote(&long.as_bytes()[..128]), format!("\"{}\"", "é".repeat(64)));
    }
}
