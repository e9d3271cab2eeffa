//! Workers that serve one request each: whose end is part of the plan, and of which the next ones are started ahead of need.
//!
//! A part of the pool, for sites whose state is to be fresh in every request (`fresh` of their configuration). To fork a worker takes
//! about a millisecond, which a visitor does not wait for if it was done while the one before was being served. How many are kept
//! ready is the scheduler's to say.

use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_wire::fresh::Watch;
use hostel_wire::front_worker::End;
use hostel_wire::keeper_zygote::WorkerId;

use super::{Inner, Parted, Pool};
use crate::sites::Site;
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

/// By which means no state survives a request, as far as the front has seen.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// No worker has said.
    #[default]
    Unknown,
    /// Workers are put back after a request.
    Rewind(Watch),
    /// They end after it.
    Fork,
}

/// What the workers of a site that leaves the means to them have shown.
#[derive(Debug, Default)]
pub(super) struct Shown {
    means: Means,
    /// The youngest worker that has answered.
    youngest: u32,
}

impl Shown {
    /// The first answer of a worker tells. One that was forked earlier may be used after its successors, and knows less than they do: until it is
    /// known whether workers may be put back, each serves one request. Whether this counts.
    fn learn(&mut self, worker: WorkerId, ends: bool, watch: Option<Watch>) -> bool {
        let counts = worker.0 >= self.youngest;
        if counts {
            self.youngest = worker.0;
            self.means = match (ends, watch) {
                (false, Some(watch)) => Means::Rewind(watch),
                (true, _) | (false, None) => Means::Fork,
            };
        }
        counts
    }
}

impl Pool {
    /// A worker has answered. Where the site leaves the means to them, its first answer tells: whether it ends or goes on.
    pub(crate) fn learn_means(&self, site: &Site, worker: &Worker, end: End) {
        if !site.entry.fresh.is_by_best_means() || worker.answered.get() != 1 {
            return;
        }
        let mut inner = self.inner.borrow_mut();
        let ends = end.last;
        if inner.shown.learn(worker.id, ends, end.watch) && inner.is_once != ends {
            inner.is_once = ends;
            self.dispatch.scheduler().set_once(self.slot, ends);
        }
    }

    /// By which means requests of a site that leaves it to its workers are fresh.
    pub fn means(&self) -> Means {
        self.inner.borrow().shown.means
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
    /// No workers yet.
    pub(super) fn new(is_once: bool) -> Self {
        Self {
            is_once,
            ..Self::default()
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_was_forked_earlier_does_not_know_better() {
        let mut shown = Shown::default();
        let watch = Some(Watch::Written);
        assert!(shown.learn(WorkerId(1), true, None));
        assert_eq!(shown.means, Means::Fork);
        assert!(shown.learn(WorkerId(3), false, watch));
        assert!(!shown.learn(WorkerId(2), true, None));
        assert_eq!(shown.means, Means::Rewind(Watch::Written));
        assert!(shown.learn(WorkerId(4), true, watch));
        assert_eq!(shown.means, Means::Fork);
    }
}
