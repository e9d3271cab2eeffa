//! How many workers of a site do what, for the status. It changes nothing.

use super::Pool;
use crate::worker::Activity;

/// How many workers do what.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// Asked for.
    pub starting: usize,
    /// Waiting for a request.
    pub idle: usize,
    /// Running one.
    pub busy: usize,
    /// About to end.
    pub ending: usize,
    /// Requests that wait.
    pub queued: usize,
    /// The most that ever waited.
    pub queue_peak: usize,
    /// The most that may run at once, where the scheduler has found a bound.
    pub running_max: Option<usize>,
}

impl Pool {
    /// How many workers do what.
    pub fn census(&self) -> Census {
        let inner = self.inner.borrow();
        let mut census = Census {
            queued: inner.queue.len(),
            queue_peak: inner.queue_peak,
            running_max: self.dispatch.scheduler().running(self.slot).1,
            ..Census::default()
        };
        for worker in inner.workers.values() {
            match worker.activity() {
                Activity::Starting => census.starting += 1,
                Activity::Idle => census.idle += 1,
                Activity::Busy => census.busy += 1,
                Activity::Ending => census.ending += 1,
            }
        }
        census
    }
}
