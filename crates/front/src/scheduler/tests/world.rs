//! The host of the simulation: processors that are shared, sites, visitors, and the pools in between.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use hostel_wire::front_monitor::SiteId;

use crate::scheduler::{Arrival, Sample, Scheduler, Slot, Staff, Terms};

/// What a request does: computes, waits, computes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) cpu: Duration,
    pub(super) wait: Duration,
    memory_mib: u64,
}

impl Page {
    pub(super) fn busy(cpu: Duration) -> Self {
        Self {
            cpu,
            wait: Duration::ZERO,
            memory_mib: 20,
        }
    }

    pub(super) fn slow(cpu: Duration, wait: Duration) -> Self {
        Self {
            cpu,
            wait,
            memory_mib: 20,
        }
    }

    pub(super) fn taking(self, memory_mib: u64) -> Self {
        Self { memory_mib, ..self }
    }
}

/// Who visits a site.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    page: Page,
    /// Requests in a second, whatever became of those before; 0 for `clients`.
    rate: f64,
    /// Visitors who ask again as soon as they are answered.
    clients: usize,
    weight: u32,
    queue: usize,
    from: Duration,
    to: Duration,
    again: Option<Duration>,
    curve: Option<Duration>,
    burst: usize,
}

impl Plan {
    pub(super) fn steady(page: Page, rate: f64) -> Self {
        Self {
            page,
            rate,
            clients: 0,
            weight: 100,
            queue: 1000,
            from: Duration::ZERO,
            to: Duration::MAX,
            again: None,
            curve: None,
            burst: 1,
        }
    }

    pub(super) fn clients(page: Page, clients: usize) -> Self {
        Self {
            clients,
            ..Self::steady(page, 0.0)
        }
    }

    pub(super) fn weight(self, weight: u32) -> Self {
        Self { weight, ..self }
    }

    pub(super) fn queue(self, queue: usize) -> Self {
        Self { queue, ..self }
    }

    pub(super) fn between(self, from: Duration, to: Duration) -> Self {
        Self { from, to, ..self }
    }

    pub(super) fn again_at(self, at: Duration) -> Self {
        Self {
            again: Some(at),
            ..self
        }
    }

    pub(super) fn curve(self, day: Duration) -> Self {
        Self {
            curve: Some(day),
            ..self
        }
    }

    /// They come so many at a time.
    pub(super) fn bursts(self, burst: usize) -> Self {
        Self {
            burst,
            rate: self.rate / burst as f64,
            ..self
        }
    }

    fn is_open(&self, now: Duration) -> bool {
        (self.from..self.to).contains(&now) || self.again.is_some_and(|again| now >= again)
    }
}

/// What visitors saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) answered: usize,
    pub(super) refused: usize,
    times: Vec<Duration>,
}

impl Seen {
    pub(super) fn median(&self) -> Duration {
        self.percentile(50)
    }

    pub(super) fn percentile(&self, hundredths: usize) -> Duration {
        self.times[(self.times.len() - 1) * hundredths / 100]
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The time to the next one of those who come at random, so many a second.
    fn pause(&mut self, rate: f64) -> Duration {
        Duration::from_secs_f64((-(1.0 - self.part()).ln() / rate).min(1e6))
    }
}

struct Site {
    plan: Plan,
    slot: Slot,
    /// Since when each idle worker idles; the one used last is last.
    idle: Vec<Duration>,
    starting: usize,
    busy: usize,
    queue: VecDeque<Duration>,
    answers: Vec<(Duration, Duration)>,
    refusals: Vec<Duration>,
    started: Vec<Duration>,
    has_php: bool,
    random: Random,
    /// How many ran, over time.
    ran: Vec<(Duration, usize)>,
}

/// What a processor is busy with, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    /// Another program of the host, which never ends.
    Hog,
    Start(usize),
    /// The first and the second part of a request that came then and was taken up then.
    First(usize, Duration, Duration),
    Second(usize, Duration, Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive(usize, usize),
    Client(usize),
    Woken(Task),
    /// Workers of the site may have started by now, or others' idle time has passed.
    Beat,
}

pub(super) struct World {
    scheduler: Scheduler,
    origin: Instant,
    now: Duration,
    cores: usize,
    memory: u64,
    sites: Vec<Site>,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    count: u64,
    /// By how much of the processor each has had when it is done.
    runnable: BTreeMap<(Duration, u64), Task>,
    /// What each runnable has had since the beginning.
    virtual_time: Duration,
    stall: Duration,
    seed: u64,
    memory_used: u64,
    is_stopped: bool,
    pub(super) memory_least: u64,
    pub(super) workers_most: usize,
    pub(super) queued_most: usize,
    pub(super) trace: u64,
}

/// The pool's own period while somebody waits.
const ATTEND: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_secs(20);
const QUEUE_TIME: Duration = Duration::from_secs(10);
const FORK: Duration = Duration::from_millis(2);
const START: Duration = Duration::from_millis(40);
const WORKER_MIB: u64 = 8;

impl World {
    pub(super) fn new(cores: usize, memory: u64, seed: u64) -> Self {
        let mut world = Self {
            scheduler: Scheduler::new(cores, memory),
            origin: Instant::now(),
            now: Duration::ZERO,
            cores,
            memory,
            sites: Vec::new(),
            events: BinaryHeap::new(),
            count: 0,
            runnable: BTreeMap::new(),
            virtual_time: Duration::ZERO,
            stall: Duration::ZERO,
            seed,
            memory_used: 0,
            is_stopped: false,
            memory_least: memory,
            workers_most: 0,
            queued_most: 0,
            trace: 0,
        };
        world.beat();
        world.after(ATTEND, Event::Beat);
        world
    }

    pub(super) fn site(&mut self, plan: Plan) -> usize {
        let number = self.sites.len();
        let terms = Terms {
            site: SiteId(u32::try_from(number).unwrap()),
            workers_max: 100,
            queue_max: plan.queue,
            weight: plan.weight,
            is_once: false,
        };
        self.sites.push(Site {
            plan,
            slot: self.scheduler.enter(terms, self.origin),
            idle: Vec::new(),
            starting: 0,
            busy: 0,
            queue: VecDeque::new(),
            answers: Vec::new(),
            refusals: Vec::new(),
            started: Vec::new(),
            has_php: false,
            // Of its own, so that who else is there changes nothing in who comes when.
            random: Random(
                (self.seed + number as u64 * 7919).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            ),
            ran: Vec::new(),
        });
        if plan.rate > 0.0 {
            let pause = plan.from + self.sites[number].random.pause(plan.rate);
            self.after(pause, Event::Arrive(number, plan.burst));
        }
        for at in [Some(plan.from), plan.again].into_iter().flatten() {
            for _ in 0..plan.clients {
                let pause = at + Duration::from_micros(self.sites[number].random.next() % 1000);
                self.after(pause, Event::Client(number));
            }
        }
        number
    }

    /// Another program of the host wants a processor from now on.
    pub(super) fn hog(&mut self) {
        self.compute(Duration::from_secs(3600), Task::Hog);
    }

    pub(super) fn run(&mut self, until: Duration) {
        loop {
            let rate = self.rate();
            let done = self.runnable.first_key_value().map(|((at, _), _)| {
                self.now
                    + (at.saturating_sub(self.virtual_time)).div_f64(rate)
                    + Duration::from_nanos(1)
            });
            let next = self.events.peek().map(|Reverse((at, _, _))| *at);
            let at = [done, next].into_iter().flatten().min().unwrap();
            if at > until {
                self.pass(until);
                return;
            }
            self.pass(at);
            if done.is_some_and(|done| next.is_none_or(|next| done <= next)) {
                let (_, task) = self.runnable.pop_first().unwrap();
                self.done(task);
            } else if let Some(Reverse((_, _, event))) = self.events.pop() {
                self.happen(event);
            }
        }
    }

    /// How much of a processor each has that wants one.
    fn rate(&self) -> f64 {
        (self.cores as f64 / self.runnable.len().max(1) as f64).min(1.0)
    }

    fn pass(&mut self, at: Duration) {
        let passed = at.saturating_sub(self.now);
        self.virtual_time += passed.mul_f64(self.rate());
        if self.runnable.len() > self.cores {
            self.stall += passed;
        }
        self.now = self.now.max(at);
    }

    fn compute(&mut self, cpu: Duration, task: Task) {
        self.count += 1;
        self.runnable
            .insert((self.virtual_time + cpu, self.count), task);
    }

    fn after(&mut self, pause: Duration, event: Event) {
        self.count += 1;
        self.events
            .push(Reverse((self.now + pause, self.count, event)));
    }

    fn instant(&self) -> Instant {
        self.origin + self.now
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(number, count) => {
                let plan = self.sites[number].plan;
                let pause = self.sites[number].random.pause(plan.rate);
                self.after(pause, Event::Arrive(number, count));
                // By night a tenth of the visitors of the day come.
                let is_wanted = plan.curve.is_none_or(|day| {
                    let phase = self.now.as_secs_f64() / day.as_secs_f64() * std::f64::consts::TAU;
                    self.sites[number].random.part() < 0.55 - 0.45 * phase.cos()
                });
                if is_wanted && plan.is_open(self.now) && !self.is_stopped {
                    for _ in 0..count {
                        self.arrive(number);
                    }
                }
            }
            Event::Client(number) => {
                if self.sites[number].plan.is_open(self.now) && !self.is_stopped {
                    self.arrive(number);
                }
            }
            Event::Woken(task) => {
                let Task::Second(number, ..) = task else {
                    unreachable!()
                };
                let cpu = self.sites[number].plan.page.cpu / 2;
                self.compute(cpu, task);
            }
            Event::Beat => {
                self.beat();
                self.after(ATTEND, Event::Beat);
            }
        }
        self.queued_most = self.queued_most.max(self.scheduler.queued());
        self.workers_most = self.workers_most.max(self.scheduler.workers());
    }

    fn beat(&mut self) {
        let now = self.instant();
        if self.scheduler.is_due(now) {
            let sample = Sample {
                cpu_stall: Some(self.stall),
                cpu_idle: None,
                memory_stall: Some(Duration::ZERO),
                memory_available: Some(self.memory.saturating_sub(self.memory_used)),
            };
            self.scheduler.beat(now, &sample);
        }
        for site in self.scheduler.waiting() {
            let number = site.0 as usize;
            let late = self.now.saturating_sub(QUEUE_TIME);
            while self.sites[number]
                .queue
                .front()
                .is_some_and(|since| *since < late)
            {
                self.sites[number].queue.pop_front();
                self.refuse(number);
            }
            self.pump(number);
        }
        if self.now.as_millis().is_multiple_of(100) {
            for number in 0..self.sites.len() {
                self.end_idle(number);
            }
        }
    }

    fn end_idle(&mut self, number: usize) {
        let now = self.now;
        let site = &mut self.sites[number];
        let before = site.idle.len();
        while let Some(since) = site.idle.first() {
            let is_last = site.idle.len() + site.busy + site.starting == 1;
            if now - *since <= self.scheduler.idle_time(IDLE, is_last) {
                break;
            }
            site.idle.remove(0);
        }
        let gone = before - site.idle.len();
        self.memory_used -= (gone as u64) * ((WORKER_MIB + site.plan.page.memory_mib) << 20);
        if gone > 0 {
            if site.idle.is_empty() && site.busy + site.starting == 0 {
                site.has_php = false;
            }
            self.report(number);
        }
    }

    fn arrive(&mut self, number: usize) {
        let now = self.instant();
        let site = &mut self.sites[number];
        match self.scheduler.arrive(site.slot, !site.idle.is_empty(), now) {
            Arrival::Run => {
                site.idle.pop();
                self.serve(number, self.now);
            }
            Arrival::Wait => {
                site.queue.push_back(self.now);
                self.report(number);
                self.pump(number);
            }
            Arrival::Refused => self.refuse(number),
        }
    }

    fn refuse(&mut self, number: usize) {
        let now = self.now;
        let site = &mut self.sites[number];
        site.refusals.push(now);
        if site.plan.clients > 0 {
            self.after(Duration::from_secs(1), Event::Client(number));
        }
    }

    fn report(&mut self, number: usize) {
        let site = &self.sites[number];
        let staff = Staff {
            workers: site.idle.len() + site.busy + site.starting,
            queued: site.queue.len(),
        };
        self.scheduler.report(site.slot, staff);
    }

    fn pump(&mut self, number: usize) {
        while !self.sites[number].idle.is_empty() && self.take(number) {
            self.sites[number].idle.pop();
        }
        loop {
            let site = &mut self.sites[number];
            let Some(since) = site.queue.front() else {
                return;
            };
            let waited = self.now - *since;
            if !self.scheduler.hire(site.slot, site.starting, waited) {
                return;
            }
            site.starting += 1;
            site.started.push(self.now);
            let first = !std::mem::replace(&mut site.has_php, true);
            self.memory_used += (WORKER_MIB + site.plan.page.memory_mib) << 20;
            self.memory_least = self
                .memory_least
                .min(self.memory.saturating_sub(self.memory_used));
            self.report(number);
            self.compute(if first { START } else { FORK }, Task::Start(number));
        }
    }

    /// A worker without a job takes the next one that waits, if it may.
    fn take(&mut self, number: usize) -> bool {
        let site = &mut self.sites[number];
        let Some(since) = site.queue.front().copied() else {
            return false;
        };
        let may = self.scheduler.take(site.slot, self.now - since);
        if may {
            site.queue.pop_front();
            self.serve(number, since);
            self.report(number);
        }
        may
    }

    fn serve(&mut self, number: usize, came: Duration) {
        let now = self.now;
        let site = &mut self.sites[number];
        site.busy += 1;
        site.ran.push((now, site.busy));
        let page = site.plan.page;
        let task = if page.wait.is_zero() {
            Task::Second(number, came, now)
        } else {
            Task::First(number, came, now)
        };
        // No two pages take the same.
        let stretch = 0.8 + 0.4 * site.random.part();
        let cpu = if page.wait.is_zero() {
            page.cpu
        } else {
            page.cpu / 2
        };
        self.compute(cpu.mul_f64(stretch), task);
    }

    fn done(&mut self, task: Task) {
        match task {
            Task::Hog => self.hog(),
            Task::Start(number) => {
                self.sites[number].starting -= 1;
                self.free(number);
            }
            Task::First(number, came, begun) => {
                let wait = self.sites[number].plan.page.wait;
                self.after(wait, Event::Woken(Task::Second(number, came, begun)));
            }
            Task::Second(number, came, begun) => {
                let (now, took) = (self.now, self.now - came);
                let site = &mut self.sites[number];
                site.busy -= 1;
                site.ran.push((now, site.busy));
                site.answers.push((now, took));
                let kib = u32::try_from(site.plan.page.memory_mib).unwrap() * 1024;
                self.scheduler.weighed(site.slot, kib);
                self.scheduler.rested(site.slot, Some(now - begun));
                let is_client = site.plan.clients > 0;
                self.trace = (self.trace ^ u64::try_from(took.as_nanos()).unwrap() ^ number as u64)
                    .wrapping_mul(0x100_0000_01b3);
                self.free(number);
                if is_client {
                    self.after(Duration::from_micros(100), Event::Client(number));
                }
            }
        }
    }

    fn free(&mut self, number: usize) {
        if !self.take(number) {
            let now = self.now;
            self.sites[number].idle.push(now);
        }
    }

    pub(super) fn seen(&self, sites: &[usize], from: Duration) -> Seen {
        let sites = || sites.iter().map(|number| &self.sites[*number]);
        let answers = sites().flat_map(|site| &site.answers);
        let mut times: Vec<_> = answers
            .filter(|(at, _)| *at >= from)
            .map(|(_, took)| *took)
            .collect();
        times.sort();
        let refusals = sites().flat_map(|site| &site.refusals);
        Seen {
            answered: times.len(),
            refused: refusals.filter(|at| **at >= from).count(),
            times,
        }
    }

    /// How many of a site's requests ran at once, on the average.
    pub(super) fn running_of(&self, number: usize, from: Duration) -> f64 {
        let mut sum = 0.0;
        let (mut at, mut count) = (from, 0);
        for (then, now_running) in &self.sites[number].ran {
            if *then > from {
                sum += count as f64 * (*then - at).as_secs_f64();
                at = *then;
            }
            count = *now_running;
        }
        sum += count as f64 * (self.now - at).as_secs_f64();
        sum / (self.now - from).as_secs_f64()
    }

    pub(super) fn started_of(&self, number: usize, from: Duration) -> usize {
        self.sites[number]
            .started
            .iter()
            .filter(|at| **at >= from)
            .count()
    }

    pub(super) fn workers_of(&self, number: usize) -> usize {
        let site = &self.sites[number];
        site.idle.len() + site.busy + site.starting
    }

    pub(super) fn workers(&self) -> usize {
        self.scheduler.workers()
    }

    pub(super) fn queued(&self) -> usize {
        self.scheduler.queued()
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.scheduler.stirring.is_empty()
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    /// Nobody comes any more.
    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
    }
}
