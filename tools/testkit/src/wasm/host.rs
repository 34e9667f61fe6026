//! One VM, its root contexts, and how a callback is run.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{anyhow, bail};
use wasmtime::error::Context;
use wasmtime::{Instance, Store, WasmParams, WasmResults};

use super::imports;
use super::module::Module;
use super::state::{Exports, Serving, State};
use super::step::DispatchResult;
use crate::{Error, Result};

/// A callback that takes longer is taken to be endless, and traps.
const FUEL_PER_CALLBACK: u64 = 1_000_000_000;

/// One VM with one configured root context in it, as each worker of an Envoy has.
pub struct Host {
    pub(super) store: Store<State>,
    pub(super) instance: Instance,
    /// The root context that new requests go to.
    pub(super) root: u32,
    /// Contexts are numbered through, root contexts and requests alike.
    last_context: u32,
    /// Envoy never calls into a VM that has trapped.
    trapped: Option<String>,
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
        let instance =
            instance.map_err(|error| anyhow!("Could not instantiate the module: {error:#}"))?;
        let memory = instance.get_memory(&mut store, "memory");
        let allocate = instance.get_typed_func(&mut store, "proxy_on_memory_allocate");
        store.data_mut().exports = Some(Exports {
            memory: memory.context("The module exports no memory.")?,
            allocate: allocate.context("finding proxy_on_memory_allocate")?,
        });

        let mut host = Self { store, instance, root: 0, last_context: 0, trapped: None };
        host.call::<_, ()>(0, "_initialize", ())?;
        host.replace_root(configuration)?;
        Ok(host)
    }

    /// A new root context in the same VM, as when Envoy's configuration changes; requests go to it
    /// from now on, unless it refuses its own. The old one goes when Envoy drops its last listener.
    pub fn replace_root(&mut self, configuration: &str) -> Result<u32> {
        let context = self.next_context()?;
        self.store.data_mut().roots.insert(context);
        self.call::<_, ()>(context, "proxy_on_context_create", (context, 0))?;
        // No test sets a vm configuration.
        let started = self.call_if_there(context, "proxy_on_vm_start", (context, 0))?;
        if started == Some(0) {
            bail!("The filter does not start.");
        }
        let old = std::mem::replace(&mut self.root, context);
        if let Err(refused) = self.configure(configuration) {
            self.root = old;
            return Err(refused);
        }
        Ok(old)
    }

    /// Hands the root context a configuration.
    ///
    /// # Errors
    /// In the filter's own words if it refuses it.
    fn configure(&mut self, configuration: &str) -> Result<()> {
        let root = self.root;
        self.store.data_mut().configuration = Some(configuration.into());
        let taken = self.call(root, "proxy_on_configure", (root, size(configuration.len())));
        let state = self.store.data_mut();
        state.configuration = None;
        let logs = std::mem::take(&mut state.record).logs;
        match taken? {
            0u32 => Err(anyhow!("The filter does not start: {}", logs.join("; "))),
            _ => Ok(()),
        }
    }

    /// A root context goes. The callouts it has sent end with it, without a callback.
    pub fn delete_root(&mut self, root: u32) -> Result<()> {
        self.end_context(root)?;
        let state = self.store.data_mut();
        state.roots.remove(&root);
        state.ticks.remove(&root);
        Ok(())
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

    /// Says whether the host takes no replies from now on.
    pub fn refuse_replies(&mut self, refused: bool) {
        self.store.data_mut().replies_refused = refused;
    }

    /// Sets the clock: the time since the epoch, at which it starts. It moves no other way.
    pub fn set_clock(&mut self, now: Duration) {
        self.store.data_mut().clock = now;
    }

    /// How often ticks come: the shortest period of its root contexts, zero without any.
    pub fn tick_period(&self) -> Duration {
        let millis = self.store.data().ticks.values().min().copied().unwrap_or_default();
        Duration::from_millis(millis.into())
    }

    /// The metrics that the module has defined, by name, each with what it has added or recorded so far.
    pub fn metrics(&self) -> BTreeMap<&str, &[u64]> {
        let metrics = self.store.data().metrics.iter();
        metrics.map(|metric| (metric.name.as_str(), metric.values.as_slice())).collect()
    }

    pub(super) fn next_context(&mut self) -> Result<u32> {
        let next = self.last_context.checked_add(1);
        self.last_context = next.context("No context is left.")?;
        Ok(self.last_context)
    }

    pub(super) fn end_context(&mut self, context: u32) -> Result<()> {
        self.call_if_there::<_, ()>(context, "proxy_on_log", context)?;
        self.call_if_there::<_, u32>(context, "proxy_on_done", context)?;
        self.call_if_there::<_, ()>(context, "proxy_on_delete", context)?;
        Ok(())
    }

    pub(super) fn begin_step(&mut self, serving: Serving) {
        let state = self.store.data_mut();
        state.serving = serving;
        state.record = Default::default();
    }

    /// Calls a callback that Envoy skips when a module lacks it.
    pub(super) fn call_if_there<P, R>(
        &mut self,
        context: u32,
        name: &str,
        arguments: P,
    ) -> Result<Option<R>>
    where
        P: WasmParams,
        R: WasmResults,
    {
        match self.instance.get_func(&mut self.store, name) {
            Some(_) => self.call(context, name, arguments).map(Some),
            None => Ok(None),
        }
    }

    /// Calls a callback of the module on behalf of a context.
    pub(super) fn call<P, R>(&mut self, context: u32, name: &str, arguments: P) -> Result<R>
    where
        P: WasmParams,
        R: WasmResults,
    {
        let callback = self.instance.get_typed_func::<P, R>(&mut self.store, name);
        let callback = callback.with_context(|| format!("finding {name}"))?;
        self.run(context, name, |store| callback.call(store, arguments))
    }

    pub(super) fn run<R>(
        &mut self,
        context: u32,
        name: &str,
        callback: impl FnOnce(&mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R> {
        if let Some(trap) = &self.trapped {
            bail!(trap.clone());
        }
        let state = self.store.data_mut();
        (state.context, state.effective) = (context, None);
        refuel(&mut self.store);
        let result = callback(&mut self.store);
        let left = self.store.get_fuel().unwrap_or_default();
        let record = &mut self.store.data_mut().record;
        record.fuel += FUEL_PER_CALLBACK.saturating_sub(left);
        result.map_err(|error| {
            let logs = record.logs.join("; ");
            let trap = format!("{name} trapped: {error:#}. The filter's log: {logs}");
            self.trapped = Some(trap.clone());
            Error::msg(trap)
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

pub(super) fn size(size: usize) -> u32 {
    u32::try_from(size).expect("tests send less than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with this import; it traps when a context is to be made.
    fn module(import: &str) -> Module {
        let text = format!(
            r#"(module {import} (memory (export "memory") 1)
                (func (export "_initialize"))
                (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 0)
                (func (export "proxy_on_context_create") (param i32 i32) unreachable))"#
        );
        Module::compile(&wat::parse_str(text).unwrap()).unwrap()
    }

    #[test]
    fn a_trap_names_its_callback() {
        let error = Host::start(&module(""), "").unwrap_err().to_string();
        assert!(error.starts_with("proxy_on_context_create trapped: "), "{error}");
        assert!(error.contains("unreachable"), "{error}");
    }

    #[test]
    fn an_import_that_is_not_of_the_abi_is_named() {
        let error =
            Host::start(&module(r#"(import "elsewhere" "nonsense" (func))"#), "").unwrap_err();
        assert!(error.to_string().contains("elsewhere.nonsense"), "{error}");
        // One of the ABI is linked, and traps only if it is called.
        let error = Host::start(&module(r#"(import "env" "proxy_x" (func))"#), "").unwrap_err();
        assert!(error.to_string().starts_with("proxy_on_context_create trapped"), "{error}");
    }
}
