//! One worker of a site as the front sees it: its state, its next job, what its task is to know.
//!
//! Shared, on the front's one thread, by the pool, which decides, and the worker's task in [`crate::exchange`], which owns the stream.
//! It does nothing by itself.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

use hostel_wire::keeper_zygote::{Death, WorkerId};

use crate::answer::Channel;
use crate::spill::Body;

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Asked for, not there yet.
    Starting,
    /// Waiting for a request.
    Idle,
    /// Running a request.
    Busy,
    /// Not used any more; to end by itself or to be killed, and not confirmed dead yet.
    Ending,
}

/// Why a worker's task is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It is not needed any more: its socket closes, and it ends.
    Unneeded,
    /// Its process has ended: what it sent is read, and no more.
    Died,
    /// Its request ran for too long.
    TimedOut,
}

/// A request for a worker.
pub(crate) struct Job {
    /// An encoded `RequestHead`.
    pub(crate) payload: Vec<u8>,
    pub(crate) body: Body,
    pub(crate) channel: Rc<Channel>,
    /// When it began to wait for a worker.
    pub(crate) since: Instant,
}

/// One worker.
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    /// Its process id inside of the site, for logs.
    pub(crate) pid: Cell<u32>,
    /// When it was asked for.
    pub(crate) born: Instant,
    /// Whether it has not asked for a request yet.
    pub(crate) is_coming: Cell<bool>,
    activity: Cell<Activity>,
    /// When it took up what it does.
    since: Cell<Instant>,
    /// Requests that it has answered.
    pub(crate) answered: Cell<u64>,
    /// The front's end of its stream until its task begins.
    pub(crate) stream: Cell<Option<OwnedFd>>,
    job: Cell<Option<Job>>,
    stop: Cell<Option<Stop>>,
    /// Whether its task has had its share of this turn and waits for the next sweep.
    is_paced: Cell<bool>,
    /// How many of the next requests were sent to it already.
    ahead: Cell<usize>,
    is_recalled: Cell<bool>,
    /// Whether the keeper was asked to kill it.
    pub(crate) is_killed: Cell<bool>,
    /// Whether its end is the front's doing, or was announced.
    pub(crate) is_expected_to_end: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Worker {
    /// A worker that was asked for.
    pub(crate) fn new(id: WorkerId, stream: OwnedFd) -> Self {
        let now = Instant::now();
        Self {
            id,
            pid: Cell::new(0),
            born: now,
            is_coming: Cell::new(true),
            activity: Cell::new(Activity::Starting),
            since: Cell::new(now),
            answered: Cell::new(0),
            stream: Cell::new(Some(stream)),
            job: Cell::new(None),
            stop: Cell::new(None),
            is_paced: Cell::new(false),
            ahead: Cell::new(0),
            is_recalled: Cell::new(false),
            is_killed: Cell::new(false),
            is_expected_to_end: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    pub(crate) fn activity(&self) -> Activity {
        self.activity.get()
    }

    pub(crate) fn since(&self) -> Instant {
        self.since.get()
    }

    pub(crate) fn turn_to(&self, activity: Activity, now: Instant) {
        self.activity.set(activity);
        self.since.set(now);
    }

    /// Have the task take up a job.
    pub(crate) fn give(&self, job: Job, now: Instant) {
        self.turn_to(Activity::Busy, now);
        self.job.set(Some(job));
        self.wake();
    }

    /// Leave a job, of which nothing was done, to the pool.
    pub(crate) fn put_back(&self, job: Job) {
        self.job.set(Some(job));
    }

    pub(crate) fn take_job(&self) -> Option<Job> {
        self.job.take()
    }

    /// Have the task end. That the process has died outranks all else.
    pub(crate) fn stop(&self, why: Stop) {
        if self.stop.get().is_none() || why == Stop::Died {
            self.stop.set(Some(why));
        }
        self.wake();
    }

    pub(crate) fn stopped(&self) -> Option<Stop> {
        self.stop.get()
    }

    /// What was sent ahead is to come back.
    pub(crate) fn recall(&self) {
        self.is_recalled.set(true);
        self.wake();
    }

    /// Whether it was asked to, since the last time that it had none.
    pub(crate) fn is_recalled(&self) -> bool {
        self.is_recalled.get()
    }

    /// How many were sent ahead.
    pub(crate) fn ahead(&self) -> usize {
        self.ahead.get()
    }

    /// One more was sent ahead.
    pub(crate) fn one_more_ahead(&self) {
        self.ahead.set(self.ahead.get() + 1);
    }

    /// One less is.
    pub(crate) fn one_less_ahead(&self) {
        self.ahead.set(self.ahead.get().saturating_sub(1));
        if self.ahead.get() == 0 {
            self.is_recalled.set(false);
        }
    }

    /// The task waits for the next sweep.
    pub(crate) fn pace(&self) {
        self.is_paced.set(true);
    }

    pub(crate) fn is_paced(&self) -> bool {
        self.is_paced.get()
    }

    /// A sweep has come.
    pub(crate) fn go_on(&self) {
        if self.is_paced.replace(false) {
            self.wake();
        }
    }

    /// The task is to be woken by this.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let mut slot = self.waker.borrow_mut();
        match &*slot {
            Some(current) if current.will_wake(waker) => {}
            Some(_) | None => *slot = Some(waker.clone()),
        }
    }

    /// Have the task look.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// A death in words.
pub(crate) struct Told(pub(crate) Death);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Death::Exited(status) => write!(f, "ended with status {status}"),
            Death::Signalled(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}
