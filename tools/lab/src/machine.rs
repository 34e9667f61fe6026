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

/// The memory of a process in MiB, what it shares with others divided among them (PSS).
///
/// # Errors
/// If there is no such process, or it is another user's.
pub fn pss_mib(pid: u32) -> Result<f64> {
    let rollup = process(pid)?.smaps_rollup();
    let maps =
        rollup.with_context(|| format!("read the memory of process {pid}"))?.memory_map_rollup;
    let bytes = maps.iter().find_map(|map| map.extension.map.get("Pss").copied());
    Ok(bytes.with_context(|| format!("process {pid} has no Pss"))? as f64 / f64::from(1 << 20))
}

/// The time that all threads of a process have run, in µs.
///
/// # Errors
/// If there is no such process.
pub fn cpu_time(pid: u32) -> Result<f64> {
    let threads = process(pid)?.tasks();
    let threads = threads.with_context(|| format!("look at the threads of process {pid}"))?;
    // A thread that has ended meanwhile has no time.
    let times = threads.flatten().filter_map(|thread| thread.schedstat().ok());
    Ok(times.map(|time| time.sum_exec_runtime as f64 / 1e3).sum())
}

/// The same of all processes that a process has started and that run, in µs.
///
/// # Errors
/// If processes cannot be looked at.
pub fn cpu_time_of_children(pid: u32) -> Result<f64> {
    let pid = i32::try_from(pid)?;
    let all = procfs::process::all_processes().context("look at all processes")?;
    let is_child = |it: &Process| it.stat().is_ok_and(|stat| stat.ppid == pid);
    let children = all.flatten().filter(is_child).filter_map(|child| u32::try_from(child.pid).ok());
    // One that has ended meanwhile has no time.
    Ok(children.filter_map(|child| cpu_time(child).ok()).sum())
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
    #[test]
    fn work_takes_time() {
        let pid = std::process::id();
        let before = cpu_time(pid).unwrap();
        let (begin, mut used) = (std::time::Instant::now(), 0.0);
        while used <= 1_000.0 && begin.elapsed() < testkit::PATIENCE {
            // A thread of another test that ends takes its time along.
            used = cpu_time(pid).unwrap() - before;
        }
        assert!(used > 1_000.0, "{used} µs");
        assert!(pss_mib(pid).unwrap() > 0.1);
        assert_ne!(processor(), "unknown processor");
    }
}
