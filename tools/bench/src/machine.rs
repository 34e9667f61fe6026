//! The machine: which cores programs run on, and what a process has used.

use anyhow::{Context, Result};
use procfs::process::Process;
use procfs::{Current, CpuInfo};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Which cores programs run on: what is measured on the first, all else on the others, so that neither
/// load nor store takes time from it.
#[derive(Clone, Debug)]
pub struct Cores {
    all: CpuSet,
    split: Option<(CpuSet, CpuSet)>,
}

impl Cores {
    /// The cores this process may use.
    pub fn new() -> Result<Cores> {
        let all = sched_getaffinity(None).context("asking for the cores")?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| all.is_set(core));
        let (mut first, mut others) = (CpuSet::new(), CpuSet::new());
        cores.by_ref().take(1).for_each(|core| first.set(core));
        cores.for_each(|core| others.set(core));
        let split = (others.count() > 0).then_some((first, others));
        Ok(Cores { all, split })
    }

    /// Everything on all of them.
    pub fn shared() -> Result<Cores> {
        Ok(Cores { split: None, ..Cores::new()? })
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.all.count()
    }

    /// Starts what is measured.
    pub fn measured<T>(&self, start: impl FnOnce() -> T) -> Result<T> {
        self.on(self.split.as_ref().map(|(measured, _)| measured), start)
    }

    /// Starts what only serves the measurement.
    pub fn serving<T>(&self, start: impl FnOnce() -> T) -> Result<T> {
        self.on(self.split.as_ref().map(|(_, serving)| serving), start)
    }

    /// A process runs where the thread that started it did.
    fn on<T>(&self, cores: Option<&CpuSet>, start: impl FnOnce() -> T) -> Result<T> {
        let go_to = |cores| sched_setaffinity(None, cores).context("choosing a core to run on");
        go_to(cores.unwrap_or(&self.all))?;
        let started = start();
        go_to(&self.all)?;
        Ok(started)
    }
}

/// What the processor is called.
pub fn processor() -> String {
    let cpus = CpuInfo::current().ok();
    cpus.and_then(|cpus| cpus.model_name(0).map(str::to_owned)).unwrap_or("unknown processor".to_owned())
}

/// The time that all threads of a process have run, in µs.
pub fn cpu_time(pid: u32) -> Result<f64> {
    let threads = process(pid)?.tasks().context("looking at a process's threads")?;
    // A thread that has ended meanwhile has none.
    let times = threads.flatten().filter_map(|thread| thread.schedstat().ok());
    Ok(times.map(|time| time.sum_exec_runtime as f64 / 1e3).sum())
}

/// The memory of a process in MiB, what it shares with others divided among them (PSS).
pub fn memory(pid: u32) -> Result<f64> {
    let rollup = process(pid)?.smaps_rollup().context("looking at a process's memory")?;
    let map = rollup.memory_map_rollup.iter().next();
    let pss = map.and_then(|map| map.extension.map.get("Pss")).context("no Pss in smaps_rollup")?;
    Ok(*pss as f64 / f64::from(1 << 20))
}

fn process(pid: u32) -> Result<Process> {
    Process::new(pid.cast_signed()).with_context(|| format!("looking at process {pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_memory_is_there() {
        let pid = std::process::id();
        let before = cpu_time(pid).unwrap();
        let (begin, mut used) = (std::time::Instant::now(), 0.0);
        while used <= 1_000.0 && begin.elapsed() < testkit::PATIENCE {
            // A thread of another test that ends takes its time along.
            used = cpu_time(pid).unwrap() - before;
        }
        assert!(used > 1_000.0, "{used} µs");
        assert!(memory(pid).unwrap() > 0.1);
        assert_ne!(processor(), "unknown processor");
    }

    #[test]
    fn a_core_is_kept_for_what_is_measured() {
        let cores = Cores::new().unwrap();
        let mine = || sched_getaffinity(None).unwrap().count();
        let (measured, serving) = (cores.measured(mine).unwrap(), cores.serving(mine).unwrap());
        if cores.count() > 1 {
            assert_eq!((measured, serving + 1), (1, cores.count()));
        }
        assert_eq!(mine(), cores.count(), "and given back");
    }
}
