//! What the host calls read and write.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use wasmtime::{Memory, TypedFunc};

use super::End;
use super::header_map::Headers;
use super::step::{Callout, DispatchResult, LocalReply, Step, Stream};

/// Everything behind the host calls.
#[derive(Default)]
pub(super) struct State {
    /// What the module exports to its host; known once it is instantiated.
    pub exports: Option<Exports>,
    /// The time since the epoch.
    pub clock: Duration,
    /// What becomes of callouts.
    pub dispatch: DispatchResult,
    /// The plugin configuration, while the module is being configured.
    pub configuration: Option<Vec<u8>>,
    /// The root contexts that asked for ticks, each with the period in milliseconds.
    pub ticks: BTreeMap<u32, u32>,
    /// What the VMs of a host share: values, each with its version.
    pub shared: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    /// The metrics, by the number given out.
    pub metrics: Vec<Metric>,
    /// What becomes of replies: whether the host takes none.
    pub replies_refused: bool,
    /// The root contexts.
    pub roots: BTreeSet<u32>,
    /// The streams the module knows.
    pub streams: BTreeMap<Stream, Request>,
    /// The last streams that ended. Envoy knows their contexts for some time, and crashes if one is answered.
    pub ended: BTreeSet<Stream>,
    /// The tokens of callouts in flight. They outlive their streams: Envoy's root context owns
    /// them, and a client that hangs up does not cancel them.
    pub callouts: BTreeMap<Stream, u32>,
    /// The last token given out.
    pub token: u32,
    /// The callout's response, while the module is being told of it; `None` if it broke off.
    pub response: Option<(Headers, Vec<u8>)>,
    /// Whose turn it is.
    pub serving: Serving,
    /// The context that was called.
    pub context: u32,
    /// The context the module chose to act for instead (`proxy_set_effective_context`).
    pub effective: Option<u32>,
    /// What happened in this step so far.
    pub record: Record,
}

/// Whom the module may act for.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) enum Serving {
    /// The stream that this step is about.
    One(Stream),
    /// All that wait: it is a tick.
    All,
    /// Unknown, as the callback was poked at: what the module does then is judged by whether it
    /// traps, and not by what it does to whom.
    #[default]
    Unknown,
}

/// The exports that host calls use.
#[derive(Clone)]
pub(super) struct Exports {
    pub memory: Memory,
    /// `proxy_on_memory_allocate`
    pub allocate: TypedFunc<u32, u32>,
}

/// One stream, as its host calls see it.
#[derive(Default)]
pub(super) struct Request {
    /// The root context that it belongs to.
    pub root: u32,
    /// `None` before the headers have arrived and once the request has left the filter.
    pub headers: Option<Headers>,
    /// Whether the filter has answered it or let it pass, so that it may do neither again.
    pub ended: bool,
}

/// What the module has defined.
pub(super) struct Metric {
    pub kind: u32,
    pub name: String,
    pub values: Vec<u64>,
}

/// A [`Step`] in the making.
#[derive(Default)]
pub(super) struct Record {
    pub calls: Vec<&'static str>,
    pub logs: Vec<String>,
    pub fuel: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub replies: BTreeMap<Stream, LocalReply>,
    pub callouts: BTreeMap<Stream, Callout>,
    pub properties: Vec<(String, String)>,
    pub continued: BTreeSet<Stream>,
    pub closed: bool,
}

impl State {
    /// The stream that host calls act for, if it is one and still there.
    pub fn stream(&self) -> Option<Stream> {
        let stream = Stream(self.effective.unwrap_or(self.context));
        self.streams.contains_key(&stream).then_some(stream)
    }

    /// Its request.
    pub fn request(&self) -> Option<&Request> {
        self.streams.get(&self.stream()?)
    }

    /// The root context that host calls act for.
    pub fn root(&self) -> u32 {
        let context = self.effective.unwrap_or(self.context);
        self.streams.get(&Stream(context)).map_or(context, |request| request.root)
    }

    /// Whether there is such a context.
    pub fn has_context(&self, id: u32) -> bool {
        let stream = Stream(id);
        self.roots.contains(&id)
            || self.streams.contains_key(&stream)
            || self.ended.contains(&stream)
    }

    /// Ends the step. `otherwise` is what became of a request that was neither answered nor sent on
    /// a callout.
    pub fn end_step(&mut self, stream: Stream, otherwise: End) -> Step {
        let mut record = std::mem::take(&mut self.record);
        let end = match (record.replies.remove(&stream), record.callouts.remove(&stream)) {
            _ if record.closed => End::Closed,
            (Some(reply), _) => End::Reply(reply),
            _ if record.continued.contains(&stream) => End::Continue,
            (None, Some(callout)) if otherwise == End::Pause => End::Callout(callout),
            (None, _) => otherwise,
        };
        self.note(stream, &end);
        let Record { calls, logs, properties, fuel, bytes_in, bytes_out, .. } = record;
        Step { stream, calls, logs, properties, fuel, bytes_in, bytes_out, end }
    }

    /// Ends a tick: what became of each request that it was about.
    pub fn end_tick(&mut self) -> Vec<(Stream, End)> {
        let Record { replies, callouts, continued, .. } = std::mem::take(&mut self.record);
        let replies = replies.into_iter().map(|(stream, reply)| (stream, End::Reply(reply)));
        let callouts = callouts.into_iter().map(|(stream, sent)| (stream, End::Callout(sent)));
        let continued = continued.into_iter().map(|stream| (stream, End::Continue));
        let ends: Vec<_> = replies.chain(callouts).chain(continued).collect();
        ends.iter().for_each(|(stream, end)| self.note(*stream, end));
        ends
    }

    fn note(&mut self, stream: Stream, end: &End) {
        if let Some(request) = self.streams.get_mut(&stream)
            && matches!(end, End::Reply(_) | End::Continue | End::Closed)
        {
            // Envoy's `request_headers_` is null from here on.
            (request.headers, request.ended) = (None, true);
        }
    }
}
