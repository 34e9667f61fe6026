//! What the client gets: a count, or a fault with the contract's JSON body.

use std::borrow::Cow;

use crate::status::Status;

/// A whole answer to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status code.
    pub status: u16,
    /// The headers, `content-type` first. No value comes from the client.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The JSON body.
    pub body: String,
    /// Why this answer was given, for Envoy's `%RESPONSE_CODE_DETAILS%`:
    /// `edge_…` was answered without the store, `store_…` after asking it.
    pub details: &'static str,
    /// A line for the operator's error log.
    pub alarm: Option<String>,
}

const CONTENT_TYPE: (&str, Cow<'static, str>) = ("content-type", Cow::Borrowed("application/json"));

impl Reply {
    /// 200 with the count.
    pub fn count(count: u64) -> Reply {
        Reply {
            status: 200,
            headers: vec![CONTENT_TYPE],
            body: format!("{{\"count\":{count}}}"),
            details: "store_count",
            alarm: None,
        }
    }
}

/// An answer other than a count, on its way to become a [`Reply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    status: &'static Status,
    details: &'static str,
    message: Cow<'static, str>,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    alarm: Option<String>,
}

impl Fault {
    /// A fault with the status's own message. `details` goes to the access log.
    pub fn new(status: &'static Status, details: &'static str) -> Fault {
        Fault {
            status,
            details,
            message: Cow::Borrowed(status.message),
            headers: Vec::new(),
            alarm: None,
        }
    }

    /// Replaces the message.
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> Fault {
        self.message = message.into();
        self
    }

    /// Adds a response header. Never pass what a client sent.
    pub fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Fault {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a line for the operator's error log.
    pub fn alarm(mut self, line: String) -> Fault {
        self.alarm = Some(line);
        self
    }
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Reply {
        let &Status { code, fault: name, .. } = fault.status;
        // `Value`'s Display is the JSON form: quotes and escapes included.
        let message = serde_json::Value::from(fault.message);
        let mut headers = vec![CONTENT_TYPE];
        headers.extend(fault.headers);
        Reply {
            status: code,
            headers,
            body: format!("{{\"{name}\":{{\"code\":{code},\"message\":{message}}}}}"),
            details: fault.details,
            alarm: fault.alarm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status;

    #[test]
    fn a_count_is_the_documented_body() {
        let reply = Reply::count(2);
        assert_eq!((reply.status, reply.body.as_str()), (200, r#"{"count":2}"#));
    }

    #[test]
    fn a_message_cannot_leave_its_string() {
        let fault = Fault::new(status::BAD_REQUEST, "edge_filter").message("a\"b\\c\n\u{1}é");
        let reply = Reply::from(fault);
        assert_eq!(reply.body, r#"{"badRequest":{"code":400,"message":"a\"b\\c\n\u0001é"}}"#);
    }
}
