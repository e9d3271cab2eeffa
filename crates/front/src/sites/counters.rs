//! What happened in a site, as numbers that only grow.
//!
//! Counted by who sees it happen, read by the status. One thread, no locks.

use std::cell::Cell;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(Cell<u64>);

impl Count {
    /// Add.
    pub fn add(&self, amount: u64) {
        self.0.set(self.0.get().wrapping_add(amount));
    }

    /// The sum.
    pub fn sum(&self) -> u64 {
        self.0.get()
    }
}

/// What happened in a site since the front began.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests, counted by [`Site::begin`].
    pub requests: Count,
    /// Answers with a status of 500 and more; counted by who answers.
    pub errors: Count,
    /// Bytes of bodies received from clients; counted by who reads.
    pub bytes_received: Count,
    /// Bytes sent to clients; counted by who sends.
    pub bytes_sent: Count,
}
