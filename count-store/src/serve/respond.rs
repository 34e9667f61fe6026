//! What answers requests, and replies as HTTP.

use std::borrow::Cow;

use backup_sharing_count::reply::Reply;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

/// What answers requests.
pub trait Respond: Send + Sync + 'static {
    /// The response to a request, of which only the request line and headers are read.
    fn respond(&self, parts: &Parts) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// A reply as HTTP.
pub fn response(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(match reply.body {
        Cow::Borrowed(body) => Bytes::from_static(body.as_bytes()),
        Cow::Owned(body) => Bytes::from(body),
    }));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers.iter() {
        // All of them are our own and printable; none comes from a client.
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().append(*name, value);
        }
    }
    response
}
