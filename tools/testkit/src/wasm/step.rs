//! What a test gets to see of a callback.

use std::fmt;

/// One request's context in the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stream(pub(super) u32);

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}", self.0)
    }
}

/// One event of a request, and what it cost.
#[derive(Clone, Debug)]
pub struct Step {
    /// The request it belongs to.
    pub stream: Stream,
    /// The host calls by name, in order, WASI's included.
    pub calls: Vec<&'static str>,
    /// What the module logged or printed.
    pub logs: Vec<String>,
    /// The properties it set, each with its path.
    pub properties: Vec<(String, String)>,
    /// The instructions it ran, in Wasmtime's fuel: nearly all cost one, whatever the computer.
    pub fuel: u64,
    /// The bytes copied into its memory: header maps, values, bodies; not the words that point to them.
    pub bytes_in: u64,
    /// The bytes copied out of its memory.
    pub bytes_out: u64,
    /// What became of the request.
    pub end: End,
}

/// What becomes of a request once a callback has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The filter answers it.
    Reply(LocalReply),
    /// It waits for a callout.
    Callout(Callout),
    /// It goes on to the next filter.
    Continue,
    /// It waits, and nothing will end that: no callout was sent by this callback.
    Pause,
    /// The filter resets it, for the host takes no answer.
    Closed,
    /// It was over before, or is now, and is answered no more.
    Finished,
}

/// An answer of the filter's own (`proxy_send_local_response`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    /// The status code.
    pub status: u32,
    /// The response code details, for access logs.
    pub details: String,
    /// The header fields, in order.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A request the filter sends (`proxy_http_call`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callout {
    /// Envoy's name for where it goes.
    pub cluster: String,
    /// The header fields, in order, pseudo-headers included.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// After how many milliseconds Envoy answers in the cluster's place. 0: never.
    pub timeout_ms: u32,
}

/// What becomes of the callouts the filter sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DispatchResult {
    /// They are sent.
    #[default]
    Sent,
    /// Envoy has no such cluster: `BadArgument`.
    UnknownCluster,
    /// The cluster has no host: `InternalFailure`, and no callback ever.
    NoHost,
}
