//! A site's workers, and the queue of requests before them.
//!
//! Run by the front. How many workers there are, and who may run, is decided by [`crate::scheduler`], to which this reports what happens;
//! here stand the workers themselves. It trusts no keeper: a word about a worker that was never asked for gives the keeper
//! up. A PHP that does not start is tried again after a growing pause.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_sys::fdpass;
use hostel_wire::front_keeper::FrontToKeeper;
use hostel_wire::front_monitor::SiteEntry;
use hostel_wire::keeper_zygote::{Death, WorkerId};
use hostel_wire::limits;

use crate::answer::Channel;
use crate::dispatch::Dispatch;
use crate::exchange;
use crate::handoff::HandoffError;
use crate::keeper::{Keeper, KeeperError};
use crate::scheduler::{Arrival, Slot, Staff, Terms};
use crate::sites::{Count, Site};
use crate::wake::Step;
use crate::worker::{Activity, Job, Stop, Told, Worker};

mod ahead;
mod census;
mod spare;

pub use census::Census;
pub use spare::Means;
use spare::Shown;

/// The workers of one site.
pub struct Pool {
    inner: RefCell<Inner>,
    dispatch: Rc<Dispatch>,
    slot: Slot,
    queue_wait_max: Duration,
    run_max: Duration,
    idle_max: Duration,
    /// Workers that were started.
    pub started: Count,
    /// Workers, and whole PHPs, that died without being asked to.
    pub crashed: Count,
}

#[derive(Default)]
struct Inner {
    /// Whether a worker serves one request and ends.
    is_once: bool,
    shown: Shown,
    /// All that are not known to be dead.
    workers: HashMap<WorkerId, Rc<Worker>>,
    /// Those without a job, the most recently used one last.
    idle: Vec<Rc<Worker>>,
    /// How many have not asked for a request yet.
    coming: usize,
    /// Requests that were sent ahead.
    ahead: usize,
    /// How long a request takes, on the average, in seconds; 0 where that is not known.
    service: f64,
    queue: VecDeque<Job>,
    queue_peak: usize,
    last_id: u32,
    /// Words of the keeper about workers that are forgotten already.
    stray: u32,
    /// Whether a worker was asked for since PHP was last heard to be down.
    is_php_asked: bool,
    /// Whether a request was answered since then.
    has_answered: bool,
    /// No worker is started before this time, after failures in a row.
    not_before: Option<Instant>,
    pause: Duration,
}

/// What ended between a worker and its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parted {
    /// The worker ends itself, or is dead already.
    Peacefully,
    /// The worker is to be killed.
    ToBeKilled,
}

impl Pool {
    /// No workers yet.
    pub fn new(entry: &SiteEntry, dispatch: Rc<Dispatch>) -> Self {
        let milliseconds = |count: u32| Duration::from_millis(count.into());
        let terms = Terms {
            site: entry.id,
            workers_max: entry.workers_max.clamp(1, limits::WORKERS_MAX) as usize,
            queue_max: entry.queue_max as usize,
            weight: entry.cpu_weight,
            is_once: entry.fresh.is_by_fork(),
        };
        let slot = dispatch.scheduler().enter(terms, Instant::now());
        Self {
            inner: RefCell::new(Inner::new(entry.fresh.is_by_fork())),
            dispatch,
            slot,
            queue_wait_max: milliseconds(entry.queue_ms_max),
            run_max: milliseconds(entry.request_ms_max),
            idle_max: milliseconds(entry.idle_ms),
            started: Count::default(),
            crashed: Count::default(),
        }
    }

    /// Whether a request waits for a worker.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.inner.borrow().queue.is_empty()
    }

    /// Whether any worker is not known to be dead.
    pub(crate) fn has_workers(&self) -> bool {
        !self.inner.borrow().workers.is_empty()
    }

    /// Whether no worker runs a request.
    pub(crate) fn is_quiet(&self) -> bool {
        let inner = self.inner.borrow();
        !inner
            .workers
            .values()
            .any(|worker| worker.activity() == Activity::Busy)
    }

    /// Give a request to an idle worker, the one that was used last, or let it wait.
    pub(crate) fn submit(&self, job: Job) -> Result<(), HandoffError> {
        let mut inner = self.inner.borrow_mut();
        let mut scheduler = self.dispatch.scheduler();
        let has_idle = !inner.idle.is_empty() && !inner.prefers_ahead(&job, scheduler.cores());
        let arrival = scheduler.arrive(self.slot, has_idle, job.since);
        drop(scheduler);
        if arrival == Arrival::Run
            && let Some(worker) = inner.idle.pop()
        {
            worker.give(job, Instant::now());
            return Ok(());
        }
        if inner.pause >= REFUSE_PAUSE && inner.is_pausing(Instant::now()) {
            return Err(HandoffError::SiteDown);
        }
        if arrival == Arrival::Refused {
            return Err(HandoffError::QueueFull);
        }
        inner.queue.push_back(job);
        inner.queue_peak = inner.queue_peak.max(inner.queue.len());
        self.report(&inner);
        inner.offer_ahead();
        self.dispatch.somebody_waits();
        Ok(())
    }

    /// The client of this request has left the queue.
    pub(crate) fn forget(&self, channel: &Rc<Channel>) {
        let mut inner = self.inner.borrow_mut();
        inner.queue.retain(|job| !Rc::ptr_eq(&job.channel, channel));
        self.report(&inner);
    }

    /// See to those who wait: idle workers that may run again, and new ones.
    pub(crate) fn pump(&self, site: &Rc<Site>, keeper: &Rc<Keeper>) {
        let now = Instant::now();
        self.inner.borrow().recall(now);
        self.employ(now);
        loop {
            let inner = self.inner.borrow();
            let now = Instant::now();
            let Some(waited) = inner.waited(now) else {
                break;
            };
            let is_wanted = !inner.is_pausing(now)
                && self
                    .dispatch
                    .scheduler()
                    .hire(self.slot, inner.coming, waited);
            drop(inner);
            if !is_wanted {
                break;
            }
            if !self.begin_one(site, keeper) {
                return;
            }
        }
        while self.wants_spare() && self.begin_one(site, keeper) {}
    }

    /// Ask for one more worker. Whether it may come.
    pub(crate) fn begin_one(&self, site: &Rc<Site>, keeper: &Rc<Keeper>) -> bool {
        let (mut inner, now) = (self.inner.borrow_mut(), Instant::now());
        inner.last_id = inner.last_id.wrapping_add(1);
        let id = WorkerId(inner.last_id);
        let (near, far) = match stream_pair() {
            Ok(pair) => pair,
            Err(error) => {
                inner.pause(now);
                drop(inner);
                site.say(format_args!("cannot make a socket for a worker: {error}"));
                site.tried(false);
                return false;
            }
        };
        inner.workers.insert(id, Rc::new(Worker::new(id, near)));
        inner.coming += 1;
        inner.is_php_asked = true;
        self.report(&inner);
        drop(inner);
        self.started.add(1);
        site.wake.php_is_asked(now);
        if let Err(error) = keeper.send(&FrontToKeeper::StartWorker(id), Some(far)) {
            site.lost(keeper, &error.to_string());
            return false;
        }
        true
    }

    /// Give idle workers what waits, where it was not theirs to take before.
    fn employ(&self, now: Instant) {
        let mut inner = self.inner.borrow_mut();
        while !inner.idle.is_empty()
            && let Some(job) = self.take(&mut inner, now)
            && let Some(worker) = inner.idle.pop()
        {
            worker.give(job, now);
        }
    }

    /// The next job, if one more may run.
    fn take(&self, inner: &mut Inner, now: Instant) -> Option<Job> {
        let waited = inner.waited(now)?;
        if !self.dispatch.scheduler().take(self.slot, waited) {
            return None;
        }
        let job = inner.queue.pop_front();
        self.report(inner);
        job
    }

    /// Tell the scheduler the numbers. Whatever changes them ends with this.
    fn report(&self, inner: &Inner) {
        let staff = Staff {
            workers: inner.staffed(),
            queued: inner.queue.len() + inner.ahead,
        };
        self.dispatch.scheduler().report(self.slot, staff);
    }

    /// A worker runs: its task begins.
    pub(crate) fn started(
        &self,
        site: &Rc<Site>,
        id: WorkerId,
        pid: u32,
    ) -> Result<(), KeeperError> {
        let Some(worker) = self.known(id)? else {
            return Ok(());
        };
        let Some(stream) = worker.stream.take() else {
            return Err(KeeperError::Unexpected("a worker's start twice"));
        };
        worker.pid.set(pid);
        site.wake.reach(Step::Php, Instant::now());
        // Whoever stops a worker before it has started has nothing else to stop.
        worker.turn_to(Activity::Idle, Instant::now());
        site.tried(true);
        site.spawn(exchange::serve(Rc::clone(site), worker, stream));
        Ok(())
    }

    /// A worker could not be started.
    pub(crate) fn failed(
        &self,
        site: &Rc<Site>,
        id: WorkerId,
        errno: i32,
    ) -> Result<(), KeeperError> {
        let Some(worker) = self.known(id)? else {
            return Ok(());
        };
        if worker.activity() != Activity::Starting {
            return Err(KeeperError::Unexpected(
                "the failed start of a worker that runs",
            ));
        }
        let mut inner = self.inner.borrow_mut();
        inner.forget(&worker);
        inner.pause(Instant::now());
        self.report(&inner);
        drop(inner);
        let error = std::io::Error::from_raw_os_error(errno);
        site.say(format_args!("cannot start a worker: {error}"));
        site.tried(false);
        Ok(())
    }

    /// A worker's process has ended. Final, even where its socket is still open in another process.
    pub(crate) fn died(
        &self,
        site: &Rc<Site>,
        id: WorkerId,
        death: Death,
    ) -> Result<(), KeeperError> {
        let Some(worker) = self.known(id)? else {
            return Ok(());
        };
        let mut inner = self.inner.borrow_mut();
        inner.forget(&worker);
        self.report(&inner);
        // However politely: what comes to nothing is not tried again at once.
        let is_unused = matches!(worker.activity(), Activity::Starting | Activity::Idle);
        if is_unused && worker.answered.get() == 0 && !worker.is_expected_to_end.get() {
            inner.pause(Instant::now());
        }
        drop(inner);
        let is_expected = worker.is_expected_to_end.get() || death == Death::Exited(0);
        if !is_expected {
            self.crashed.add(1);
            let (pid, death) = (worker.pid.get(), Told(death));
            site.say(format_args!("worker {} (process {pid}) {death}", id.0));
        }
        worker.stop(Stop::Died);
        Ok(())
    }

    /// PHP as a whole has ended or could not be started: all workers are gone.
    pub(crate) fn php_down(&self, site: &Rc<Site>, death: Death) -> Result<(), KeeperError> {
        let mut inner = self.inner.borrow_mut();
        if !std::mem::take(&mut inner.is_php_asked) {
            return Err(KeeperError::Unexpected(
                "the end of a PHP that nobody asked for",
            ));
        }
        if !std::mem::take(&mut inner.has_answered) {
            inner.pause(Instant::now());
        }
        let is_hopeless = inner.pause >= REFUSE_PAUSE;
        let workers = inner.forget_all();
        self.report(&inner);
        drop(inner);
        self.crashed.add(1);
        site.say(format_args!("PHP {}", Told(death)));
        site.tried(false);
        for worker in workers {
            worker.stop(Stop::Died);
        }
        if is_hopeless {
            self.refuse_waiting(HandoffError::SiteDown);
        }
        Ok(())
    }

    /// The keeper is gone, and with it all workers. Requests that wait go on waiting.
    pub(crate) fn keeper_gone(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.is_php_asked = false;
        inner.stray = 0;
        let workers = inner.forget_all();
        self.report(&inner);
        drop(inner);
        for worker in workers {
            worker.stop(Stop::Died);
        }
    }

    /// Refuse all requests that wait.
    pub(crate) fn refuse_waiting(&self, why: HandoffError) {
        let mut inner = self.inner.borrow_mut();
        let queue = std::mem::take(&mut inner.queue);
        self.report(&inner);
        drop(inner);
        for job in queue {
            job.channel.fail(why, false);
        }
    }

    /// A worker has answered a request, so PHP works.
    pub(crate) fn answered(&self, worker: &Worker, memory_kib: u32) {
        worker.answered.set(worker.answered.get() + 1);
        self.dispatch.scheduler().weighed(self.slot, memory_kib);
        let mut inner = self.inner.borrow_mut();
        inner.has_answered = true;
        inner.pause = Duration::ZERO;
        inner.not_before = None;
    }

    /// A worker is free: the next request for it, or `None` when it is idle now.
    pub(crate) fn free(&self, worker: &Rc<Worker>) -> Option<Job> {
        if worker.stopped().is_some() {
            return None;
        }
        let now = Instant::now();
        let mut inner = self.inner.borrow_mut();
        inner.has_come(worker);
        if worker.activity() == Activity::Busy {
            let mut scheduler = self.dispatch.scheduler();
            let served = now.duration_since(worker.since());
            inner.served(served, scheduler.crowding());
            scheduler.rested(self.slot, Some(served));
            if scheduler.recycle(self.slot, now.duration_since(worker.born), now) {
                worker.turn_to(Activity::Idle, now);
                worker.is_expected_to_end.set(true);
                worker.stop(Stop::Unneeded);
                return None;
            }
        }
        if let Some(job) = self.take(&mut inner, now) {
            worker.turn_to(Activity::Busy, now);
            return Some(job);
        }
        worker.turn_to(Activity::Idle, now);
        inner.idle.push(Rc::clone(worker));
        // It can take what others have in vain, if they are slower than was thought.
        inner.recall(now);
        None
    }

    /// A worker's task has ended: it is not used again.
    pub(crate) fn part(&self, site: &Rc<Site>, worker: &Rc<Worker>, how: Parted) {
        let now = Instant::now();
        let mut inner = self.inner.borrow_mut();
        inner.idle.retain(|idle| !Rc::ptr_eq(idle, worker));
        inner.has_come(worker);
        if worker.activity() == Activity::Busy {
            let served = how.served(worker, now);
            self.dispatch.scheduler().rested(self.slot, served);
        }
        let job = worker.take_job();
        let is_dead = !inner.workers.contains_key(&worker.id);
        let is_unused = job.is_some() || worker.activity() == Activity::Idle;
        if is_unused && worker.answered.get() == 0 && !is_dead && worker.stopped().is_none() {
            inner.pause(now);
        }
        if let Some(job) = job {
            // Nothing of it was sent: another worker can have it.
            inner.queue.push_front(job);
            self.dispatch.somebody_waits();
        }
        worker.turn_to(Activity::Ending, now);
        self.report(&inner);
        drop(inner);
        if how == Parted::ToBeKilled && !is_dead {
            self.kill(site, worker);
        }
        site.pump();
    }

    fn kill(&self, site: &Rc<Site>, worker: &Worker) {
        worker.is_expected_to_end.set(true);
        if worker.is_killed.replace(true) {
            return;
        }
        if let Some(keeper) = site.keeper()
            && let Err(error) = keeper.send(&FrontToKeeper::KillWorker(worker.id), None)
        {
            site.lost(&keeper, &error.to_string());
        }
    }

    /// Look at every deadline.
    pub(crate) fn sweep(&self, site: &Rc<Site>, now: Instant) {
        let mut inner = self.inner.borrow_mut();
        while let Some(job) = inner.queue.front()
            && now.duration_since(job.since) > self.queue_wait_max
            && let Some(job) = inner.queue.pop_front()
        {
            job.channel.fail(HandoffError::QueueTimeout, false);
        }
        self.report(&inner);
        self.dismiss_idle(&mut inner, now);
        let workers: Vec<_> = inner.workers.values().map(Rc::clone).collect();
        drop(inner);
        for worker in workers {
            worker.go_on();
            let age = now.duration_since(worker.since());
            match worker.activity() {
                Activity::Busy if age > self.run_max => {
                    self.kill(site, &worker);
                    worker.stop(Stop::TimedOut);
                }
                Activity::Ending if age > END_PATIENCE => self.kill(site, &worker),
                Activity::Starting | Activity::Idle | Activity::Busy | Activity::Ending => {}
            }
        }
    }

    /// End the workers that have idled for long. The least recently used ones stand first.
    fn dismiss_idle(&self, inner: &mut Inner, now: Instant) {
        let scheduler = self.dispatch.scheduler();
        let mut left = inner.workers.len();
        let mut unneeded = 0;
        for worker in &inner.idle {
            let idle_time = scheduler.idle_time(self.idle_max, left == 1);
            if now.duration_since(worker.since()) <= idle_time {
                break;
            }
            unneeded += 1;
            left = left.saturating_sub(1);
        }
        for worker in inner.idle.drain(..unneeded) {
            worker.is_expected_to_end.set(true);
            worker.stop(Stop::Unneeded);
        }
    }

    /// Whether the keeper leaves the front without word of a worker that it should have started or ended.
    pub(crate) fn is_undead(&self, now: Instant) -> bool {
        let inner = self.inner.borrow();
        inner.workers.values().any(|worker| {
            matches!(worker.activity(), Activity::Starting | Activity::Ending)
                && now.duration_since(worker.since()) > WORD_PATIENCE
        })
    }

    /// The worker of this number; `None` for one that is forgotten.
    fn known(&self, id: WorkerId) -> Result<Option<Rc<Worker>>, KeeperError> {
        let mut inner = self.inner.borrow_mut();
        if let Some(worker) = inner.workers.get(&id) {
            return Ok(Some(Rc::clone(worker)));
        }
        // Words cross on their way: a worker asked for just before the last PHP was heard to be down comes with the next one.
        inner.stray += 1;
        if id.0 > inner.last_id || inner.stray > STRAY_MAX {
            return Err(KeeperError::Unexpected(
                "word of a worker that nobody asked for",
            ));
        }
        Ok(None)
    }
}

impl Inner {
    /// How long the first has waited; `None` where nobody waits.
    fn waited(&self, now: Instant) -> Option<Duration> {
        let first = self.queue.front()?;
        Some(now.duration_since(first.since))
    }

    /// A worker asks for a request, or will not any more.
    fn has_come(&mut self, worker: &Worker) {
        if worker.is_coming.replace(false) {
            self.coming = self.coming.saturating_sub(1);
        }
    }

    /// A worker is dead.
    fn forget(&mut self, worker: &Rc<Worker>) {
        self.has_come(worker);
        self.workers.remove(&worker.id);
        self.idle.retain(|idle| !Rc::ptr_eq(idle, worker));
    }

    /// All workers are dead.
    fn forget_all(&mut self) -> Vec<Rc<Worker>> {
        self.idle.clear();
        let workers: Vec<_> = self.workers.drain().map(|(_, worker)| worker).collect();
        for worker in &workers {
            self.has_come(worker);
        }
        workers
    }

    fn is_pausing(&self, now: Instant) -> bool {
        self.not_before.is_some_and(|until| now < until)
    }

    fn pause(&mut self, now: Instant) {
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.not_before = Some(now + self.pause);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.dispatch.scheduler().leave(self.slot);
    }
}

/// The front's end, which does not wait, and the worker's, which does.
fn stream_pair() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let (near, far) = fdpass::stream_pair(false)?;
    rustix::io::ioctl_fionbio(&near, true)?;
    Ok((near, far))
}

/// The first pause after a failed start, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// In a pause this long requests are refused instead of waiting.
const REFUSE_PAUSE: Duration = Duration::from_millis(400);
/// How long a worker may take to end by itself.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// How long the keeper may take to start a worker, or to say that one is dead.
const WORD_PATIENCE: Duration = Duration::from_secs(30);
/// Words about forgotten workers that one keeper may say.
const STRAY_MAX: u32 = 10_000;
