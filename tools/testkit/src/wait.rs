//! Waiting for something another thread or process does.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::{Result, command};

/// How long a test waits for what comes within a second or two, or never. Much more than that: how busy the
/// machine is must not decide it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `probe` every few milliseconds until it gives a value; after `limit` the error names `what`.
///
/// The probe runs at least once, so a zero limit asks "is it so now?".
pub fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return Ok(value);
        }
        if start.elapsed() >= limit {
            bail!("Waited {limit:?} in vain for {what}.");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for the lock of a file, which is made if need be. To drop the value is to give the lock back.
pub fn lock(path: &Path) -> Result<File> {
    let locking = || format!("locking {}", path.display());
    let file = File::create(path).with_context(locking)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error).with_context(locking),
            Err(TryLockError::WouldBlock) if command::is_stopped() => {
                bail!("Told to stop before {} was free.", path.display());
            }
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(10)),
        }
    }
}
