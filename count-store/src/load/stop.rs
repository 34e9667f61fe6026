//! A signal that ends a load, and the moment from which on it is too late.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, InterruptHandle};

/// Shared by the thread that loads and the one that hears signals.
#[derive(Default)]
pub struct Stop(Mutex<State>);

#[derive(Default)]
struct State {
    is_told: bool,
    stage: Stage,
    statement: Option<InterruptHandle>,
}

/// How far a load is.
#[derive(Clone, Copy, Debug, Default)]
pub enum Stage {
    /// Nothing is loaded.
    #[default]
    Reading,
    /// It is being decided whether all is.
    Committing,
    /// All is.
    Loaded,
}

impl Stop {
    /// From now on the statements of this connection end when a signal comes.
    pub fn ends(&self, connection: &Connection) {
        self.state().statement = Some(connection.get_interrupt_handle());
    }

    /// Says that a signal has come.
    pub fn tell(&self) {
        let mut state = self.state();
        state.is_told = true;
        if let Some(statement) = &state.statement {
            statement.interrupt();
        }
    }

    pub fn is_told(&self) -> bool {
        self.state().is_told
    }

    pub fn stage(&self) -> Stage {
        self.state().stage
    }

    /// Whether the rows may be committed; called just before.
    pub fn lets_commit(&self) -> bool {
        let mut state = self.state();
        if !state.is_told {
            state.stage = Stage::Committing;
        }
        !state.is_told
    }

    /// The rows are committed.
    pub fn loaded(&self) {
        self.state().stage = Stage::Loaded;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
