//! What happens to a request, in the order Envoy knows and in all others.

use anyhow::{Context, bail};
use wasmtime::{Val, WasmParams};

use super::header_map;
use super::host::{Host, size};
use super::state::{Request, Serving};
use super::step::{End, Step, Stream};
use crate::Result;

/// How many streams that ended are remembered.
const ENDED: usize = 1000;

impl Host {
    /// A request's headers arrive, and all of the request with them: there is no body.
    pub fn request(&mut self, headers: &[(&[u8], &[u8])]) -> Result<Step> {
        let stream = self.create()?;
        // Making the context is a part of what the request costs.
        self.headers_after(stream, headers)
    }

    /// A stream, of which nothing has arrived yet.
    pub fn create(&mut self) -> Result<Stream> {
        let stream = Stream(self.next_context()?);
        self.begin_step(Serving::One(stream));
        let root = self.root;
        let request = Request { root, ..Request::default() };
        self.store.data_mut().streams.insert(stream, request);
        self.call::<_, ()>(stream.0, "proxy_on_context_create", (stream.0, root))?;
        Ok(stream)
    }

    /// The headers of a stream's request arrive.
    pub fn headers(&mut self, stream: Stream, headers: &[(&[u8], &[u8])]) -> Result<Step> {
        self.begin_step(Serving::One(stream));
        self.headers_after(stream, headers)
    }

    fn headers_after(&mut self, stream: Stream, headers: &[(&[u8], &[u8])]) -> Result<Step> {
        if let Some(request) = self.store.data_mut().streams.get_mut(&stream) {
            request.headers = Some(header_map::owned(headers));
        }
        let end_of_stream = 1;
        let arguments = (stream.0, size(headers.len()), end_of_stream);
        let action: u32 = self.call(stream.0, "proxy_on_request_headers", arguments)?;
        let end = if action == 0 { End::Continue } else { End::Pause };
        Ok(self.store.data_mut().end_step(stream, end))
    }

    /// A piece of a body arrives, and is not the last.
    pub fn body(&mut self, stream: Stream, bytes: u32) -> Result<Step> {
        self.more(stream, "proxy_on_request_body", (stream.0, bytes, 0))
    }

    /// Trailers arrive, and with them the end of the request.
    pub fn trailers(&mut self, stream: Stream, fields: u32) -> Result<Step> {
        self.more(stream, "proxy_on_request_trailers", (stream.0, fields))
    }

    fn more(&mut self, stream: Stream, name: &str, arguments: impl WasmParams) -> Result<Step> {
        self.begin_step(Serving::One(stream));
        let action: u32 = self.call(stream.0, name, arguments)?;
        let end = if action == 0 { End::Continue } else { End::Pause };
        Ok(self.store.data_mut().end_step(stream, end))
    }

    /// A stream's callout never ends, as when Envoy drops the root context that sent it.
    pub fn forget_callout(&mut self, stream: Stream) {
        self.store.data_mut().callouts.remove(&stream);
    }

    /// The response to a stream's callout arrives, whether or not its client is still there. No
    /// headers at all: it broke off, or was too large.
    ///
    /// # Errors
    /// If no callout of the stream is in flight, or the filter traps.
    pub fn callout_response(
        &mut self,
        stream: Stream,
        headers: &[(&[u8], &[u8])],
        body: &[u8],
    ) -> Result<Step> {
        let token = self.store.data_mut().callouts.remove(&stream);
        let token = token.with_context(|| format!("No callout of {stream} is in flight."))?;
        let broken = headers.is_empty();
        self.store.data_mut().response =
            (!broken).then(|| (header_map::owned(headers), body.to_vec()));
        let body_size = if broken { 0 } else { size(body.len()) };
        self.begin_step(Serving::One(stream));
        // Envoy tells the root context, which owns the callout.
        let root = self.root;
        let arguments = (root, token, size(headers.len()), body_size, 0);
        self.call::<_, ()>(root, "proxy_on_http_call_response", arguments)?;
        let state = self.store.data_mut();
        state.response = None;
        let end = if state.streams.contains_key(&stream) { End::Pause } else { End::Finished };
        Ok(state.end_step(stream, end))
    }

    /// Time passes: each root context that asked for ticks gets one. What became of which request.
    pub fn tick(&mut self) -> Result<Vec<(Stream, End)>> {
        self.begin_step(Serving::All);
        for root in self.store.data().ticks.clone().into_keys() {
            self.call::<_, ()>(root, "proxy_on_tick", root)?;
        }
        Ok(self.store.data_mut().end_tick())
    }

    /// A stream is over: answered, passed on and answered, or its client has hung up. Envoy logs
    /// before it destroys the filters (`ConnectionManagerImpl::doDeferredStreamDestroy`).
    pub fn finish(&mut self, stream: Stream) -> Result<Step> {
        if !self.store.data().streams.contains_key(&stream) {
            bail!("There is no {stream}.");
        }
        self.begin_step(Serving::One(stream));
        self.end_context(stream.0)?;
        let state = self.store.data_mut();
        state.streams.remove(&stream);
        state.ended.insert(stream);
        if state.ended.len() > ENDED {
            state.ended.pop_first();
        }
        Ok(state.end_step(stream, End::Finished))
    }

    /// Calls a callback with any arguments, the context first, which need not make sense; those that are missing are
    /// zero. `None` if the module lacks it.
    pub fn poke(&mut self, callback: &str, arguments: &[u32]) -> Result<Option<Step>> {
        let context = arguments.first().copied().unwrap_or_default();
        let Some(function) = self.instance.get_func(&mut self.store, callback) else {
            return Ok(None);
        };
        self.begin_step(Serving::Unknown);
        let mut arguments: Vec<Val> =
            arguments.iter().map(|argument| Val::I32(argument.cast_signed())).collect();
        arguments.resize(function.ty(&self.store).params().len(), Val::I32(0));
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        self.run(context, callback, |store| function.call(store, &arguments, &mut results))?;
        Ok(Some(self.store.data_mut().end_step(Stream(context), End::Pause)))
    }
}
