//! One connection to the store: requests in, behaviours out.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;

use super::{Behaviour, Request, Shared};
use crate::http::wire::Wire;

/// The length of a body that never comes in full.
const PROMISE: usize = 100;

/// Long enough for the peer to read the headers before the reset overtakes them.
const HEAD_START: Duration = Duration::from_millis(100);

/// How a connection goes on after a request.
enum Next {
    Keep,
    Close,
    Reset,
}

/// Serves one connection to its end.
pub(super) fn serve(shared: &Shared, number: usize, stream: Arc<TcpStream>) {
    let next = match shared.closes_on_accept() {
        true => Next::Close,
        // Errors mean that the peer, or the store's end, closed the socket under us.
        false => requests(shared, number, &stream).unwrap_or(Next::Close),
    };
    if let Next::Reset = next {
        // Closing without lingering sends RST (socket(7), SO_LINGER).
        let _ = SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
    } else {
        let _ = stream.shutdown(Shutdown::Write);
    }
    shared.forget(number);
    // The last reference goes here, and the descriptor with it.
}

fn requests(shared: &Shared, number: usize, stream: &TcpStream) -> io::Result<Next> {
    stream.set_nodelay(true)?;
    let mut wire = Wire::new(stream);
    loop {
        stream.set_read_timeout(shared.lock().idle)?;
        let request = match Request::read(&mut wire, number) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(Next::Close),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                let why = error.to_string();
                answer(stream, "GET", 400, &[], why.as_bytes())?;
                return Ok(Next::Close);
            }
            Err(error) => return Err(error),
        };
        if request.target == b"/healthz" {
            answer(stream, &request.method, 200, &[], b"ok")?;
        } else {
            let behaviour = shared.record(&request);
            match perform(shared, stream, &request, behaviour)? {
                Next::Keep => {}
                end => return Ok(end),
            }
        }
        if request.wants_close() {
            return Ok(Next::Close);
        }
    }
}

fn perform(
    shared: &Shared,
    mut stream: &TcpStream,
    request: &Request,
    behaviour: Behaviour,
) -> io::Result<Next> {
    match behaviour {
        Behaviour::Answer { status, headers, body } => {
            answer(stream, &request.method, status, &headers, &body)
        }
        Behaviour::ResetBeforeHeaders => Ok(Next::Reset),
        Behaviour::ResetAfterHeaders => {
            promise(stream, PROMISE)?;
            shared.sleep(HEAD_START);
            Ok(Next::Reset)
        }
        Behaviour::Truncate => {
            promise(stream, PROMISE)?;
            Ok(Next::Close)
        }
        Behaviour::DripBody { every } => {
            promise(stream, usize::MAX >> 1)?;
            drip(shared, stream, b"", every)
        }
        Behaviour::DripHeaders { every } => {
            drip(shared, stream, b"HTTP/1.1 200 OK\r\nx-drip: ", every)
        }
        Behaviour::Hang => {
            let mut unread = [0; 1024];
            while stream.read(&mut unread)? > 0 {}
            Ok(Next::Close)
        }
        Behaviour::Flood { bytes } => flood(stream, bytes),
        Behaviour::Garbage(bytes) => {
            stream.write_all(&bytes)?;
            Ok(Next::Close)
        }
        Behaviour::Delay(time, then) => match shared.sleep(time) {
            true => perform(shared, stream, request, *then),
            false => Ok(Next::Close),
        },
        Behaviour::Interim(status, then) => {
            stream.write_all(format!("HTTP/1.1 {status} Interim\r\n\r\n").as_bytes())?;
            perform(shared, stream, request, *then)
        }
        Behaviour::CloseAfterAccept => Ok(Next::Close),
        Behaviour::ByRequest(function) => {
            perform(shared, stream, request, function.decide(request))
        }
    }
}

fn answer(
    mut stream: &TcpStream,
    method: &str,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
) -> io::Result<Next> {
    let has = |name: &str| headers.iter().any(|(h, _)| h.eq_ignore_ascii_case(name));
    let mut bytes = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    // RFC 9110, section 8.6: none in 204; in 304 it would speak of another response.
    let bodiless = matches!(status, 204 | 304);
    if !bodiless && !has("content-length") && !has("transfer-encoding") {
        bytes.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    bytes.push_str("\r\n");
    // In one write: a client may read once and expect all of it.
    let mut bytes = bytes.into_bytes();
    if method != "HEAD" {
        bytes.extend_from_slice(body);
    }
    stream.write_all(&bytes)?;
    let closes = headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close")
    });
    Ok(if closes { Next::Close } else { Next::Keep })
}

/// Headers that promise `length` bytes, and a few of them.
fn promise(mut stream: &TcpStream, length: usize) -> io::Result<()> {
    let headers = "HTTP/1.1 200 OK\r\ncontent-type: application/json";
    stream.write_all(format!("{headers}\r\ncontent-length: {length}\r\n\r\n{{\"count\"").as_bytes())
}

/// Sends `start`, then filler, one byte at a time until the peer or the store has enough.
fn drip(
    shared: &Shared,
    mut stream: &TcpStream,
    start: &[u8],
    every: Duration,
) -> io::Result<Next> {
    for byte in start.iter().chain(std::iter::repeat(&b'x')) {
        stream.write_all(&[*byte])?;
        if !shared.sleep(every) {
            break;
        }
    }
    Ok(Next::Close)
}

fn flood(mut stream: &TcpStream, bytes: usize) -> io::Result<Next> {
    let headers = "HTTP/1.1 200 OK\r\ncontent-type: application/json";
    stream.write_all(format!("{headers}\r\ntransfer-encoding: chunked\r\n\r\n").as_bytes())?;
    let padding = b"[0],".repeat(16 * 1024);
    let mut left = bytes;
    while left > 0 {
        let piece = &padding[..padding.len().min(left)];
        let size = format!("{:x}\r\n", piece.len());
        stream.write_all(&[size.as_bytes(), piece, b"\r\n"].concat())?;
        if bytes != usize::MAX {
            left -= piece.len();
        }
    }
    stream.write_all(b"0\r\n\r\n")?;
    Ok(Next::Keep)
}

impl Shared {
    /// Whether a fresh connection is to be closed at once; if so, the script moves on.
    fn closes_on_accept(&self) -> bool {
        let mut state = self.lock();
        let closes = state.script.front() == Some(&Behaviour::CloseAfterAccept);
        if closes {
            state.next_behaviour();
        }
        closes
    }
}
