//! What the store can be told to do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Request;

/// What a request to the [`ScriptedStore`](super::ScriptedStore) gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// A proper answer. `content-length` is added unless `headers` frame the body themselves;
    /// the connection is kept.
    Answer {
        /// The status code; the reason phrase is fixed.
        status: u16,
        /// Header fields, sent as they are.
        headers: Vec<(String, String)>,
        /// The body, sent unless the request was HEAD.
        body: Vec<u8>,
    },
    /// The connection is reset (RST) before anything is answered.
    ResetBeforeHeaders,
    /// Headers that promise 100 bytes, some of them, then a reset.
    ResetAfterHeaders,
    /// Headers that promise more bytes than come before an orderly close (FIN).
    Truncate,
    /// Headers at once, then one byte of body after each pause, without end.
    DripBody {
        /// The pause between two bytes.
        every: Duration,
    },
    /// Headers that come byte by byte, without end.
    DripHeaders {
        /// The pause between two bytes.
        every: Duration,
    },
    /// No answer; the connection stays open until the peer closes it.
    Hang,
    /// 200 and a chunked body that looks like JSON; the connection is kept.
    Flood {
        /// The body's length; `usize::MAX` never ends.
        bytes: usize,
    },
    /// These bytes instead of HTTP, then a close.
    Garbage(Vec<u8>),
    /// Another behaviour, later.
    Delay(Duration, Box<Behaviour>),
    /// An interim response without fields (such as 100 or 103), then another behaviour.
    Interim(u16, Box<Behaviour>),
    /// A connection is closed as soon as it is accepted, before its request is read or recorded.
    /// A request on a connection that was open already is recorded and gets a close.
    CloseAfterAccept,
    /// What a function makes of the request: [`Behaviour::by_request`].
    ByRequest(ByRequest),
}

/// A function from a request to what it gets. Two are equal if they are the same one.
#[derive(Clone)]
pub struct ByRequest(Arc<dyn Fn(&Request) -> Behaviour + Send + Sync>);

// === impl Behaviour ===

impl Behaviour {
    /// An answer with this JSON and `content-type: application/json`.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
        }
    }

    /// An answer without a body.
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: Vec::new() }
    }

    /// This behaviour, `time` later.
    pub fn after(self, time: Duration) -> Self {
        Self::Delay(time, Box::new(self))
    }

    /// What `decide` makes of each request. Connections call it side by side.
    pub fn by_request(decide: impl Fn(&Request) -> Behaviour + Send + Sync + 'static) -> Self {
        Self::ByRequest(ByRequest(Arc::new(decide)))
    }
}

// === impl ByRequest ===

impl ByRequest {
    pub(super) fn decide(&self, request: &Request) -> Behaviour {
        (self.0)(request)
    }
}

impl fmt::Debug for ByRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByRequest(…)")
    }
}

impl PartialEq for ByRequest {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ByRequest {}
