//! testkit's client, which here also says what became of a request that got no answer.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv, sockopt};
use testkit::PATIENCE;
use testkit::http::{Connection, Response};

/// A connection on which requests follow each other.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    has_served: bool,
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
    /// Something came that is no HTTP answer of a known length.
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
        Ok(Self { connection: Connection::open(address)?, has_served: false })
    }

    /// Looks without waiting.
    pub fn between(&self) -> Between {
        if self.connection.unread() > 0 {
            return Between::Talking;
        }
        let socket = self.connection.socket();
        match recv(socket, &mut [0_u8; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((0, _)) => Between::Closed,
            Ok(_) => Between::Talking,
            Err(Errno::AGAIN | Errno::INTR) => Between::Quiet,
            Err(_) => Between::Closed,
        }
    }

    /// Sends a request and reads the answer to it.
    pub fn ask(&mut self, request: &[u8]) -> Result<Response, Failure> {
        let before = self.connection.received();
        let answer = self.connection.exchange(request);
        let had = self.connection.received() - before;
        let answer = answer.map_err(|error| self.failure(&error, had))?;
        self.has_served = true;
        // Envoy and our upstreams know how long their answers are.
        match answer.header_values("content-length").as_slice() {
            [_] => Ok(answer),
            lengths => Err(Failure::Malformed(format!("{} lengths: {answer:?}", lengths.len()))),
        }
    }

    /// Sends a request and leaves without a word after a while: with a FIN, or with a RST.
    pub fn hang_up(mut self, request: &[u8], after: Duration, reset: bool) {
        // Nobody waits for an answer, so a connection that has ended loses none.
        if self.connection.send(request).is_ok() {
            std::thread::sleep(after);
            if reset {
                // Fails only if the connection has ended already.
                let _ = sockopt::set_socket_linger(self.connection.socket(), Some(Duration::ZERO));
            }
        }
    }

    fn failure(&self, error: &io::Error, had: u64) -> Failure {
        let reset = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
        match (error.kind(), self.has_served, had) {
            (ErrorKind::InvalidData, ..) => Failure::Malformed(error.to_string()),
            (ErrorKind::WouldBlock | ErrorKind::TimedOut, ..) => {
                Failure::Lost(format!("nothing came within {PATIENCE:?}"))
            }
            (_, true, 0) => Failure::Crossed,
            (_, false, 0) if reset => Failure::Unaccepted,
            (_, _, had) => Failure::Lost(format!("{error}, after {had} bytes of the answer")),
        }
    }
}
