//! Requests that are sent to a worker while it has another one still, so that it need not sleep between the two.
//!
//! A part of the pool. Only where that cannot be for long: a site's pages are quick, and what waits behind a slow one after all is
//! taken back from the memory that the worker shares ([`crate::exchange`] does that), unless it has read of it.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Inner, Pool};
use crate::spill::Body;
use crate::worker::{Activity, Job, Worker};

impl Pool {
    /// The next request for a worker that has one still, if that will not be long: a small request of a site whose pages are quick.
    pub(crate) fn next_ahead(&self, worker: &Worker) -> Option<Job> {
        let mut inner = self.inner.borrow_mut();
        let is_small = |job: &Job| matches!(job.body, Body::Empty) && !job.channel.has_left();
        if !inner.is_quick()
            || !inner.queue.front().is_some_and(is_small)
            || worker.stopped().is_some()
            || worker.born.elapsed() > AGE_MAX
        {
            return None;
        }
        let job = inner.queue.pop_front()?;
        worker.set_ahead(true);
        inner.ahead += 1;
        self.report(&inner);
        Some(job)
    }

    /// A worker is done and goes on with the request that was sent ahead.
    pub(crate) fn goes_on(&self, worker: &Worker, job: &Job) {
        let now = Instant::now();
        let mut inner = self.inner.borrow_mut();
        let served = now.duration_since(worker.since());
        inner.served(served);
        self.no_more_ahead(&mut inner, worker);
        let waited = now.duration_since(job.since);
        self.dispatch.scheduler().goes_on(self.slot, served, waited);
        worker.turn_to(Activity::Busy, now);
    }

    /// A worker has no request ahead any more: it is back, or lost.
    pub(crate) fn comes_back(&self, worker: &Worker, job: Option<Job>) {
        let mut inner = self.inner.borrow_mut();
        if let Some(job) = job {
            inner.queue.push_front(job);
            self.dispatch.somebody_waits();
        }
        self.no_more_ahead(&mut inner, worker);
    }

    fn no_more_ahead(&self, inner: &mut Inner, worker: &Worker) {
        worker.set_ahead(false);
        inner.ahead = inner.ahead.saturating_sub(1);
        self.report(inner);
    }
}

impl Inner {
    /// A request took so long.
    pub(super) fn served(&mut self, served: Duration) {
        let seconds = served.as_secs_f64();
        let weight = if self.service == 0.0 { 1.0 } else { 0.125 };
        self.service += (seconds - self.service) * weight;
    }

    /// Whether requests take so little time that to wait for one that runs is to wait for nothing.
    fn is_quick(&self) -> bool {
        self.service > 0.0 && self.service < QUICK_SECONDS
    }

    /// A request waits: a busy worker may want it ahead.
    pub(super) fn offer_ahead(&self) {
        if self.is_quick() {
            let mut workers = self.workers.values();
            let busy = workers.find(|w| w.activity() == Activity::Busy && !w.has_ahead.get());
            busy.iter().for_each(|worker| worker.wake());
        }
    }

    /// Those whose workers are slower than was thought come back.
    pub(super) fn recall_from_slow(&self, now: Instant) {
        self.recall(now, WAIT_MAX);
    }

    /// The same, where a worker is idle that could take them.
    pub(super) fn recall_for_idle(&self, now: Instant) {
        self.recall(now, WAIT_IDLE_MAX);
    }

    /// Have requests come back that were sent ahead to workers which have been busy with the one before for longer than this.
    fn recall(&self, now: Instant, busy_max: Duration) {
        if self.ahead == 0 {
            return;
        }
        let is_slow = |worker: &&Rc<Worker>| {
            worker.has_ahead.get() && now.duration_since(worker.since()) > busy_max
        };
        self.workers
            .values()
            .filter(is_slow)
            .for_each(|worker| worker.recall());
    }
}

/// Requests that take less than this on the average are sent ahead.
const QUICK_SECONDS: f64 = 0.001;
/// A request that was sent ahead waits so long for the one before it, and only so long where a worker is idle.
const WAIT_MAX: Duration = Duration::from_millis(5);
const WAIT_IDLE_MAX: Duration = Duration::from_millis(1);
/// A worker this old is about to be replaced, for which it must be idle for a moment.
const AGE_MAX: Duration = Duration::from_secs(55 * 60);
