//! Which cores programs run on.

use anyhow::{Context, Result};
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

#[cfg(test)]
mod tests {
    use super::*;

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
