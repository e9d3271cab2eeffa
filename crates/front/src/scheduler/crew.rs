//! What the scheduler knows of one site: its terms, its numbers, what it has learned of its pages.
//!
//! Pure; a part of [`super::Scheduler`]. How many requests of a site may run is [`Climb`]'s; this is about who gets one more worker, and when.

use std::time::{Duration, Instant};

use hostel_wire::front_monitor::SiteId;

use super::Staff;
use super::climb::{Climb, Situation};

/// What the configuration says of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Which site it is.
    pub site: SiteId,
    /// The most workers.
    pub workers_max: usize,
    /// The most requests that wait.
    pub queue_max: usize,
    /// Its share beside others; 100 is the usual one.
    pub weight: u32,
    /// Whether a worker serves one request and ends, so that whoever waits needs a new one.
    pub is_once: bool,
}

/// One site.
pub(super) struct Crew {
    pub(super) terms: Terms,
    pub(super) staff: Staff,
    pub(super) running: usize,
    /// When a request came last.
    pub(super) touched: Instant,
    pub(super) is_stirring: bool,
    /// Workers started since the last beat.
    pub(super) hired: usize,
    /// Requests that ran, on the average of the last second.
    pub(super) load: f64,
    /// Answers in a second, on the average of the last one.
    rate: f64,
    climb: Climb,
    /// The time that a request takes on the average, in seconds.
    service: f64,
    /// Time that workers have spent since the last beat, their answers, and when that was.
    spent: f64,
    answers: u32,
    beaten: Instant,
    /// What a request takes of memory, once one was answered.
    memory_kib: Option<f64>,
    /// Whether somebody has waited for longer than is decent since the last beat.
    is_late: bool,
    late_at: Option<Instant>,
    recycled_at: Option<Instant>,
    /// The number of workers that it needed, and when it did.
    needed: f64,
    needed_at: Instant,
}

impl Crew {
    pub(super) fn new(terms: Terms, now: Instant) -> Self {
        Self {
            terms,
            staff: Staff::default(),
            running: 0,
            touched: now,
            is_stirring: false,
            hired: 0,
            load: 0.0,
            climb: Climb::new(now),
            service: 0.0,
            spent: 0.0,
            answers: 0,
            rate: 0.0,
            beaten: now,
            memory_kib: None,
            is_late: false,
            late_at: None,
            recycled_at: None,
            needed: 0.0,
            needed_at: now,
        }
    }

    pub(super) fn limit(&self) -> Option<usize> {
        self.climb.limit()
    }

    pub(super) fn may_run(&self) -> bool {
        self.climb.limit().is_none_or(|limit| self.running < limit)
    }

    pub(super) fn served(&mut self, served: Duration) {
        let seconds = served.as_secs_f64();
        self.service += (seconds - self.service) * if self.service == 0.0 { 1.0 } else { SMOOTHED };
        self.spent += seconds;
        self.answers += 1;
        self.climb.served(seconds);
    }

    pub(super) fn weighed(&mut self, memory_kib: u32) {
        let kib = f64::from(memory_kib);
        // Up at once, down slowly: what one page needs, a worker keeps.
        self.memory_kib = Some(match self.memory_kib {
            Some(known) if known > kib => known + (kib - known) * SMOOTHED,
            Some(_) | None => kib,
        });
    }

    /// What one more worker may take of the memory.
    pub(super) fn worker_bytes(&self) -> u64 {
        // It is a process's word: more than a worker can have is not believed.
        let kib = self.memory_kib.unwrap_or(KIB_UNKNOWN).min(KIB_BELIEVED);
        WORKER_BYTES + (whole(kib) as u64) * 1024
    }

    /// Somebody has waited for so long.
    pub(super) fn note_wait(&mut self, waited: Duration) {
        self.is_late |= waited >= self.patience();
    }

    /// How long a request waits before one more worker is thought of: about as long as it will run, so that a second worker is not
    /// started for what the first one will have done sooner.
    fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.service.clamp(0.0, 1.0)).clamp(PATIENCE_MIN, PATIENCE_MAX)
    }

    /// Whether a worker is to be started for the next request of a site whose workers serve one each, so that it need not wait: as many
    /// as run at the moment. `spare`: those that are there or on their way and that nobody waits for.
    pub(super) fn wants_spare(&self, spare: usize, is_host_busy: bool, cores: usize) -> bool {
        let bound = match self.climb.limit() {
            Some(limit) => limit,
            None if is_host_busy => self.floor_alone(cores),
            None => usize::MAX,
        };
        self.terms.is_once
            && self.staff.workers < self.terms.workers_max
            && spare < self.running.min(bound)
    }

    pub(super) fn wants_one_more(
        &self,
        coming: usize,
        waited: Duration,
        is_host_busy: bool,
        cores: usize,
    ) -> bool {
        let workers = self.staff.workers;
        let bound = match self.climb.limit() {
            Some(limit) => limit,
            // Nothing is known of its pages yet, and the processors are short: as many as can help any page.
            None if is_host_busy => self.floor_alone(cores),
            None => usize::MAX,
        };
        if workers >= self.terms.workers_max.min(bound) || self.staff.queued <= coming {
            return false;
        }
        if self.terms.is_once {
            return true;
        }
        if workers == 0 || workers < self.remembered() {
            return true;
        }
        waited >= self.patience()
            && coming < (workers / 2).max(1)
            && self.hired < workers.saturating_sub(self.hired).max(GROWTH_MIN)
    }

    /// How many may run, whatever they do, where no other site wants anything: one more than there are cores, so that none idles
    /// between two requests. Of pages so small that the way to a worker and back is most of their time, some more are on
    /// that way at once.
    pub(super) fn floor_alone(&self, cores: usize) -> usize {
        if self.rate > SMALL_PAGES_RATE * cores as f64 {
            cores * SMALL_PAGES_WORKERS
        } else {
            cores + 1
        }
    }

    /// The number of workers that it needed a while ago.
    fn remembered(&self) -> usize {
        let minutes = self.touched.duration_since(self.needed_at).as_secs() / 60;
        let halvings = i32::try_from(minutes / HALVED_MINUTES).unwrap_or(i32::MAX);
        let needed = self.needed / 2f64.powi(halvings.min(64));
        whole(needed)
    }

    pub(super) fn recycle(&mut self, age: Duration, now: Instant) -> bool {
        let is_turn = self
            .recycled_at
            .is_none_or(|at| now.duration_since(at) >= RECYCLE_EVERY);
        let is_due = age >= AGE_MAX && is_turn;
        if is_due {
            self.recycled_at = Some(now);
        }
        is_due
    }

    /// Whether its requests are kept waiting, now or a moment ago.
    pub(super) fn contends(&self, now: Instant) -> bool {
        self.is_late
            || self
                .late_at
                .is_some_and(|at| now.duration_since(at) < CONTENDS_FOR)
    }

    /// What is decided a few times a second.
    pub(super) fn beat(&mut self, now: Instant, is_host_busy: bool, floor: usize, cores: usize) {
        let passed = now.duration_since(self.beaten).as_secs_f64();
        self.beaten = now;
        if passed > 0.0 {
            // What runs now counts too: a page of a minute is no rest.
            let lately = (self.spent / passed).max(if self.spent == 0.0 {
                self.running as f64
            } else {
                0.0
            });
            let weight = 1.0 - (-passed).exp();
            self.load += (lately - self.load) * weight;
            self.rate += (f64::from(self.answers) / passed - self.rate) * weight;
        }
        self.spent = 0.0;
        self.answers = 0;
        self.hired = 0;
        let is_late = std::mem::take(&mut self.is_late);
        if is_late {
            self.late_at = Some(now);
        }
        let situation = Situation {
            is_host_busy,
            is_late,
            floor,
            cores,
            running: self.running,
            workers: self.staff.workers,
        };
        self.climb.beat(now, &situation);
        let used = self.running.min(self.climb.limit().unwrap_or(usize::MAX));
        let remembered = self.remembered();
        if used >= remembered {
            self.needed = used as f64;
            self.needed_at = now;
        } else if let Some(limit) = self.climb.limit()
            && limit < remembered
        {
            self.needed = limit as f64;
        }
    }

    /// Whether nothing has to be looked at before the next request.
    pub(super) fn is_asleep(&self, now: Instant) -> bool {
        self.running == 0
            && self.staff == Staff::default()
            && now.duration_since(self.touched) > ASLEEP_AFTER
    }
}

/// A number of workers; what is beyond any is the most.
pub(super) fn whole(number: f64) -> usize {
    let seconds = Duration::from_secs_f64(number.clamp(0.0, 1e9)).as_secs();
    usize::try_from(seconds).unwrap_or(usize::MAX)
}

/// The weight of the newest request in an average.
const SMOOTHED: f64 = 0.05;
/// Shorter waits are those of a request that runs anyway.
const PATIENCE_MIN: Duration = Duration::from_micros(200);
/// Longer ones a visitor could notice, beside a page of some tens of milliseconds.
const PATIENCE_MAX: Duration = Duration::from_millis(5);
/// Workers that may be started between two looks at the host, however few there are.
const GROWTH_MIN: usize = 2;
/// What a worker takes before it has run anything: libphp, its modules, what a fork copies.
const WORKER_BYTES: u64 = 12 * 1024 * 1024;
/// What a request is taken to need before one was answered: half of what PHP allows by default.
const KIB_UNKNOWN: f64 = 64.0 * 1024.0;
/// The most that is believed of a request's memory.
const KIB_BELIEVED: f64 = 1024.0 * 1024.0;
/// After so many minutes half of the workers that a site needed are remembered.
const HALVED_MINUTES: u64 = 5;
/// A worker that is older makes room for a new one, which has none of what the old one gathered.
const AGE_MAX: Duration = Duration::from_secs(3600);
/// In each site one after the other.
const RECYCLE_EVERY: Duration = Duration::from_secs(5);
/// Who was kept waiting counts as such for so long.
const CONTENDS_FOR: Duration = Duration::from_secs(1);
/// Pages of which each core answers so many in a second are small, and so many workers for each core serve them best. Measured on two
/// cores: of a page of 50 µs 1.2 times as many answers in a second as with one more worker than cores; of one of 500 µs 0.93 times as
/// many, as each worker finds the caches filled by another.
const SMALL_PAGES_RATE: f64 = 3000.0;
const SMALL_PAGES_WORKERS: usize = 4;
/// A site without workers is looked at for so long after its last request.
const ASLEEP_AFTER: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn crew(now: Instant) -> Crew {
        let terms = Terms {
            site: SiteId(1),
            workers_max: 10,
            queue_max: 10,
            weight: 100,
            is_once: false,
        };
        Crew::new(terms, now)
    }

    #[test]
    fn old_workers_go_one_after_the_other() {
        let now = Instant::now();
        let mut crew = crew(now);
        assert!(!crew.recycle(AGE_MAX / 2, now));
        assert!(crew.recycle(AGE_MAX, now));
        assert!(!crew.recycle(AGE_MAX * 2, now));
        assert!(!crew.recycle(AGE_MAX * 2, now + RECYCLE_EVERY / 2));
        assert!(crew.recycle(AGE_MAX * 2, now + RECYCLE_EVERY));
    }

    #[test]
    fn a_worker_costs_what_requests_took_and_no_more_than_can_be() {
        let mut crew = crew(Instant::now());
        let unknown = crew.worker_bytes();
        crew.weighed(2048);
        assert_eq!(crew.worker_bytes(), WORKER_BYTES + (2 << 20));
        assert!(unknown > crew.worker_bytes());
        crew.weighed(u32::MAX);
        assert_eq!(crew.worker_bytes(), WORKER_BYTES + (1 << 30));
        // One small page does not make a large one forgotten.
        crew.weighed(0);
        assert!(crew.worker_bytes() > (1 << 29));
    }

    #[test]
    fn where_workers_serve_one_request_there_are_as_many_spare_ones_as_run() {
        let mut crew = crew(Instant::now());
        crew.running = 2;
        assert!(!crew.wants_spare(0, false, 2), "these serve many");
        crew.terms.is_once = true;
        assert!(crew.wants_spare(0, false, 2) && crew.wants_spare(1, false, 2));
        assert!(!crew.wants_spare(2, false, 2));
        crew.running = 8;
        assert!(crew.wants_spare(7, false, 2));
        assert!(!crew.wants_spare(3, true, 2), "more find no processor");
        crew.staff.workers = crew.terms.workers_max;
        assert!(!crew.wants_spare(0, false, 2));
        // Nobody is there for whom one that runs would be free in a moment.
        crew.staff = Staff {
            workers: 1,
            queued: 2,
        };
        assert!(crew.wants_one_more(1, Duration::ZERO, false, 2));
        assert!(!crew.wants_one_more(2, Duration::ZERO, false, 2));
    }

    #[test]
    fn waits_of_a_page_are_borne_before_one_more_worker_is_started() {
        let now = Instant::now();
        let mut crew = crew(now);
        crew.touched = now;
        crew.staff = Staff {
            workers: 1,
            queued: 3,
        };
        for (served, patience) in [
            (10, PATIENCE_MIN),
            (1_000, Duration::from_millis(1)),
            (90_000, PATIENCE_MAX),
        ] {
            crew.service = 0.0;
            crew.served(Duration::from_micros(served));
            assert!(
                !crew.wants_one_more(0, patience.mul_f64(0.9), false, 2),
                "{served}"
            );
            assert!(
                crew.wants_one_more(0, patience.mul_f64(1.1), false, 2),
                "{served}"
            );
            assert!(
                !crew.wants_one_more(3, patience * 2, false, 2),
                "three are coming"
            );
        }
    }
}
