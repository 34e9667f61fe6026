//! What each fuzz target makes of its bytes, one function each. Seeds under `fuzz/seeds/` are in
//! these notations too.

use crate::http::Answer;
use crate::machine::Exchange;
use crate::{accept, configuration, machine, path, query, store_answer};

/// A target's name, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const ALL: [Target; 6] = [
    ("path", path::check),
    ("accept", lines_of_accept),
    ("query", query::check),
    ("configuration", configuration::check),
    ("store_answer", answer),
    ("machine", exchange),
];

/// Each line is an `accept` field.
pub fn lines_of_accept(text: &[u8]) {
    accept::check(&text.split(|&byte| byte == b'\n').collect::<Vec<_>>());
}

/// See [`Answer::read`].
pub fn answer(text: &[u8]) {
    store_answer::check(&Answer::read(text));
}

/// See [`Exchange::read`].
pub fn exchange(text: &[u8]) {
    machine::check(&Exchange::read(text));
}
