//! A signal that ends a load, and the moment from which on it is too late.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, InterruptHandle};

/// Shared by the thread that loads and the one that hears signals.
#[derive(Default)]
pub struct Stop {
    is_told: AtomicBool,
    is_too_late: AtomicBool,
    is_done: AtomicBool,
    statement: Mutex<Option<InterruptHandle>>,
}

impl Stop {
    /// From now on the statements of this connection end when a signal comes.
    pub fn ends(&self, connection: &Connection) {
        let handle = connection.get_interrupt_handle();
        *self.statement.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
    }

    /// Says that a signal has come.
    pub fn tell(&self) {
        self.is_told.store(true, Ordering::SeqCst);
        let statement = self.statement.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(statement) = &*statement {
            statement.interrupt();
        }
    }

    pub fn is_told(&self) -> bool {
        self.is_told.load(Ordering::SeqCst)
    }

    /// Called before the rows are committed: whether they may be. If so it is too late.
    pub fn lets_commit(&self) -> bool {
        self.is_too_late.store(true, Ordering::SeqCst);
        let is_told = self.is_told();
        if is_told {
            self.is_too_late.store(false, Ordering::SeqCst);
        }
        !is_told
    }

    /// Called after they are.
    pub fn is_done_now(&self) {
        self.is_done.store(true, Ordering::SeqCst);
    }

    /// Whether the rows are committed.
    pub fn is_done(&self) -> bool {
        self.is_done.load(Ordering::SeqCst)
    }

    /// Whether the rows are committed, or are just being so.
    pub fn is_too_late(&self) -> bool {
        self.is_too_late.load(Ordering::SeqCst)
    }
}
