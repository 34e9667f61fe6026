//! The processor, and what a process uses (proc(5)).

use anyhow::{Context, Result};
use procfs::process::{ClearRefs, Process, Status};
use procfs::{CpuInfo, Current};

/// What the processor is called.
pub fn processor() -> String {
    let name = CpuInfo::current().ok().and_then(|cpus| Some(cpus.model_name(0)?.to_owned()));
    name.unwrap_or_else(|| "unknown processor".to_owned())
}

/// The resident memory of a process in bytes.
///
/// # Errors
/// If there is no such process.
pub fn resident(pid: u32) -> Result<u64> {
    status(pid, |status| status.vmrss)
}

/// The most there has been since [`forget_peak`], in bytes.
///
/// # Errors
/// If there is no such process.
pub fn peak(pid: u32) -> Result<u64> {
    status(pid, |status| status.vmhwm)
}

/// Lets the peak be measured from now on.
///
/// # Errors
/// If there is no such process, or it is another user's.
pub fn forget_peak(pid: u32) -> Result<()> {
    let forgotten = process(pid)?.clear_refs(ClearRefs::PeakRSS);
    forgotten.with_context(|| format!("forget the peak memory of process {pid}"))
}

fn status(pid: u32, kib: fn(Status) -> Option<u64>) -> Result<u64> {
    let kib = process(pid)?.status().ok().and_then(kib);
    kib.map(|kib| kib * 1024).with_context(|| format!("read the memory of process {pid}"))
}

fn process(pid: u32) -> Result<Process> {
    let found = Process::new(i32::try_from(pid)?);
    found.with_context(|| format!("look for process {pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory() {
        let pid = std::process::id();
        forget_peak(pid).unwrap();
        assert!(resident(pid).unwrap() > 100_000 && peak(pid).unwrap() > 100_000);
        assert!(resident(u32::MAX >> 1).is_err());
    }
}
