//! A client that reads answers fast and knows how each connection ended.
//!
//! `testkit::http` is for any byte; this one is for many answers, and tells an answer that was
//! lost from a connection that the server had every right to close.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use testkit::{Error, PATIENCE};

const MAX_HEADERS: usize = 32;

/// A connection on which requests follow each other.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// What has come and is not yet read.
    ahead: Vec<u8>,
    answered: u64,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The one `content-type`; empty if there is none, or more than one.
    pub content_type: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the server closes the connection after it.
    pub closes: bool,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A connection that had served before was closed before any byte of an answer. The request may
    /// have crossed with the close (RFC 9112, section 9.5): Envoy's own counters tell.
    Crossed,
    /// A new connection was reset before any byte of an answer: a listener that closes does so to
    /// those the kernel has taken and the server has not.
    Unaccepted,
    /// The connection ended, or nothing came in time.
    Lost(String),
    /// Something came that is no HTTP answer.
    Malformed(String),
}

/// What a connection between two requests looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// Nothing has come.
    Quiet,
    /// The server has closed it.
    Closed,
    /// The server has sent what nobody asked for.
    Talking,
}

impl Client {
    /// Connects.
    pub fn open(address: SocketAddr) -> testkit::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .map_err(Error::while_doing(format!("connect to {address}")))?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .map_err(Error::while_doing("set the socket's options"))?;
        Ok(Self { stream, ahead: Vec::with_capacity(4096), answered: 0 })
    }

    /// Looks without waiting.
    pub fn between(&self) -> Between {
        if !self.ahead.is_empty() {
            return Between::Talking;
        }
        match recv(&self.stream, &mut [0_u8; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((0, _)) => Between::Closed,
            Ok(_) => Between::Talking,
            Err(Errno::AGAIN | Errno::INTR) => Between::Quiet,
            Err(_) => Between::Closed,
        }
    }

    /// Sends a request.
    pub fn send(&mut self, request: &[u8]) -> Result<(), Failure> {
        let sent = self.stream.write_all(request);
        sent.map_err(|error| self.failure(error.kind(), "while the request was sent"))
    }

    /// Reads the answer to it.
    pub fn receive(&mut self) -> Result<Answer, Failure> {
        let (mut answer, head, length) = loop {
            match parse(&self.ahead)? {
                Some(parsed) => break parsed,
                None => self.fill()?,
            }
        };
        let end = head + length;
        while self.ahead.len() < end {
            self.fill()?;
        }
        answer.body = self.ahead[head..end].to_vec();
        if self.ahead.len() == end {
            self.ahead.clear();
        } else {
            // More than was asked for; `between` says so.
            self.ahead = self.ahead[end..].to_vec();
        }
        self.answered += 1;
        Ok(answer)
    }

    /// Leaves without a word: with a FIN, or with a RST.
    pub fn hang_up(self, reset: bool) {
        if reset {
            // Fails only if the connection has ended already.
            let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
        }
    }

    fn fill(&mut self) -> Result<(), Failure> {
        let mut piece = [0; 4096];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(self.failure(ErrorKind::UnexpectedEof, "by a FIN")),
                Ok(read) => {
                    self.ahead.extend_from_slice(&piece[..read]);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(error.kind(), "by a RST")),
            }
        }
    }

    fn failure(&self, kind: ErrorKind, how: &str) -> Failure {
        if matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut) {
            return Failure::Lost(format!("nothing came within {PATIENCE:?}"));
        }
        let reset = matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
        match (self.answered, self.ahead.len()) {
            (1.., 0) => Failure::Crossed,
            (0, 0) if reset => Failure::Unaccepted,
            (0, 0) => Failure::Lost(format!("a new connection was closed {how}")),
            (_, had) => Failure::Lost(format!("closed {how} after {had} bytes of the answer")),
        }
    }
}

/// The answer but for its body, and the lengths of its head and its body; `None` if the head is
/// not whole yet.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize, usize)>, Failure> {
    let malformed = |why: &str| {
        let start = bytes[..bytes.len().min(80)].escape_ascii();
        Failure::Malformed(format!("{why}: {start}"))
    };
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut fields);
    let end = match head.parse(bytes) {
        Ok(httparse::Status::Partial) => return Ok(None),
        Ok(httparse::Status::Complete(end)) => end,
        Err(error) => return Err(malformed(&error.to_string())),
    };
    let (mut length, mut types, mut content_type, mut closes) = (None, 0, Vec::new(), false);
    for field in head.headers.iter() {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let text = std::str::from_utf8(field.value).ok();
            length = text.and_then(|text| text.parse::<usize>().ok());
        } else if is("content-type") {
            types += 1;
            content_type = if types == 1 { field.value.to_vec() } else { Vec::new() };
        } else if is("connection") {
            closes = field.value.eq_ignore_ascii_case(b"close");
        }
    }
    // Envoy and our upstreams know how long their answers are.
    let length = length.ok_or_else(|| malformed("no content-length"))?;
    let status = head.code.unwrap_or_default();
    Ok(Some((Answer { status, content_type, body: Vec::new(), closes }, end, length)))
}
