//! How many requests of one site may run at once: found by trying, while the processors are short.
//!
//! Pure; a part of [`super::Scheduler`]. Nobody is asked whether a site's pages compute or wait: the site could lie. It is seen from outside.
//! Where half as many run at once and each takes half as long, they were in each other's way, and nothing is lost. Where
//! each takes as long as before, they waited for something else, and the site gets its number back. Trials that
//! win nothing are repeated after growing pauses, so that the number rests.

use std::time::{Duration, Instant};

/// What is known of one site.
pub(super) struct Climb {
    /// The most that may run; `None`: no bound was needed yet.
    limit: Option<usize>,
    trial: Option<Trial>,
    meter: Meter,
    /// Not before these times another trial.
    up_at: Instant,
    down_at: Instant,
    up_pause: Duration,
    down_pause: Duration,
    /// What a request took in the last trial, whatever it showed.
    about: Option<f64>,
    /// When somebody waited last, or the limit was met.
    pressed_at: Instant,
}

/// What the scheduler tells in each beat.
pub(super) struct Situation {
    pub(super) is_host_busy: bool,
    /// Whether somebody has waited for longer than is decent.
    pub(super) is_late: bool,
    /// The number that the site may have without proof.
    pub(super) floor: usize,
    pub(super) cores: usize,
    pub(super) running: usize,
    pub(super) workers: usize,
}

struct Trial {
    /// The limit before it.
    from: usize,
    before: Reading,
    is_up: bool,
}

/// The answers of a while.
struct Meter {
    /// Nothing counts before this time: those requests began under the number before.
    since: Instant,
    is_open: bool,
    answers: u32,
    seconds: f64,
}

/// What a while has shown.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Seconds that a request took, on the average.
    service: f64,
    /// Requests that ran at once, on the average.
    running: f64,
}

impl Climb {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            limit: None,
            trial: None,
            meter: Meter::after(now),
            up_at: now,
            down_at: now,
            up_pause: PAUSE_MIN,
            down_pause: PAUSE_MIN,
            about: None,
            pressed_at: now,
        }
    }

    pub(super) fn limit(&self) -> Option<usize> {
        self.limit
    }

    pub(super) fn served(&mut self, seconds: f64) {
        if self.meter.is_open {
            self.meter.answers += 1;
            self.meter.seconds += seconds;
        }
    }

    pub(super) fn beat(&mut self, now: Instant, situation: &Situation) {
        let is_pressed =
            situation.is_late || self.limit.is_some_and(|limit| situation.running >= limit);
        if is_pressed {
            self.pressed_at = now;
        } else if now.duration_since(self.pressed_at) > FORGOTTEN_AFTER {
            *self = Self::new(now);
            return;
        }
        // What it may have without proof needs no trial.
        if self.limit.is_some_and(|limit| limit < situation.floor) && self.trial.is_none() {
            self.limit = Some(situation.floor);
            self.measure_anew(now);
        }
        if let Some(limit) = self.limit
            && self.trial.is_none()
            && situation.is_host_busy
            && (situation.floor + 1..=situation.cores + 1).contains(&limit)
            && now >= self.down_at
        {
            // So few cannot be told from one that waits; a trial upwards will.
            self.limit = Some(situation.floor);
            self.up_at = now + self.up_pause;
            self.measure_anew(now);
        }
        let Some(reading) = self.meter.read(now) else {
            return;
        };
        match self.trial.take() {
            Some(trial) => self.judge(now, &trial, reading, situation),
            None => self.consider(now, reading, situation),
        }
    }

    /// Begin a trial, if there is a reason.
    fn consider(&mut self, now: Instant, reading: Reading, situation: &Situation) {
        // Other pages than those that the verdict was about: it may not hold for them.
        let has_changed = |service: f64| (reading.service / service).ln().abs() > OTHER_PAGES;
        if self.about.is_some_and(has_changed) {
            self.about = None;
            (self.up_pause, self.down_pause) = (PAUSE_MIN, PAUSE_MIN);
            self.up_at = self.up_at.min(now + PAUSE_MIN);
            self.down_at = now;
        }
        let may = self
            .limit
            .unwrap_or(situation.workers)
            .min(situation.workers);
        if situation.is_host_busy && may > situation.floor && now >= self.down_at {
            // With fewer than there are cores less is done whatever the pages do: that would prove nothing.
            let fewer = (may / 2).max(situation.cores + 1).max(situation.floor);
            if fewer < may {
                self.attempt(now, reading, may, fewer);
            } else {
                self.limit = Some(may);
                self.measure_anew(now);
            }
        } else if let Some(limit) = self.limit.or(situation.is_host_busy.then_some(may))
            && situation.is_late
            && situation.workers >= limit
            && now >= self.up_at
        {
            self.attempt(now, reading, limit, limit.max(situation.cores) * 2);
        } else {
            self.measure_anew(now);
        }
    }

    fn attempt(&mut self, now: Instant, before: Reading, from: usize, to: usize) {
        self.trial = Some(Trial {
            from,
            before,
            is_up: to > from,
        });
        self.limit = Some(to);
        self.meter = Meter::after(now + settling(before.service));
    }

    fn judge(&mut self, now: Instant, trial: &Trial, reading: Reading, situation: &Situation) {
        self.about = Some(reading.service);
        let grown = (reading.running / trial.before.running).ln();
        let stretched = (reading.service / trial.before.service).ln();
        // 1: as much more was done as ran at once; 0: each only took longer.
        let won = if grown.abs() < CHANGE_MIN {
            None
        } else {
            Some(1.0 - stretched / grown)
        };
        let is_kept = match (trial.is_up, won) {
            (true, Some(won)) => won > WON_UP,
            // It was not used: harmless if nobody waits, and no proof.
            (true, None) => !situation.is_late && !situation.is_host_busy,
            (false, Some(won)) => won < LOST_DOWN,
            (false, None) => true,
        };
        match (trial.is_up, is_kept) {
            (true, true) => {
                // What waits is not in the way: not cut again soon.
                self.up_pause = PAUSE_MIN;
                self.down_at = now + self.down_pause.max(PROVEN_FOR);
            }
            (true, false) => {
                self.limit = Some(trial.from);
                self.up_at = now + self.up_pause;
                self.up_pause = (self.up_pause * 2).min(PAUSE_MAX);
            }
            (false, true) => {
                self.down_pause = PAUSE_MIN;
                self.up_at = now + self.up_pause;
            }
            (false, false) => {
                self.limit = Some(trial.from);
                self.down_at = now + self.down_pause.max(PROVEN_FOR);
                self.down_pause = (self.down_pause * 2).min(PAUSE_MAX);
            }
        }
        self.meter = Meter::after(now + settling(reading.service));
    }

    fn measure_anew(&mut self, now: Instant) {
        self.meter = Meter::after(now);
    }
}

impl Meter {
    fn after(since: Instant) -> Self {
        Self {
            since,
            is_open: false,
            answers: 0,
            seconds: 0.0,
        }
    }

    /// What was seen, once it is enough. Opens itself when its time has come.
    fn read(&mut self, now: Instant) -> Option<Reading> {
        if !self.is_open {
            if now >= self.since {
                self.is_open = true;
                self.since = now;
            }
            return None;
        }
        let passed = now.duration_since(self.since);
        if self.answers == 0 {
            return None;
        }
        let service = self.seconds / f64::from(self.answers);
        let is_enough = passed >= WINDOW_MIN
            && self.answers >= ANSWERS_MIN
            && passed.as_secs_f64() >= service * 2.0;
        if !is_enough && passed < WINDOW_MAX {
            return None;
        }
        Some(Reading {
            service: service.max(1e-6),
            running: (self.seconds / passed.as_secs_f64()).max(1e-3),
        })
    }
}

/// How long after a change the requests of the time before are still answered, and workers started.
fn settling(service: f64) -> Duration {
    Duration::from_secs_f64(service.clamp(0.0, 2.0)) + Duration::from_millis(50)
}

/// A reading has at least so many answers, in at least this time; beyond the longer one it has what it has.
const ANSWERS_MIN: u32 = 24;
const WINDOW_MIN: Duration = Duration::from_millis(200);
const WINDOW_MAX: Duration = Duration::from_secs(3);
/// A smaller change (as a logarithm) of what runs at once proves nothing.
const CHANGE_MIN: f64 = 0.1;
/// A trial upwards must win three quarters of what it could. From one on one of two cores to four on both wins half, and is
/// no proof that pages wait.
const WON_UP: f64 = 0.75;
/// A trial downwards must lose less than this part of what it could.
const LOST_DOWN: f64 = 0.6;
/// Pages that take so much more or less (as a logarithm: five times) are others.
const OTHER_PAGES: f64 = 1.6;
/// The pause after a trial that won nothing, at first and at last.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(64);
/// Who has shown that its pages wait is believed for so long.
const PROVEN_FOR: Duration = Duration::from_secs(10);
/// What was learned is forgotten when nobody has waited for so long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);
