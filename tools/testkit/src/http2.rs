//! An HTTP/2 client without TLS (prior knowledge): many streams on one connection, each of which can be reset; and a
//! server that resets each.
//!
//! It blocks, as all of this crate does; the protocol is the crate `h2`'s.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use h2::Reason;
use h2::client::{ResponseFuture, SendRequest, handshake};
use h2::server;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderName, HeaderValue, Request};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::http::Response;
use crate::{PATIENCE, Result};

/// One connection to a server.
#[derive(Debug)]
pub struct Connection {
    runtime: Runtime,
    requests: SendRequest<Bytes>,
}

/// A request that was sent, and is not answered yet.
#[derive(Debug)]
pub struct Stream {
    response: ResponseFuture,
    request: h2::SendStream<Bytes>,
}

/// A server that resets each stream before it answers, and keeps the connection.
#[derive(Debug)]
pub struct ResettingServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// How many connections it has had, and how many streams it has reset.
    pub seen: Arc<[AtomicUsize; 2]>,
    _runtime: Runtime,
}

/// A request. An error if a client that keeps the rules cannot send it: what `target` and `headers` hold goes
/// out byte for byte, or not at all.
pub fn request(method: &str, target: &[u8], headers: &[(&str, &[u8])]) -> Result<Request<()>> {
    let refused = |error: http::Error| {
        let target = target.escape_ascii();
        anyhow!("HTTP/2 cannot carry {method} {target} {headers:?}: {error}")
    };
    let path = PathAndQuery::try_from(target).map_err(|error| refused(error.into()))?;
    if path.as_str().as_bytes() != target {
        bail!("A client leaves out the fragment of {path}.");
    }
    let uri = Uri::builder().scheme("http").authority("edge").path_and_query(path).build();
    let mut request = Request::builder().method(method).uri(uri.map_err(refused)?);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).map_err(refused)
}

// === impl Connection ===

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let runtime = runtime()?;
        let opened = runtime.block_on(async {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            handshake(socket).await.map_err(std::io::Error::other)
        });
        let (requests, connection) =
            opened.with_context(|| format!("opening HTTP/2 to {address}"))?;
        runtime.spawn(connection);
        Ok(Self { runtime, requests })
    }

    /// Sends a request with this body. Waits if the server wants no more streams for now.
    pub fn send(&mut self, request: Request<()>, body: &[u8]) -> Result<Stream> {
        self.send_with_trailers(request, body, &[])
    }

    /// The same with trailers after the body.
    pub fn send_with_trailers(
        &mut self,
        request: Request<()>,
        body: &[u8],
        trailers: &[(&'static str, &'static str)],
    ) -> Result<Stream> {
        const SENDING: &str = "sending a request over HTTP/2";
        let ready = self.runtime.block_on(self.requests.clone().ready());
        let ends = trailers.is_empty();
        let sent = ready.context(SENDING)?.send_request(request, ends && body.is_empty());
        let (response, mut request) = sent.context(SENDING)?;
        if !body.is_empty() {
            request.send_data(Bytes::copy_from_slice(body), ends).context(SENDING)?;
        }
        if !ends {
            let field = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            let fields = trailers.iter().map(field).collect();
            request.send_trailers(fields).context(SENDING)?;
        }
        Ok(Stream { response, request })
    }

    /// Waits for the answer on a stream; `None` if the server resets it.
    pub fn receive(&self, stream: Stream) -> Result<Option<Response>> {
        let answer = whole(stream.response);
        match self.runtime.block_on(async { timeout(PATIENCE, answer).await }) {
            Ok(Ok(response)) => Ok(Some(response)),
            Ok(Err(error)) if error.is_reset() && error.is_remote() => Ok(None),
            Ok(Err(error)) => Err(error).context("reading an answer over HTTP/2"),
            Err(_) => Err(anyhow!("The server holds a stream of HTTP/2.")),
        }
    }

    /// Sends a request and waits for its answer.
    pub fn request(&mut self, request: Request<()>, body: &[u8]) -> Result<Response> {
        let stream = self.send(request, body)?;
        self.receive(stream)?.context("The server reset the stream.")
    }
}

// === impl Stream ===

impl Stream {
    /// Resets the stream (RST_STREAM), as a client does that no longer wants the answer.
    pub fn reset(mut self) {
        self.request.send_reset(Reason::CANCEL);
    }
}

// === impl ResettingServer ===

impl ResettingServer {
    /// Starts one on a port of the system's choice.
    pub fn start() -> Result<Self> {
        let runtime = runtime()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let seen = Arc::default();
        runtime.spawn(reset_all(listener, Arc::clone(&seen)));
        Ok(Self { address, seen, _runtime: runtime })
    }
}

async fn reset_all(listener: TcpListener, seen: Arc<[AtomicUsize; 2]>) {
    while let Ok((socket, _)) = listener.accept().await {
        seen[0].fetch_add(1, Ordering::Relaxed);
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let Ok(mut connection) = server::handshake(socket).await else { return };
            while let Some(Ok((_, mut answer))) = connection.accept().await {
                seen[1].fetch_add(1, Ordering::Relaxed);
                answer.send_reset(Reason::INTERNAL_ERROR);
            }
        });
    }
}

/// A thread that reads and writes while the test does other things.
fn runtime() -> Result<Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.context("starting a thread for HTTP/2")
}

async fn whole(response: ResponseFuture) -> std::result::Result<Response, h2::Error> {
    let (parts, mut rest) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = rest.data().await {
        let piece = piece?;
        rest.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    let headers = parts.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    Ok(Response { status: parts.status.as_u16(), headers: headers.collect(), body })
}
