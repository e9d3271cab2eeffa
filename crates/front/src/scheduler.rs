//! Who may run: every decision about the number of workers of a site and about the length of its queue, for all sites.
//!
//! Pure: no clock, no socket, no process. The front's pools report events (a request came, a worker is free, so many wait) and ask;
//! the time and the state of the host are arguments, so that a test can play a day of a thousand sites in seconds. What a site's own
//! processes say is believed in one point alone, the memory that a request took, and a lie there is bounded by what the kernel
//! says is available. See docs/scheduler.md.

use std::time::{Duration, Instant};

use hostel_wire::front_monitor::SiteId;

use crew::Crew;
pub use crew::Terms;
use host::Host;
pub use host::Sample;

mod climb;
mod crew;
mod host;
#[cfg(test)]
mod tests;

/// All sites that have, or may have, workers.
pub struct Scheduler {
    host: Host,
    crews: Vec<Option<Crew>>,
    vacant: Vec<usize>,
    /// Sites with something to look at in each beat: requests, workers, or a number that is still remembered.
    stirring: Vec<usize>,
    workers: usize,
    queued: usize,
    /// Requests that run.
    running: usize,
}

/// A site's place in the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(usize);

/// What becomes of a request that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// An idle worker takes it.
    Run,
    /// It waits in the site's queue.
    Wait,
    /// As many wait as may: in the site, or in all sites together.
    Refused,
}

/// The workers of a site and those who wait for them, as its pool counts them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Staff {
    /// Not known to be dead.
    pub workers: usize,
    /// Requests that wait.
    pub queued: usize,
}

impl Scheduler {
    /// For a host of so many cores and so much memory.
    pub fn new(cores: usize, memory_bytes: u64) -> Self {
        Self {
            host: Host::new(cores, memory_bytes),
            crews: Vec::new(),
            vacant: Vec::new(),
            stirring: Vec::new(),
            workers: 0,
            queued: 0,
            running: 0,
        }
    }

    /// A site has come.
    pub fn enter(&mut self, terms: Terms, now: Instant) -> Slot {
        let crew = Some(Crew::new(terms, now));
        match self.vacant.pop() {
            Some(index) => {
                if let Some(place) = self.crews.get_mut(index) {
                    *place = crew;
                }
                Slot(index)
            }
            None => {
                self.crews.push(crew);
                Slot(self.crews.len() - 1)
            }
        }
    }

    /// A site has gone, with all that it had.
    pub fn leave(&mut self, slot: Slot) {
        self.report(slot, Staff::default());
        if let Some(place) = self.crews.get_mut(slot.0)
            && let Some(crew) = place.take()
        {
            self.running = self.running.saturating_sub(crew.running);
            self.vacant.push(slot.0);
            self.stirring.retain(|index| *index != slot.0);
        }
    }

    /// A request has come. `has_idle`: a worker without a job is there.
    pub fn arrive(&mut self, slot: Slot, has_idle: bool, now: Instant) -> Arrival {
        let room = QUEUED_MAX.saturating_sub(self.queued);
        let Some(crew) = self.crews.get_mut(slot.0).and_then(Option::as_mut) else {
            return Arrival::Refused;
        };
        crew.touched = now;
        if !std::mem::replace(&mut crew.is_stirring, true) {
            self.stirring.push(slot.0);
        }
        if has_idle && crew.may_run() {
            crew.running += 1;
            self.running += 1;
            return Arrival::Run;
        }
        // A site may fill as much as it leaves free: one that floods has half, and two have a third each.
        let share = weighted(room, crew.terms.weight).min(crew.terms.queue_max);
        if crew.staff.queued >= share {
            Arrival::Refused
        } else {
            Arrival::Wait
        }
    }

    /// Whether a worker without a job may take one that waits; if so it counts as running from now on. `waited`: for how long it did.
    pub fn take(&mut self, slot: Slot, waited: Duration) -> bool {
        let Some(crew) = self.crew(slot) else {
            return false;
        };
        let may_run = crew.may_run();
        if may_run {
            crew.running += 1;
            crew.note_wait(waited);
            self.running += 1;
        }
        may_run
    }

    /// A worker that ran is free, or gone. `served`: for how long it ran, if it answered.
    pub fn rested(&mut self, slot: Slot, served: Option<Duration>) {
        if let Some(crew) = self.crew(slot) {
            let before = crew.running;
            crew.running = before.saturating_sub(1);
            if let Some(served) = served {
                crew.served(served);
            }
            self.running = self.running.saturating_sub(before.min(1));
        }
    }

    /// A worker that ran is free and has gone on with the next request, which had waited, at once.
    pub fn goes_on(&mut self, slot: Slot, served: Duration, waited: Duration) {
        if let Some(crew) = self.crew(slot) {
            crew.served(served);
            crew.note_wait(waited);
        }
    }

    /// What a request took of memory, as the site's worker says.
    pub fn weighed(&mut self, slot: Slot, memory_kib: u32) {
        if let Some(crew) = self.crew(slot) {
            crew.weighed(memory_kib);
        }
    }

    /// The numbers of a site have changed.
    pub fn report(&mut self, slot: Slot, staff: Staff) {
        let Some(crew) = self.crews.get_mut(slot.0).and_then(Option::as_mut) else {
            return;
        };
        let before = std::mem::replace(&mut crew.staff, staff);
        self.workers = (self.workers + staff.workers).saturating_sub(before.workers);
        self.queued = (self.queued + staff.queued).saturating_sub(before.queued);
    }

    /// Whether one more worker is to be started for a site. `coming`: those that are about to take a request; `waited`: how long
    /// the first in the queue has waited. If so, the pool starts it and reports.
    pub fn hire(&mut self, slot: Slot, coming: usize, waited: Duration) -> bool {
        let (is_busy, cores) = (self.host.is_busy(), self.host.cores());
        let Some(crew) = self.crew(slot) else {
            return false;
        };
        crew.note_wait(waited);
        let is_wanted = crew.wants_one_more(coming, waited, is_busy, cores);
        if !is_wanted || !self.has_room(slot) {
            return false;
        }
        if let Some(crew) = self.crew(slot) {
            crew.hired += 1;
        }
        true
    }

    /// Whether a site's workers serve one request each is another thing than was said.
    pub fn set_once(&mut self, slot: Slot, is_once: bool) {
        if let Some(crew) = self.crew(slot) {
            crew.terms.is_once = is_once;
        }
    }

    /// Whether a worker is to be started for a request that has not come yet. If so, the pool starts it and reports.
    pub fn hire_spare(&mut self, slot: Slot, spare: usize) -> bool {
        let (is_busy, cores) = (self.host.is_busy(), self.host.cores());
        let crew = self.crew(slot);
        crew.is_some_and(|crew| crew.wants_spare(spare, is_busy, cores)) && self.has_room(slot)
    }

    /// Whether there is room for one more worker of a site; if so its memory is lent.
    fn has_room(&mut self, slot: Slot) -> bool {
        let room = WORKERS_SUM_MAX.saturating_sub(self.workers);
        let Some(crew) = self.crews.get(slot.0).and_then(Option::as_ref) else {
            return false;
        };
        // By the same rule as in the queue, of the workers of all sites and of the memory that is free.
        let is_first = crew.staff.workers == 0;
        let weight = crew.terms.weight;
        if room == 0 || (!is_first && crew.staff.workers >= weighted(room, weight)) {
            return false;
        }
        let bytes = crew.worker_bytes();
        let held = bytes.saturating_mul(crew.staff.workers as u64);
        self.host.lend(bytes, held, weight, is_first)
    }

    /// Whether a worker of this age that is free is to make room for a new one: one of a site after the other, so that there are
    /// always others.
    pub fn recycle(&mut self, slot: Slot, age: Duration, now: Instant) -> bool {
        self.crew(slot).is_some_and(|crew| crew.recycle(age, now))
    }

    /// Whether idle workers and idle sites are to go for others' sake.
    pub fn is_memory_short(&self) -> bool {
        self.host.is_memory_short()
    }

    /// How long an idle worker stays: the last one of a site for the whole time that its configuration says, others for a part of it.
    pub fn idle_time(&self, idle_max: Duration, is_last: bool) -> Duration {
        if self.is_memory_short() {
            idle_max.min(SHORT_IDLE)
        } else if is_last {
            idle_max
        } else {
            idle_max / SPARE_IDLE_PART
        }
    }

    /// Whether the state of the host is to be looked at, and [`Scheduler::beat`] to be called.
    pub fn is_due(&self, now: Instant) -> bool {
        self.host.is_due(now, self.stirring.is_empty())
    }

    /// The sites in whose queues somebody waits.
    pub fn waiting(&self) -> Vec<SiteId> {
        let crews = self
            .stirring
            .iter()
            .filter_map(|index| self.crews.get(*index)?.as_ref());
        crews
            .filter(|crew| crew.staff.queued > 0)
            .map(|crew| crew.terms.site)
            .collect()
    }

    /// Look at the host and at every site that does something: what each may have from now on.
    pub fn beat(&mut self, now: Instant, sample: &Sample) {
        self.host.look(now, sample);
        let mut demand = Demand::default();
        for index in &self.stirring {
            if let Some(crew) = self.crews.get(*index).and_then(Option::as_ref) {
                demand.add(crew, now, 1.0);
            }
        }
        let (is_busy, cores) = (self.host.is_busy(), self.host.cores());
        self.stirring.retain(|index| {
            let Some(crew) = self.crews.get_mut(*index).and_then(Option::as_mut) else {
                return false;
            };
            let mut others = demand;
            others.add(crew, now, -1.0);
            let floor = others
                .leave(cores, crew.terms.weight)
                .unwrap_or_else(|| crew.floor_alone(cores));
            crew.beat(now, is_busy, floor, cores);
            crew.is_stirring = !crew.is_asleep(now);
            crew.is_stirring
        });
    }

    /// How many requests of a site run, and how many may (`None`: no bound was found yet).
    pub fn running(&self, slot: Slot) -> (usize, Option<usize>) {
        let crew = self.crews.get(slot.0).and_then(Option::as_ref);
        crew.map_or((0, None), |crew| (crew.running, crew.limit()))
    }

    /// Requests that wait, in all sites.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Workers of all sites.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// How many times as long as alone a page takes that computes: while the processors are short, what runs takes turns on them.
    pub fn crowding(&self) -> f64 {
        if !self.host.is_busy() {
            return 1.0;
        }
        (self.running as f64 / self.host.cores() as f64).max(1.0)
    }

    /// The host's cores.
    pub fn cores(&self) -> usize {
        self.host.cores()
    }

    /// Whether requests wait for the processor more than for anything else.
    pub fn is_host_busy(&self) -> bool {
        self.host.is_busy()
    }

    fn crew(&mut self, slot: Slot) -> Option<&mut Crew> {
        self.crews.get_mut(slot.0)?.as_mut()
    }
}

/// What sites ask of the processors.
#[derive(Debug, Default, Clone, Copy)]
struct Demand {
    /// Requests that run, on the average.
    load: f64,
    /// The part of them whose sites are not kept waiting: they have what they need. What these use of the processors is not
    /// known; one core at most is reckoned for each.
    content: f64,
    /// The weights of the sites in which somebody waits.
    weights: f64,
}

impl Demand {
    fn add(&mut self, crew: &Crew, now: Instant, sign: f64) {
        self.load += crew.load * sign;
        if crew.contends(now) {
            self.weights += f64::from(crew.terms.weight) * sign;
        } else {
            self.content += crew.load.min(1.0) * sign;
        }
    }

    /// How many requests of one more site may run, whatever they do, while the processors are short: its share of what those leave
    /// who do not wait, and always one core less than there are, so that who comes rarely finds one free. `None`: there
    /// are no others to speak of.
    fn leave(self, cores: usize, weight: u32) -> Option<usize> {
        if self.load < OTHERS_LOAD_MIN {
            return None;
        }
        let spare = cores.saturating_sub(1).max(1);
        let weight = f64::from(weight);
        let free = cores as f64 - self.content.max(1.0);
        let share = free * weight / (self.weights.max(0.0) + weight);
        // Half of a request more than the share is as fair as half of one less.
        Some(crew::whole(share.max(0.0) + 0.5).clamp(1, spare))
    }
}

/// A part of what is free, by weight; the usual weight may have all of it.
fn weighted(free: usize, weight: u32) -> usize {
    let part = (free as u64).saturating_mul(weight.into()) / u64::from(WEIGHT);
    usize::try_from(part).unwrap_or(usize::MAX)
}

/// The weight of a site that says nothing.
const WEIGHT: u32 = 100;
/// Requests that wait, in all sites: each holds a connection, of which there are 10,000, and a few KiB.
const QUEUED_MAX: usize = 8_000;
/// Workers of all sites: what the budget of 20,000 descriptors has for them.
const WORKERS_SUM_MAX: usize = 2_000;
/// Others that use less than this part of one core are not kept a core free for.
const OTHERS_LOAD_MIN: f64 = 0.02;
/// What an idle worker may stay while memory is short.
const SHORT_IDLE: Duration = Duration::from_secs(1);
/// Idle workers but the last one of a site stay for this part of the whole time.
const SPARE_IDLE_PART: u32 = 4;
