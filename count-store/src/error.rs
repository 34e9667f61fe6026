//! One error for the whole program: a sentence for the person at the terminal.

use std::fmt;

/// A sentence that says what went wrong and, where we know, what to do.
#[derive(Debug)]
pub struct Error(String);

/// The result of everything here that can end the program.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error that says `sentence`.
    pub fn new(sentence: impl Into<String>) -> Error {
        Error(sentence.into())
    }

    /// `map_err(Error::while_doing("read x"))` says "Could not read x: …".
    pub fn while_doing<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Error {
        move |cause| Error(format!("Could not {what}: {cause}."))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
