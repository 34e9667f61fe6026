//! One error for the whole crate: a sentence that says what went wrong and what to do.

use std::fmt;

/// A sentence for the person who reads the failed test.
///
/// `Debug` prints the sentence as well, so `unwrap()` and a `main` that returns it stay readable.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(String);

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error that says `sentence`.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }

    /// `map_err(Error::while_doing("write the config"))` reads "Could not write the config: …".
    pub fn while_doing<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |cause| Self(format!("Could not {what}: {cause}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
