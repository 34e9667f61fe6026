//! The machine: which cores who runs on, and what a process has used (proc(5)).

use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use testkit::{Error, Result};

/// Who runs where: Envoy on the first core, all else on the others, so that neither load nor store
/// takes time from what is measured.
#[derive(Clone, Debug)]
pub struct Cores {
    all: CpuSet,
    split: Option<(CpuSet, CpuSet)>,
}

impl Cores {
    /// The cores this process may use.
    pub fn new() -> Result<Cores> {
        let all = sched_getaffinity(None).map_err(Error::while_doing("ask for the cores"))?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| all.is_set(core));
        let Some(first) = cores.next() else {
            return Ok(Cores { all, split: None });
        };
        let (mut one, mut others) = (CpuSet::new(), CpuSet::new());
        one.set(first);
        cores.for_each(|core| others.set(core));
        let split = (others.count() > 0).then_some((one, others));
        Ok(Cores { all, split })
    }

    /// Everybody on all of them.
    pub fn together() -> Result<Cores> {
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
        let Some(cores) = cores else {
            return Ok(start());
        };
        let go_to = |cores| {
            sched_setaffinity(None, cores).map_err(Error::while_doing("choose a core to run on"))
        };
        go_to(cores)?;
        let started = start();
        go_to(&self.all)?;
        Ok(started)
    }

    /// A sentence for the report.
    pub fn sentence(&self) -> String {
        match &self.split {
            Some(_) => {
                format!("Of {} cores, the Envoy that is measured has one for itself.", self.count())
            }
            None => format!(
                "Envoy, load and store share {} core(s): figures are unsteady.",
                self.count()
            ),
        }
    }
}

/// What the processor is called.
pub fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    let name = line.and_then(|line| line.split_once(": ")).map(|(_, name)| name.trim());
    name.unwrap_or("unknown processor").to_owned()
}

/// The time that all threads of a process have run, in nanoseconds.
pub fn cpu_time(pid: u32) -> Result<u64> {
    let folder = format!("/proc/{pid}/task");
    let failed = || Error::while_doing(format!("read {folder}"));
    let mut sum = 0;
    for thread in fs::read_dir(&folder).map_err(failed())? {
        let file = thread.map_err(failed())?.path().join("schedstat");
        let Ok(text) = fs::read_to_string(&file) else {
            continue; // The thread has ended.
        };
        let time = text.split(' ').next().and_then(|time| time.parse::<u64>().ok());
        sum += time.ok_or_else(|| Error::new(format!("{} holds {text:?}.", file.display())))?;
    }
    Ok(sum)
}

/// The memory of a process in bytes, what it shares with others divided among them (PSS).
pub fn memory(pid: u32) -> Result<u64> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&file).map_err(Error::while_doing(format!("read {file}")))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| Error::new(format!("{file} has no Pss.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_memory_is_there() {
        let pid = std::process::id();
        let before = cpu_time(pid).unwrap();
        let (begin, mut used) = (std::time::Instant::now(), 0);
        while used <= 1_000_000 && begin.elapsed() < testkit::PATIENCE {
            // A thread of another test that ends takes its time along.
            used = cpu_time(pid).unwrap().saturating_sub(before);
        }
        assert!(used > 1_000_000, "{used} ns");
        assert!(memory(pid).unwrap() > 100_000);
    }

    #[test]
    fn a_core_is_kept_for_what_is_measured() {
        let cores = Cores::new().unwrap();
        let seen = |set: &CpuSet| (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).count();
        let mine = || sched_getaffinity(None).unwrap();
        let (measured, serving) = (cores.measured(mine).unwrap(), cores.serving(mine).unwrap());
        if cores.count() > 1 {
            assert_eq!(seen(&measured), 1);
            assert_eq!(seen(&serving) + 1, cores.count() as usize);
        }
        assert_eq!(mine().count(), cores.count(), "and given back");
    }
}
