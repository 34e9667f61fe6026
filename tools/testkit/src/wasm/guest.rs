//! The module's memory, as a host call sees it.

use wasmtime::Caller;

use super::state::{Exports, State};

/// A host call in progress.
pub(super) struct Guest<'a> {
    caller: Caller<'a, State>,
}

/// What a host call answers if not `Ok`.
pub(super) enum Refusal {
    /// A status for the module to deal with.
    Status(Status),
    /// The end of the VM.
    Trap(wasmtime::Error),
}

/// `WasmResult` of the ABI; `Ok` is 0.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(super) enum Status {
    NotFound = 1,
    BadArgument = 2,
    InvalidMemoryAccess = 6,
    CasMismatch = 8,
    InternalFailure = 10,
}

/// Bytes in the module's memory: where, and how many.
#[derive(Clone, Copy)]
pub(super) struct Span(pub u32, pub u32);

/// Where the module wants to be told an address and a size.
#[derive(Clone, Copy)]
pub(super) struct Out(pub u32, pub u32);

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<wasmtime::Error> for Refusal {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}

impl Refusal {
    /// What this host does not put up with, whatever Envoy does.
    pub fn trap(sentence: impl Into<String>) -> Self {
        Self::Trap(wasmtime::Error::msg(sentence.into()))
    }
}

impl<'a> Guest<'a> {
    /// Runs the host call `name`, and notes that it was made.
    pub fn serve(
        caller: Caller<'a, State>,
        name: &'static str,
        call: impl FnOnce(&mut Self) -> Result<(), Refusal>,
    ) -> wasmtime::Result<u32> {
        let mut guest = Self { caller };
        guest.state().record.calls.push(name);
        match call(&mut guest) {
            Ok(()) => Ok(0),
            Err(Refusal::Status(status)) => Ok(status as u32),
            Err(Refusal::Trap(error)) => Err(error),
        }
    }

    /// What the host knows.
    pub fn state(&mut self) -> &mut State {
        self.caller.data_mut()
    }

    /// Copies bytes out of the module's memory.
    pub fn read(&mut self, span: Span) -> Result<Vec<u8>, Refusal> {
        let bytes = self.peek(span)?;
        self.state().record.bytes_out += u64::from(span.1);
        Ok(bytes)
    }

    /// The same as text. What is not UTF-8 is replaced: it is for people to read.
    pub fn read_text(&mut self, span: Span) -> Result<String, Refusal> {
        Ok(String::from_utf8_lossy(&self.read(span)?).into_owned())
    }

    /// Reads what is no payload, and so is not counted.
    pub fn peek(&mut self, Span(at, size): Span) -> Result<Vec<u8>, Refusal> {
        let memory = self.exports()?.memory;
        let bytes =
            memory.data(&self.caller).get(at as usize..).and_then(|rest| rest.get(..size as usize));
        Ok(bytes.ok_or(Status::InvalidMemoryAccess)?.to_vec())
    }

    /// Hands bytes over: the module allocates, the host fills. No bytes are the null pointer
    /// (`copyToPointerSize` of proxy-wasm-cpp-host).
    pub fn give(&mut self, bytes: &[u8], out: Out) -> Result<(), Refusal> {
        let size = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
        let at = match size {
            0 => 0,
            _ => self.exports()?.allocate.call(&mut self.caller, size)?,
        };
        self.write(at, bytes)?;
        self.state().record.bytes_in += u64::from(size);
        self.write(out.0, &at.to_le_bytes())?;
        self.write(out.1, &size.to_le_bytes())
    }

    /// Writes where the module said; not counted.
    pub fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Refusal> {
        let memory = self.exports()?.memory;
        let written = memory.write(&mut self.caller, at as usize, bytes);
        Ok(written.map_err(|_| Status::InvalidMemoryAccess)?)
    }

    fn exports(&mut self) -> Result<Exports, Refusal> {
        let exports = self.state().exports.clone();
        exports.ok_or_else(|| Refusal::trap("a host call before the module is instantiated"))
    }
}
