//! Lines on standard error. A closed or full pipe must neither fail the program, where
//! `eprintln` would panic, nor hold it up.

use std::fmt;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

/// How many lines may wait to be written; more are dropped.
const WAITING: usize = 1_000;

static LINES: OnceLock<SyncSender<String>> = OnceLock::new();

/// Lines that wait.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// From now on lines are written by a thread of their own.
pub fn without_waiting() {
    let (send, lines) = mpsc::sync_channel(WAITING);
    if LINES.set(send).is_ok() {
        thread::spawn(move || {
            for line in lines {
                write(&line);
                LEFT.fetch_sub(1, Ordering::Relaxed);
            }
        });
    }
}

/// Says something, in a line.
pub fn say(sentence: impl fmt::Display) {
    let line = format!("count-store: {sentence}\n");
    match LINES.get() {
        None => write(&line),
        Some(lines) => {
            LEFT.fetch_add(1, Ordering::Relaxed);
            if lines.try_send(line).is_err() {
                LEFT.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

/// Lets the last lines be written, if that is soon.
pub fn end() {
    let start = Instant::now();
    while LEFT.load(Ordering::Relaxed) > 0 && start.elapsed() < Duration::from_millis(500) {
        thread::sleep(Duration::from_millis(1));
    }
}

fn write(line: &str) {
    let _ = io::stderr().write_all(line.as_bytes());
}
