//! Why the bench cannot go on: one sentence for the person who started it.

use std::fmt;

/// What was tried, on what, and why it failed.
#[derive(Debug)]
pub(crate) struct Failure(pub String);

/// A result with that sentence.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Adds what was tried to an error.
pub(crate) trait Tried<T> {
    /// `what` reads as "cannot {what}: {why}".
    fn tried(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Tried<T> for std::result::Result<T, E> {
    fn tried(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|why| Failure(format!("cannot {what}: {why}")))
    }
}
