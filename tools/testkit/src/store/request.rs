//! A request as the store saw it.

use std::io::{self, Read};

use crate::http::wire::{self, Framing, Headers, MAX_HEADERS, Wire};

/// A request as the store saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The target (path and query), byte for byte.
    pub target: Vec<u8>,
    /// Header fields in the order they came; names as sent, values as bytes.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, with chunks joined.
    pub body: Vec<u8>,
    /// The lines of the body's trailers.
    pub trailers: Vec<String>,
    /// Which connection it came on; the first accepted one is 1.
    pub connection: usize,
}

// === impl Request ===

impl Request {
    /// The first field called `name` (any case), if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        wire::fields(&self.headers, name).next().and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The values of all fields called `name` (any case), in order.
    pub fn header_values(&self, name: &str) -> Vec<&[u8]> {
        wire::fields(&self.headers, name).collect()
    }

    /// The target as text; bytes that are not UTF-8 become replacement characters.
    pub fn target_text(&self) -> String {
        String::from_utf8_lossy(&self.target).into_owned()
    }

    /// The next request; `None` if the peer closed between requests.
    pub(super) fn read<S: Read>(wire: &mut Wire<S>, connection: usize) -> io::Result<Option<Self>> {
        let Some((method, target, headers)) = wire.head(parse_headers)? else {
            return Ok(None);
        };
        let framing = wire::framing(&headers, Framing::Empty)?;
        let (body, trailers) = wire.body(framing)?;
        Ok(Some(Self { method, target, headers, body, trailers, connection }))
    }

    pub(super) fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

type Head = (String, Vec<u8>, Headers);

/// httparse refuses targets that are not UTF-8; the connection answers those with 400.
fn parse_headers(bytes: &[u8]) -> Result<Option<(Head, usize)>, httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(bytes)? {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(length) => {
            let method = parsed.method.unwrap_or_default().to_owned();
            let target = parsed.path.unwrap_or_default().as_bytes().to_vec();
            Ok(Some(((method, target, wire::owned(parsed.headers)), length)))
        }
    }
}
