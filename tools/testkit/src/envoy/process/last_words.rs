//! The end of Envoy's log, for who reads a failed test: before the cause, which is read last.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Write};
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once, Weak};

/// How many lines are quoted.
const LINES: usize = 20;

thread_local! {
    /// The logs of the Envoys that this thread started.
    static LOGS: RefCell<Vec<Weak<PathBuf>>> = const { RefCell::new(Vec::new()) };
}

/// The whole log.
pub(super) fn log(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Its end.
pub(super) fn last_words(path: &Path) -> String {
    let log = log(path);
    let lines: Vec<&str> = log.lines().collect();
    format!("Envoy's log ends:\n{}", lines[lines.len().saturating_sub(LINES)..].join("\n"))
}

/// From now on a panic of this thread prints the log's end first, as long as its Envoy is there.
pub(super) fn precede_panics(log: &Arc<PathBuf>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell_cause = panic::take_hook();
        panic::set_hook(Box::new(move |cause| {
            // Neither is to panic in turn.
            let _ = LOGS.try_with(|logs| {
                for log in logs.try_borrow().iter().flat_map(|logs| logs.iter()) {
                    if let Some(log) = log.upgrade() {
                        let _ = writeln!(io::stderr(), "{}", last_words(&log));
                    }
                }
            });
            tell_cause(cause);
        }));
    });
    LOGS.with_borrow_mut(|logs| {
        logs.retain(|log| log.strong_count() > 0);
        logs.push(Arc::downgrade(log));
    });
}
