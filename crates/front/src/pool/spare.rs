//! Workers that serve one request each: whose end is part of the plan, and of which the next ones are started ahead of need.
//!
//! A part of the pool, for sites whose state is to be fresh in every request (`fresh` of their configuration). To fork a worker takes
//! about a millisecond, which a visitor does not wait for if it was done while the one before was being served. How many are kept
//! ready is the scheduler's to say.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Inner, Parted, Pool};
use crate::worker::{Activity, Worker};

impl Pool {
    /// Whether a worker may have to be started: for who waits, or for who comes next.
    pub(crate) fn has_something_to_start(&self) -> bool {
        self.has_waiting() || self.inner.borrow().is_once
    }

    /// Whether a worker is to be started for a request that has not come yet, where each serves one.
    pub(super) fn wants_spare(&self) -> bool {
        let inner = self.inner.borrow();
        let there = inner.idle.len() + inner.coming;
        inner.is_once
            && !inner.is_pausing(Instant::now())
            && self
                .dispatch
                .scheduler()
                .hire_spare(self.slot, there.saturating_sub(inner.queue.len()))
    }
}

impl Parted {
    /// For how long a worker that parts has served its last request, if it has answered it: then it has said that it ends.
    pub(super) fn served(self, worker: &Worker, now: Instant) -> Option<Duration> {
        let has_answered = self == Self::Peacefully
            && worker.is_expected_to_end.get()
            && worker.stopped().is_none();
        has_answered.then(|| now.duration_since(worker.since()))
    }
}

impl Inner {
    /// How many workers count. Where each serves one request, those that have are as good as gone: else the next one would wait for the
    /// kernel to take the last one apart.
    pub(super) fn staffed(&self) -> usize {
        let is_gone = |worker: &&Rc<Worker>| worker.activity() == Activity::Ending;
        let gone = match self.is_once {
            true => self.workers.values().filter(is_gone).count(),
            false => 0,
        };
        self.workers.len() - gone
    }
}
