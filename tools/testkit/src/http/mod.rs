//! An HTTP/1.1 client over a plain socket, for requests a decent client would not send.
//!
//! Nothing is checked or corrected on the way out. On the way in, a response is complete or it is
//! an error: a body cut short does not look like a short body.

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};

use crate::{Error, PATIENCE, Result};

mod message;
pub(crate) mod wire;

pub use message::{Response, encode_request};

/// How long [`Connection::stays_open`] watches.
const A_WHILE: Duration = Duration::from_millis(500);

/// One connection to a server; requests and responses may follow each other on it.
#[derive(Debug)]
pub struct Connection {
    stream: wire::Wire<TcpStream>,
    timeout: Duration,
}

/// Sends one request on a connection of its own and returns the final response.
///
/// `host` is added unless `headers` has it. Path and values are bytes and go out as they are.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: impl AsRef<[u8]>,
    headers: &[(&str, &[u8])],
) -> Result<Response> {
    Connection::open(address)?.request(method, path, headers)
}

// === impl Connection ===

impl Connection {
    /// Connects; every read gives up after [`PATIENCE`] ([`set_timeout`](Self::set_timeout)).
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .with_context(|| format!("connecting to {address}"))?;
        // Small writes are the point of some tests; they must leave at once.
        stream.set_nodelay(true).context("setting TCP_NODELAY")?;
        let mut connection = Self { stream: wire::Wire::new(stream), timeout: PATIENCE };
        connection.set_timeout(PATIENCE)?;
        Ok(connection)
    }

    /// Changes how long one read waits; it must not be zero.
    pub fn set_timeout(&mut self, timeout: Duration) -> Result<()> {
        self.timeout = timeout;
        let stream = self.stream.source();
        stream
            .set_read_timeout(Some(timeout))
            .and_then(|()| stream.set_write_timeout(Some(timeout)))
            .context("setting the socket's timeouts")
    }

    /// Sends these bytes, whatever they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let mut stream = self.stream.source();
        stream.write_all(bytes).map_err(|error| self.sentence("send the request", &error))
    }

    /// Sends a request and reads one response, interim ones too. Its error says by its kind what became of it.
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Response> {
        self.stream.source().write_all(request)?;
        Response::read(&mut self.stream, false)
    }

    /// How many bytes have come on this connection.
    pub fn received(&self) -> u64 {
        self.stream.received()
    }

    /// How many of them belong to no response yet.
    pub fn unread(&self) -> usize {
        self.stream.ahead()
    }

    /// The socket, for its options, or a look at what has come.
    pub fn socket(&self) -> &TcpStream {
        self.stream.source()
    }

    /// Reads the next response, interim ones (1xx) too. `method_is_head` because only the one who
    /// asked knows that no body follows (RFC 9112, section 6.3).
    pub fn receive(&mut self, method_is_head: bool) -> Result<Response> {
        Response::read(&mut self.stream, method_is_head)
            .map_err(|error| self.sentence("read the response", &error))
    }

    /// Sends a request and reads its final response, skipping interim ones.
    pub fn request(
        &mut self,
        method: &str,
        path: impl AsRef<[u8]>,
        headers: &[(&str, &[u8])],
    ) -> Result<Response> {
        self.request_with_body(method, path, headers, b"")
    }

    /// The same with a body, of which some header has to tell.
    pub fn request_with_body(
        &mut self,
        method: &str,
        path: impl AsRef<[u8]>,
        headers: &[(&str, &[u8])],
        body: &[u8],
    ) -> Result<Response> {
        let peer = self.stream.source().peer_addr();
        let peer = peer.context("reading the peer's address")?;
        let named = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = peer.to_string();
        let mut all: Vec<(&str, &[u8])> = Vec::new();
        if !named {
            all.push(("host", host.as_bytes()));
        }
        all.extend_from_slice(headers);
        self.send(&encode_request(method, path, &all, body))?;
        loop {
            let response = self.receive(method == "HEAD")?;
            if response.status >= 200 {
                return Ok(response);
            }
        }
    }

    /// Whether the peer closes the connection (FIN or RST), which is waited for.
    ///
    /// What it sends before is kept for the next [`receive`](Self::receive).
    pub fn is_closed(&mut self) -> bool {
        self.closes_within(PATIENCE)
    }

    /// Whether the connection is still open after half a second.
    pub fn stays_open(&mut self) -> bool {
        !self.closes_within(A_WHILE)
    }

    fn closes_within(&mut self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let closed = loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stream.source().set_read_timeout(Some(left)).is_err() {
                break false;
            }
            match self.stream.fill() {
                Ok(true) => {}
                Ok(false) => break true,
                Err(error) => break !is_timeout(error.kind()),
            }
        };
        // A closed socket may refuse the option; it will not be read again.
        let _ = self.stream.source().set_read_timeout(Some(self.timeout));
        closed
    }

    fn sentence(&self, what: &str, error: &std::io::Error) -> Error {
        let why = match error.kind() {
            kind if is_timeout(kind) => {
                format!("nothing moved for {:?}; the server holds the request", self.timeout)
            }
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                "the server reset the connection".to_owned()
            }
            _ => error.to_string(),
        };
        anyhow!("Could not {what}: {why}.")
    }
}

/// A socket's read timeout has two names, by platform.
fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
