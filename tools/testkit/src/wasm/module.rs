//! The module: compiled once per process, then instantiated as often as tests like.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use wasmtime::error::Context;
use wasmtime::{Config, Engine};

use super::imports;
use crate::Result;

/// A compiled module.
#[derive(Clone)]
pub struct Module(wasmtime::Module);

impl Module {
    /// Compiles a module with Cranelift, which takes seconds in a debug build; once per process
    /// and file, whoever asks. The tests of one process run side by side.
    pub fn load(path: &Path) -> Result<Self> {
        static COMPILED: Mutex<Vec<(PathBuf, Module)>> = Mutex::new(Vec::new());
        let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, module)) = compiled.iter().find(|(other, _)| other == path) {
            return Ok(module.clone());
        }
        let bytes = std::fs::read(path);
        let bytes = bytes.with_context(|| format!("reading {}", path.display()))?;
        let module = Self::compile(&bytes)?;
        compiled.push((path.to_path_buf(), module.clone()));
        Ok(module)
    }

    /// Compiles a module's bytes.
    pub fn compile(bytes: &[u8]) -> Result<Self> {
        let mut config = Config::new();
        config.consume_fuel(true);
        let engine = Engine::new(&config).context("starting Wasmtime")?;
        let module = wasmtime::Module::from_binary(&engine, bytes);
        Ok(Self(module.context("compiling the module")?))
    }

    /// What it imports, as `env.proxy_log`, sorted.
    pub fn imports(&self) -> Vec<String> {
        let mut names: Vec<_> =
            self.0.imports().map(|import| imports::full_name(&import)).collect();
        names.sort();
        names
    }

    /// What it exports, sorted.
    pub fn exports(&self) -> Vec<String> {
        let mut names: Vec<_> = self.0.exports().map(|export| export.name().to_owned()).collect();
        names.sort();
        names
    }

    pub(super) fn inner(&self) -> &wasmtime::Module {
        &self.0
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("imports", &self.imports()).finish_non_exhaustive()
    }
}
