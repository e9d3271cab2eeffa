//! Requests that are sent to a worker while it has another one still, so that it need not sleep between the two.
//!
//! A part of the pool. Only where that cannot be for long: a site's pages are quick, and what waits behind a slow one after all is
//! taken back from the memory that the worker shares ([`crate::exchange`] does that), unless it has read of it. Where as many run as
//! there are processors for, this comes before waking one more worker, which could only take turns with the others.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Inner, Pool};
use crate::spill::Body;
use crate::worker::{Activity, Job, Worker};

impl Pool {
    /// One more request for a worker that has one still, if that will not be long: a small request of a site whose pages are quick.
    pub(crate) fn next_ahead(&self, worker: &Worker) -> Option<Job> {
        let mut inner = self.inner.borrow_mut();
        if !inner.queue.front().is_some_and(is_small)
            || !inner.has_room_ahead(worker, Instant::now(), inner.patience())
        {
            return None;
        }
        let job = inner.queue.pop_front()?;
        worker.one_more_ahead();
        inner.ahead += 1;
        self.report(&inner);
        Some(job)
    }

    /// A worker is done and goes on with the request that was sent ahead.
    pub(crate) fn goes_on(&self, worker: &Worker, job: &Job) {
        let now = Instant::now();
        let mut inner = self.inner.borrow_mut();
        let served = now.duration_since(worker.since());
        inner.served(served, self.dispatch.scheduler().crowding());
        self.one_less_ahead(&mut inner, worker);
        let waited = now.duration_since(job.since);
        self.dispatch.scheduler().goes_on(self.slot, served, waited);
        worker.turn_to(Activity::Busy, now);
    }

    /// A worker has one request less ahead: it is back, or lost.
    pub(crate) fn comes_back(&self, worker: &Worker, job: Option<Job>) {
        let mut inner = self.inner.borrow_mut();
        if let Some(job) = job {
            inner.queue.push_front(job);
            self.dispatch.somebody_waits();
        }
        self.one_less_ahead(&mut inner, worker);
    }

    fn one_less_ahead(&self, inner: &mut Inner, worker: &Worker) {
        worker.one_less_ahead();
        inner.ahead = inner.ahead.saturating_sub(1);
        self.report(inner);
    }
}

impl Inner {
    /// A request took so long, on a host where that is so many times as long as alone.
    pub(super) fn served(&mut self, served: Duration, crowding: f64) {
        let seconds = served.as_secs_f64() / crowding;
        let weight = if self.service == 0.0 { 1.0 } else { 0.125 };
        self.service += (seconds - self.service) * weight;
    }

    /// How many requests may wait behind one that runs, so that it is to wait for nothing.
    fn depth(&self) -> usize {
        match self.service {
            // Nor does a worker of one request have a next one.
            _ if self.is_once => 0,
            0.0 => 0,
            service => (1..=AHEAD_MAX)
                .rev()
                .find(|count| *count as f64 * service < QUICK_SECONDS)
                .unwrap_or(0),
        }
    }

    /// For how long a worker may be busy while requests wait behind the one that it runs.
    fn patience(&self) -> Duration {
        if self.idle.is_empty() {
            WAIT_MAX
        } else {
            WAIT_IDLE_MAX
        }
    }

    fn has_room_ahead(&self, worker: &Worker, now: Instant, busy_max: Duration) -> bool {
        worker.ahead() < self.depth()
            && worker.activity() == Activity::Busy
            && worker.stopped().is_none()
            && now.duration_since(worker.since()) < busy_max
            && now.duration_since(worker.born) < AGE_MAX
    }

    /// Whether a request that comes is better sent ahead though a worker is idle: so many run that one more would find no processor,
    /// and one of them will be done with its own in no time.
    pub(super) fn prefers_ahead(&self, job: &Job, cores: usize) -> bool {
        let running = self
            .workers
            .len()
            .saturating_sub(self.idle.len() + self.coming);
        let depth = self.depth();
        depth > 0
            && running >= cores.saturating_sub(1).max(1)
            && is_small(job)
            && self
                .workers
                .values()
                .any(|worker| self.has_room_ahead(worker, job.since, WAIT_IDLE_MAX))
    }

    /// A request waits: a busy worker may want it ahead.
    pub(super) fn offer_ahead(&self) {
        if self.depth() > 0 {
            let now = Instant::now();
            let mut workers = self.workers.values();
            let busy = workers.find(|worker| self.has_room_ahead(worker, now, self.patience()));
            busy.iter().for_each(|worker| worker.wake());
        }
    }

    /// Have requests come back that were sent ahead to workers which are slower than was thought.
    pub(super) fn recall(&self, now: Instant) {
        if self.ahead == 0 {
            return;
        }
        let busy_max = self.patience();
        let is_slow = |worker: &&Rc<Worker>| {
            worker.ahead() > 0 && now.duration_since(worker.since()) > busy_max
        };
        self.workers
            .values()
            .filter(is_slow)
            .for_each(|worker| worker.recall());
    }
}

fn is_small(job: &Job) -> bool {
    matches!(job.body, Body::Empty) && !job.channel.has_left()
}

/// What is sent ahead to one worker takes less than this on the average, all together.
const QUICK_SECONDS: f64 = 0.001;
/// The most that is sent ahead to one worker: with more it sleeps no less.
const AHEAD_MAX: usize = 4;
/// A request that was sent ahead waits so long for the one before it, and only so long where a worker is idle.
const WAIT_MAX: Duration = Duration::from_millis(5);
const WAIT_IDLE_MAX: Duration = Duration::from_millis(1);
/// A worker this old is about to be replaced, for which it must be idle for a moment.
const AGE_MAX: Duration = Duration::from_secs(55 * 60);

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use hostel_wire::keeper_zygote::WorkerId;

    use super::*;
    use crate::answer::{Budget, Channel};

    fn worker(number: u32, activity: Activity, now: Instant) -> (WorkerId, Rc<Worker>) {
        let stream = UnixStream::pair().unwrap().0;
        let worker = Worker::new(WorkerId(number), stream.into());
        worker.turn_to(activity, now);
        (WorkerId(number), Rc::new(worker))
    }

    fn job(body: Body, now: Instant) -> Job {
        Job {
            payload: Vec::new(),
            body,
            channel: Channel::new(&Budget::in_memory(0)),
            since: now,
        }
    }

    #[test]
    fn a_request_goes_behind_another_where_one_more_worker_would_find_no_processor() {
        let now = Instant::now();
        let (busy, idle) = (
            worker(1, Activity::Busy, now),
            worker(2, Activity::Idle, now),
        );
        let mut inner = Inner {
            idle: vec![Rc::clone(&idle.1)],
            workers: [busy.clone(), idle].into(),
            ..Inner::default()
        };
        let quick = job(Body::Empty, now);
        assert!(!inner.prefers_ahead(&quick, 2), "nothing is known yet");
        inner.served(Duration::from_micros(100), 1.0);
        assert!(inner.prefers_ahead(&quick, 1) && inner.prefers_ahead(&quick, 2));
        assert!(!inner.prefers_ahead(&quick, 3), "a processor is free");
        let later = job(Body::Empty, now + WAIT_IDLE_MAX);
        assert!(!inner.prefers_ahead(&later, 2), "it is slow this time");
        for _ in 0..AHEAD_MAX {
            busy.1.one_more_ahead();
        }
        assert!(!inner.prefers_ahead(&quick, 2), "enough wait already");
    }

    #[test]
    fn nothing_goes_to_a_worker_that_ends_after_its_request() {
        let mut inner = Inner {
            is_once: true,
            ..Inner::default()
        };
        inner.served(Duration::from_micros(50), 1.0);
        assert_eq!(inner.depth(), 0);
    }

    #[test]
    fn what_is_sent_ahead_takes_a_millisecond_together_and_turns_on_processors_do_not_count() {
        let depth = |micros, crowding| {
            let mut inner = Inner::default();
            inner.served(Duration::from_micros(micros), crowding);
            inner.depth()
        };
        assert_eq!(depth(50, 1.0), AHEAD_MAX);
        assert_eq!(depth(400, 1.0), 2);
        assert_eq!(depth(999, 1.0), 1);
        assert_eq!(depth(1000, 1.0), 0);
        assert_eq!(depth(1000, 10.0), AHEAD_MAX);
    }
}
