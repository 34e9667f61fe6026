//! Calls the module as Envoy does.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use wasmtime::{Instance, Store, WasmParams, WasmResults};

use super::module::Module;
use super::state::{Exports, ROOT, Request, State};
use super::step::{DispatchResult, End, Step, Stream};
use super::{imports, map};
use crate::{Error, Result};

/// A callback that takes longer is taken to be endless, and traps.
const FUEL_PER_CALLBACK: u64 = 1_000_000_000;

/// One virtual machine with one configured filter in it, as each worker of an Envoy has.
pub struct Host {
    store: Store<State>,
    instance: Instance,
    last_stream: u32,
    /// Envoy never calls into a machine that has trapped.
    trapped: Option<Error>,
}

impl Host {
    /// A host that runs `module` with a plugin configuration.
    ///
    /// # Errors
    /// If the module imports what this host does not know, lacks a callback or traps, and with the
    /// filter's own words if it refuses the configuration.
    pub fn load(module: &Path, configuration: &str) -> Result<Self> {
        Self::start(&Module::load(module)?, configuration)
    }

    /// The same with a module that is compiled already.
    pub fn start(module: &Module, configuration: &str) -> Result<Self> {
        let linker = imports::link(module.inner())?;
        let mut store = Store::new(module.inner().engine(), State::default());
        refuel(&mut store);
        let instance = linker.instantiate(&mut store, module.inner());
        let instance = instance
            .map_err(|error| Error::new(format!("Could not instantiate the module: {error:#}")))?;
        let memory = instance.get_memory(&mut store, "memory");
        let allocate = instance.get_typed_func(&mut store, "proxy_on_memory_allocate");
        store.data_mut().exports = Some(Exports {
            memory: memory.ok_or_else(|| Error::new("The module exports no memory."))?,
            allocate: allocate.map_err(Error::while_doing("find proxy_on_memory_allocate"))?,
        });

        let mut host = Self { store, instance, last_stream: ROOT, trapped: None };
        host.call::<_, ()>(ROOT, "_initialize", ())?;
        host.call::<_, ()>(ROOT, "proxy_on_context_create", (ROOT, 0))?;
        // No test sets a vm configuration.
        let started: u32 = host.call(ROOT, "proxy_on_vm_start", (ROOT, 0))?;
        host.store.data_mut().configuration = Some(configuration.into());
        let taken: u32 =
            host.call(ROOT, "proxy_on_configure", (ROOT, size(configuration.len())))?;
        let state = host.store.data_mut();
        state.configuration = None;
        let record = std::mem::take(&mut state.record);
        if started == 0 || taken == 0 {
            return Err(Error::new(format!(
                "The filter does not start: {}",
                record.logs.join("; ")
            )));
        }
        Ok(host)
    }

    /// A request's head arrives, and all of the request with it: there is no body.
    pub fn request(&mut self, headers: &[(&[u8], &[u8])]) -> Result<Step> {
        self.last_stream =
            self.last_stream.checked_add(1).ok_or_else(|| Error::new("No stream is left."))?;
        let stream = Stream(self.last_stream);
        self.begin_step(stream);
        self.store.data_mut().streams.insert(stream, Request::default());
        self.call::<_, ()>(stream.0, "proxy_on_context_create", (stream.0, ROOT))?;
        let request = Request { headers: Some(map::owned(headers)), replied: false };
        self.store.data_mut().streams.insert(stream, request);
        let end_of_stream = 1;
        let arguments = (stream.0, size(headers.len()), end_of_stream);
        let action: u32 = self.call(stream.0, "proxy_on_request_headers", arguments)?;
        let end = if action == 0 { End::Continue } else { End::Pause };
        Ok(self.store.data_mut().end_step(stream, end))
    }

    /// The response to a stream's callout arrives, whether or not its client is still there. No
    /// headers at all: it broke off, or was too large (proxy-wasm facts 0.3).
    ///
    /// # Errors
    /// If no callout of the stream is in flight, or the filter traps.
    pub fn callout_response(
        &mut self,
        stream: Stream,
        headers: &[(&[u8], &[u8])],
        body: &[u8],
    ) -> Result<Step> {
        let state = self.store.data_mut();
        let token = state.callouts.remove(&stream);
        let token =
            token.ok_or_else(|| Error::new(format!("No callout of {stream} is in flight.")))?;
        let broken = headers.is_empty();
        state.response = (!broken).then(|| (map::owned(headers), body.to_vec()));
        let body_size = if broken { 0 } else { size(body.len()) };
        self.begin_step(stream);
        // Envoy tells the root context, which sent the callout; the SDK finds the stream by token.
        let arguments = (ROOT, token, size(headers.len()), body_size, 0);
        self.call::<_, ()>(ROOT, "proxy_on_http_call_response", arguments)?;
        let state = self.store.data_mut();
        state.response = None;
        let end = if state.streams.contains_key(&stream) { End::Pause } else { End::Finished };
        Ok(state.end_step(stream, end))
    }

    /// A stream is over: answered, passed on and answered, or its client has hung up. Envoy logs
    /// before it destroys the filters (`ConnectionManagerImpl::doDeferredStreamDestroy`).
    pub fn finish(&mut self, stream: Stream) -> Result<Step> {
        if !self.store.data().streams.contains_key(&stream) {
            return Err(Error::new(format!("There is no {stream}.")));
        }
        self.begin_step(stream);
        self.call::<_, ()>(stream.0, "proxy_on_log", stream.0)?;
        let _done: u32 = self.call(stream.0, "proxy_on_done", stream.0)?;
        self.call::<_, ()>(stream.0, "proxy_on_delete", stream.0)?;
        let state = self.store.data_mut();
        state.streams.remove(&stream);
        Ok(state.end_step(stream, End::Finished))
    }

    /// The size of the module's linear memory, which can only grow.
    pub fn memory_bytes(&self) -> usize {
        let exports = self.store.data().exports.as_ref();
        exports.map_or(0, |exports| exports.memory.data_size(&self.store))
    }

    /// Says what becomes of the callouts from now on.
    pub fn set_dispatch(&mut self, result: DispatchResult) {
        self.store.data_mut().dispatch = result;
    }

    /// Sets the clock: the time since the epoch, at which it starts. It moves no other way.
    pub fn set_clock(&mut self, now: Duration) {
        self.store.data_mut().clock = now;
    }

    fn begin_step(&mut self, stream: Stream) {
        let state = self.store.data_mut();
        state.serving = Some(stream);
        state.record = Default::default();
    }

    /// Calls a callback of the module on behalf of a context.
    fn call<P, R>(&mut self, context: u32, name: &str, arguments: P) -> Result<R>
    where
        P: WasmParams,
        R: WasmResults,
    {
        if let Some(trap) = &self.trapped {
            return Err(trap.clone());
        }
        let state = self.store.data_mut();
        (state.context, state.effective) = (context, None);
        let callback = self.instance.get_typed_func::<P, R>(&mut self.store, name);
        let callback = callback.map_err(Error::while_doing(format!("find {name}")))?;
        refuel(&mut self.store);
        let result = callback.call(&mut self.store, arguments);
        let left = self.store.get_fuel().unwrap_or_default();
        let record = &mut self.store.data_mut().record;
        record.fuel += FUEL_PER_CALLBACK.saturating_sub(left);
        result.map_err(|error| {
            let logs = record.logs.join("; ");
            let trap = Error::new(format!("{name} trapped: {error:#}. The filter's log: {logs}"));
            self.trapped = Some(trap.clone());
            trap
        })
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("memory_bytes", &self.memory_bytes()).finish_non_exhaustive()
    }
}

fn refuel(store: &mut Store<State>) {
    store.set_fuel(FUEL_PER_CALLBACK).expect("the engine is configured to count fuel");
}

fn size(size: usize) -> u32 {
    u32::try_from(size).expect("tests send less than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module without imports, or with one; whatever it is told, it traps.
    fn module(import: Option<(&str, &str)>) -> Module {
        let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        let section = |id: u8, bytes: &[u8]| [&[id, bytes.len() as u8], bytes].concat();
        // Functions by index, the import's first: () -> (), (i32) -> (i32), (i32, i32) -> ().
        let types = section(1, b"\x03\x60\x00\x00\x60\x01\x7f\x01\x7f\x60\x02\x7f\x7f\x00");
        let first = u8::from(import.is_some());
        let imports = import.map(|(module, name)| {
            section(2, &[&[1][..], &text(module), &text(name), b"\x00\x00"].concat())
        });
        let mut exports = vec![4];
        exports.extend([&text("memory")[..], b"\x02\x00"].concat());
        let names = ["_initialize", "proxy_on_memory_allocate", "proxy_on_context_create"];
        for (index, name) in (first..).zip(names) {
            exports.extend([&text(name)[..], &[0, index]].concat());
        }
        let bytes = [
            b"\0asm\x01\0\0\0".to_vec(),
            types,
            imports.unwrap_or_default(),
            section(3, b"\x03\x00\x01\x02"),
            section(5, b"\x01\x00\x01"),
            section(7, &exports),
            section(10, b"\x03\x02\x00\x0b\x04\x00\x41\x00\x0b\x03\x00\x00\x0b"),
        ];
        Module::compile(&bytes.concat()).unwrap()
    }

    #[test]
    fn a_trap_names_its_callback() {
        let error = Host::start(&module(None), "").unwrap_err().to_string();
        assert!(error.starts_with("proxy_on_context_create trapped: "), "{error}");
        assert!(error.contains("unreachable"), "{error}");
    }

    #[test]
    fn an_import_this_host_does_not_know_is_named() {
        let error = Host::start(&module(Some(("env", "proxy_nonsense"))), "").unwrap_err();
        assert!(error.to_string().contains("env.proxy_nonsense"), "{error}");
    }
}
