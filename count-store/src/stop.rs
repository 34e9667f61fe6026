//! A signal that ends a load, and the moment from which on it is too late.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Shared by the thread that loads and the one that hears signals.
#[derive(Default)]
pub struct Stop(Mutex<State>);

#[derive(Default)]
struct State {
    is_told: bool,
    stage: Stage,
    interrupt: Option<Box<dyn Fn() + Send>>,
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
    /// From now on, a signal does this too: it ends what the database is doing.
    pub fn calls(&self, interrupt: impl Fn() + Send + 'static) {
        self.state().interrupt = Some(Box::new(interrupt));
    }

    /// Says that a signal has come.
    pub fn tell(&self) {
        let mut state = self.state();
        state.is_told = true;
        if let Some(interrupt) = &state.interrupt {
            interrupt();
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
