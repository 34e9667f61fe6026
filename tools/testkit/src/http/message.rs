//! Requests as bytes to send, responses as values to look at.

use std::io::{self, ErrorKind, Read};

use super::wire::{self, Framing, Headers, MAX_HEADERS, Wire};

/// A complete response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header fields in the order they came; names as sent, values as bytes.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, with chunks joined.
    pub body: Vec<u8>,
}

/// A request's bytes. Nothing is added but the version and line ends: no `host`, no
/// `content-length`.
pub fn encode_request(
    method: &str,
    path: impl AsRef<[u8]>,
    headers: &[(&str, &[u8])],
    body: &[u8],
) -> Vec<u8> {
    let mut bytes = [method.as_bytes(), b" ", path.as_ref(), b" HTTP/1.1\r\n"].concat();
    for (name, value) in headers {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

// === impl Response ===

impl Response {
    /// The first field called `name` (any case), if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        wire::fields(&self.headers, name).next().and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The values of all fields called `name` (any case), in order.
    pub fn header_values(&self, name: &str) -> Vec<&[u8]> {
        wire::fields(&self.headers, name).collect()
    }

    /// The body as text; bytes that are not UTF-8 become replacement characters.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn read<S: Read>(wire: &mut Wire<S>, method_is_head: bool) -> io::Result<Self> {
        let head = wire.head(parse_head)?.ok_or_else(|| {
            let why = "the server closed the connection without a response";
            io::Error::new(ErrorKind::UnexpectedEof, why)
        })?;
        let (status, headers) = head;
        // RFC 9112, section 6.3: these never have a body, whatever their headers say.
        let framing = match status {
            100..=199 | 204 | 304 => Framing::Empty,
            _ if method_is_head => Framing::Empty,
            _ => wire::framing(&headers, Framing::UntilClose)?,
        };
        let (body, _) = wire.body(framing)?;
        Ok(Self { status, headers, body })
    }
}

type Head = (u16, Headers);

fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut fields);
    match head.parse(bytes)? {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(length) => {
            let status = head.code.unwrap_or_default();
            Ok(Some(((status, wire::owned(head.headers)), length)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_follow_each_other() {
        let bytes: &[u8] = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n\
            HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie: \xff\r\ncontent-length: 2\r\n\r\nhi\
            HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\
            HTTP/1.1 500 x\r\n\r\nuntil close";
        let mut wire = Wire::new(bytes);
        let mut next = |head| Response::read(&mut wire, head).unwrap();
        assert_eq!(next(false).status, 103);
        let second = next(false);
        assert_eq!(second.text(), "hi");
        assert_eq!(second.header("SET-COOKIE"), Some("a"));
        let cookies: [&[u8]; 2] = [b"a", b"\xff"];
        assert_eq!(second.header_values("set-cookie"), cookies);
        assert_eq!(next(true).body, b"");
        assert_eq!(next(false).text(), "until close");
    }

    #[test]
    fn what_is_not_http_is_quoted() {
        let mut wire = Wire::new(&b"SSH-2.0-x\r\n\r\n"[..]);
        let error = Response::read(&mut wire, false).unwrap_err().to_string();
        assert!(error.contains("SSH-2.0-x"), "{error}");
    }

    #[test]
    fn requests_go_out_as_they_are() {
        let bytes = encode_request("GET", b"/\xff", &[("A", b"\x00")], b"b");
        assert_eq!(bytes, b"GET /\xff HTTP/1.1\r\nA: \x00\r\n\r\nb");
    }
}
