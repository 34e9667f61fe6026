//! What a process's memory is, as the kernel says (proc(5)).

use std::fs;

use testkit::{Error, Result};

/// The resident memory in bytes.
pub fn resident(pid: u32) -> Result<u64> {
    status(pid, "VmRSS:")
}

/// The most there has been since [`forget_peak`], in bytes.
pub fn peak(pid: u32) -> Result<u64> {
    status(pid, "VmHWM:")
}

/// Lets the peak be measured from now on (`clear_refs`).
pub fn forget_peak(pid: u32) -> Result<()> {
    let file = format!("/proc/{pid}/clear_refs");
    fs::write(&file, "5").map_err(Error::while_doing(format!("write {file}")))
}

fn status(pid: u32, field: &str) -> Result<u64> {
    let file = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&file);
    let status = status.map_err(Error::while_doing(format!("read {file}")))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| Error::new(format!("{file} has no {field}")))
}
