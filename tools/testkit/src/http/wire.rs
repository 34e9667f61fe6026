//! Bytes off a socket: heads by httparse, bodies by the three framings of RFC 9112, section 6.

use std::io::{self, ErrorKind, Read};

/// More headers than any test sends, fewer than would hide a runaway.
pub(crate) const MAX_HEADERS: usize = 256;

/// A head or a chunk-size line longer than this is a runaway.
const MAX_HEAD: usize = 1 << 20;

/// Header fields in the order they came; names as sent, values as bytes.
pub(crate) type Headers = Vec<(String, Vec<u8>)>;

/// How a message's body ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Empty,
    Length(usize),
    Chunked,
    UntilClose,
}

/// A source of bytes, and those read ahead of need.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    source: S,
    ahead: Vec<u8>,
    received: u64,
}

/// All fields called `name`, whatever the case.
pub(crate) fn fields<'a, 'n>(
    headers: &'a Headers,
    name: &'n str,
) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
    headers
        .iter()
        .filter(move |(given, _)| given.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_slice())
}

/// The framing the headers announce; `otherwise` if they announce none.
pub(crate) fn framing(headers: &Headers, otherwise: Framing) -> io::Result<Framing> {
    let codings = fields(headers, "transfer-encoding");
    if let Some(coding) = codings.last() {
        return match coding.to_ascii_lowercase().ends_with(b"chunked") {
            true => Ok(Framing::Chunked),
            false => Ok(Framing::UntilClose),
        };
    }
    match fields(headers, "content-length").next() {
        None => Ok(otherwise),
        Some(value) => std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .map(Framing::Length)
            .ok_or_else(|| invalid("content-length is not a number")),
    }
}

/// Copies what httparse borrowed.
pub(crate) fn owned(headers: &[httparse::Header<'_>]) -> Headers {
    headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect()
}

pub(crate) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

fn cut(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, what.into())
}

// === impl Wire ===

impl<S> Wire<S> {
    pub(crate) fn new(source: S) -> Self {
        Self { source, ahead: Vec::new(), received: 0 }
    }

    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    /// How many bytes have come.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// How many of them are not read yet.
    pub(crate) fn ahead(&self) -> usize {
        self.ahead.len()
    }
}

impl<S: Read> Wire<S> {
    /// Reads what is there now; false if the peer closed.
    pub(crate) fn fill(&mut self) -> io::Result<bool> {
        let mut piece = [0; 16 * 1024];
        let read = loop {
            match self.source.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.ahead.extend_from_slice(&piece[..read]);
        self.received += read as u64;
        Ok(read > 0)
    }

    /// Reads a head with `parse`, which says how long it was. `None` if the peer closed before
    /// sending anything.
    pub(crate) fn head<T>(
        &mut self,
        parse: impl Fn(&[u8]) -> Result<Option<(T, usize)>, httparse::Error>,
    ) -> io::Result<Option<T>> {
        loop {
            match parse(&self.ahead) {
                Ok(Some((head, length))) => {
                    self.ahead.drain(..length);
                    return Ok(Some(head));
                }
                Ok(None) if self.ahead.len() > MAX_HEAD => return Err(invalid("endless head")),
                Ok(None) => {}
                Err(error) => {
                    let start = &self.ahead[..self.ahead.len().min(80)];
                    let start = start.escape_ascii();
                    return Err(invalid(format!("not HTTP/1.1 ({error}): {start}")));
                }
            }
            match (self.fill()?, self.ahead.is_empty()) {
                (true, _) => {}
                (false, true) => return Ok(None),
                (false, false) => return Err(cut("the connection closed within the head")),
            }
        }
    }

    /// The body, with chunks joined, and the lines of its trailers.
    pub(crate) fn body(&mut self, framing: Framing) -> io::Result<(Vec<u8>, Vec<String>)> {
        let body = match framing {
            Framing::Empty => Vec::new(),
            Framing::Length(length) => self.take(length)?,
            Framing::Chunked => return self.chunks(),
            Framing::UntilClose => self.rest()?,
        };
        Ok((body, Vec::new()))
    }

    /// Everything until the peer closes.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? {}
        Ok(std::mem::take(&mut self.ahead))
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            if !self.fill()? {
                let got = self.ahead.len();
                return Err(cut(format!(
                    "the connection closed after {got} of {length} body bytes"
                )));
            }
        }
        Ok(self.ahead.drain(..length).collect())
    }

    fn chunks(&mut self) -> io::Result<(Vec<u8>, Vec<String>)> {
        let (mut body, mut trailers) = (Vec::new(), Vec::new());
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| invalid(format!("chunk size {size:?}")))?;
            if size == 0 {
                loop {
                    match self.line()? {
                        line if line.is_empty() => return Ok((body, trailers)),
                        line => trailers.push(line),
                    }
                }
            }
            body.append(&mut self.take(size)?);
            if !self.line()?.is_empty() {
                return Err(invalid("a chunk is longer than its size"));
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.ahead.len() > MAX_HEAD {
                return Err(invalid("endless line"));
            }
            if !self.fill()? {
                return Err(cut("the connection closed within a chunked body"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: &[u8], framing: Framing) -> Result<(Vec<u8>, Vec<String>), String> {
        Wire::new(bytes).body(framing).map_err(|error| error.to_string())
    }

    #[test]
    fn chunks_are_joined_and_trailers_kept() {
        let bytes = b"3;x=1\r\nabc\r\nA\r\n0123456789\r\n0\r\ntrailer: 1\r\n\r\n";
        let (body, trailers) = body(bytes, Framing::Chunked).unwrap();
        assert_eq!(
            (&body[..], &trailers[..]),
            (&b"abc0123456789"[..], &["trailer: 1".to_owned()][..])
        );
    }

    #[test]
    fn bodies_cut_short_are_errors() {
        let error = body(b"abc", Framing::Length(5)).unwrap_err();
        assert!(error.contains("3 of 5"), "{error}");
        assert!(body(b"3\r\nab", Framing::Chunked).is_err());
        assert!(body(b"3\r\nabcd\r\n0\r\n\r\n", Framing::Chunked).is_err());
        assert!(body(b"xyz\r\n", Framing::Chunked).is_err());
    }

    #[test]
    fn transfer_encoding_wins_over_length() {
        let headers = vec![
            ("Content-Length".to_owned(), b"3".to_vec()),
            ("Transfer-Encoding".to_owned(), b"gzip, Chunked".to_vec()),
        ];
        assert_eq!(framing(&headers, Framing::Empty).unwrap(), Framing::Chunked);
        let headers = vec![("content-length".to_owned(), b"3x".to_vec())];
        assert!(framing(&headers, Framing::Empty).is_err());
    }
}
