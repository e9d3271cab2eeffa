//! One entry of a site's file: when it is to be started, when what runs is to be stopped.
//!
//! Pure: it is told what the clocks show and what has happened, and says what is to be done.

use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_config::Site;
use hostel_config::jobs::{Cron, Daemon, Overlap};
use hostel_sys::back_off::BackOff;
use hostel_sys::clock::Civil;

/// What both clocks show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// In milliseconds since 1970; may be set by anybody who may.
    pub(crate) wall: i64,
    /// Goes on and on.
    pub(crate) at: Instant,
}

/// How a time of the host's zone is found.
pub(crate) type Zone = fn(i64) -> Civil;

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Job {
    /// Runs at times.
    Cron(Cron),
    /// Always runs.
    Daemon(Daemon),
}

impl Job {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Cron(cron) => &cron.name,
            Self::Daemon(daemon) => &daemon.name,
        }
    }

    pub(crate) fn command(&self) -> &str {
        match self {
            Self::Cron(cron) => &cron.command,
            Self::Daemon(daemon) => &daemon.command,
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Cron(_) => "cron",
            Self::Daemon(_) => "daemon",
        }
    }
}

/// Why a run is ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// It took too long.
    Timeout,
    /// The next one is due.
    Replaced,
    /// Its entry or its site has changed.
    Changed,
    /// Its entry is gone.
    Removed,
}

/// What is to be done about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Start,
    Stop(Why),
}

/// How the last run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Last {
    /// When it began, in milliseconds since 1970.
    pub(crate) started: i64,
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A status as a shell tells it, and why it was ended if it was.
    Ended(u8, Option<Why>),
    /// Its sandbox was not started.
    NotStarted(String),
}

/// How often what has happened since this program was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// It was started.
    pub(crate) runs: u64,
    /// It ended with another status than 0, or was not started.
    pub(crate) failed: u64,
    /// It was due while the last run was under way, and left out.
    pub(crate) skipped: u64,
    /// It was due while this program could not act, or the clock was set past it.
    pub(crate) missed: u64,
}

/// An entry.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) job: Job,
    pub(crate) site: Rc<Site>,
    /// When a cron entry is due, in seconds since 1970.
    pub(crate) next: Option<i64>,
    pub(crate) last: Option<Last>,
    pub(crate) counts: Counts,
    /// A run of a cron entry is due as soon as none is under way.
    is_wanted: bool,
    /// What runs is not what should run.
    is_stale: bool,
    is_gone: bool,
    back_off: BackOff,
    running: Option<Running>,
}

/// A run.
#[derive(Debug, Clone, Copy)]
struct Running {
    begun: Now,
    stopped: Option<Why>,
}

impl Entry {
    pub(crate) fn new(job: Job, site: Rc<Site>, now: Now, zone: Zone) -> Self {
        let mut entry = Self {
            job,
            site,
            next: None,
            last: None,
            counts: Counts::default(),
            is_wanted: false,
            is_stale: false,
            is_gone: false,
            back_off: BackOff::new(now.at),
            running: None,
        };
        entry.plan(now, zone);
        entry
    }

    /// When a cron entry is due next, from now on.
    pub(crate) fn plan(&mut self, now: Now, zone: Zone) {
        if let Job::Cron(cron) = &self.job {
            self.next = cron.at.next(now.wall.div_euclid(1000), zone);
        }
    }

    /// What is to be done now. To be asked until it is nothing.
    pub(crate) fn act(&mut self, now: Now, zone: Zone) -> Option<Deed> {
        if !self.is_gone {
            self.look_at_the_clock(now, zone);
        }
        match self.running {
            Some(running) if running.stopped.is_some() => None,
            Some(running) => {
                let why = self.why_to_stop(running, now)?;
                self.running = Some(Running {
                    stopped: Some(why),
                    ..running
                });
                Some(Deed::Stop(why))
            }
            None if self.is_gone => None,
            None => self.is_due(now).then_some(Deed::Start),
        }
    }

    fn look_at_the_clock(&mut self, now: Now, zone: Zone) {
        let Job::Cron(cron) = &self.job else {
            return;
        };
        let wall = now.wall.div_euclid(1000);
        let Some(due) = self.next.filter(|due| *due <= wall) else {
            return;
        };
        let overlap = cron.overlap;
        self.plan(now, zone);
        if wall - due > LATE_MAX {
            self.counts.missed += 1;
            return;
        }
        match (self.running, overlap) {
            (Some(_), Overlap::Skip) => self.counts.skipped += 1,
            (None, _) | (Some(_), Overlap::Wait | Overlap::Kill) => self.is_wanted = true,
        }
    }

    fn why_to_stop(&self, running: Running, now: Now) -> Option<Why> {
        if self.is_gone {
            return Some(Why::Removed);
        }
        if self.is_stale {
            return Some(Why::Changed);
        }
        let Job::Cron(cron) = &self.job else {
            return None;
        };
        if now.at.saturating_duration_since(running.begun.at) >= cron.timeout {
            return Some(Why::Timeout);
        }
        (self.is_wanted && cron.overlap == Overlap::Kill).then_some(Why::Replaced)
    }

    fn is_due(&self, now: Now) -> bool {
        match self.job {
            Job::Cron(_) => self.is_wanted,
            Job::Daemon(_) => self.back_off.not_before() <= now.at,
        }
    }

    /// When it is to be asked again, if nothing happens before.
    pub(crate) fn deadline(&self, now: Now) -> Option<Instant> {
        let next = self.next.filter(|_| !self.is_gone).map(|next| {
            let wait = next.saturating_mul(1000).saturating_sub(now.wall).max(0);
            now.at + Duration::from_millis(wait.unsigned_abs())
        });
        let own = match (&self.job, &self.running) {
            (Job::Cron(cron), Some(running)) if running.stopped.is_none() => {
                Some(running.begun.at + cron.timeout)
            }
            (Job::Daemon(_), None) if !self.is_gone => Some(self.back_off.not_before()),
            _ => None,
        };
        next.into_iter().chain(own).min()
    }

    /// Its sandbox was started.
    pub(crate) fn started(&mut self, now: Now) {
        self.counts.runs += 1;
        self.is_wanted = false;
        self.is_stale = false;
        self.running = Some(Running {
            begun: now,
            stopped: None,
        });
    }

    /// Its sandbox was not started.
    pub(crate) fn not_started(&mut self, now: Now, why: String) {
        self.counts.failed += 1;
        self.is_wanted = false;
        self.last = Some(Last {
            started: now.wall,
            took: Duration::ZERO,
            outcome: Outcome::NotStarted(why),
        });
        self.running = None;
        self.back_off.died(now.at, now.at);
    }

    /// Its run has ended.
    pub(crate) fn ended(&mut self, now: Now, status: u8) {
        let Some(running) = self.running.take() else {
            return;
        };
        self.counts.failed += u64::from(status != 0);
        self.last = Some(Last {
            started: running.begun.wall,
            took: now.at.saturating_duration_since(running.begun.at),
            outcome: Outcome::Ended(status, running.stopped),
        });
        if running.stopped == Some(Why::Changed) {
            self.back_off.ended_well(now.at);
        } else {
            self.back_off.died(running.begun.at, now.at);
        }
    }

    /// What its file says from now on. Where the site is another one than before, so far as jobs are concerned, what runs is ended.
    pub(crate) fn change(
        &mut self,
        job: Job,
        site: Rc<Site>,
        is_all_new: bool,
        now: Now,
        zone: Zone,
    ) {
        let is_other_site = is_all_new || self.site != site;
        let must_end = match job {
            Job::Cron(_) => self.site.user != site.user || self.site.home != site.home,
            Job::Daemon(_) => is_other_site || self.job != job,
        };
        self.is_stale |= must_end && self.running.is_some();
        if self.running.is_none() && (is_other_site || self.job != job) {
            self.back_off.ended_well(now.at);
        }
        let is_other_job = self.job != job;
        (self.job, self.site, self.is_gone) = (job, site, false);
        if is_other_job {
            self.is_wanted = false;
            self.plan(now, zone);
        }
    }

    /// It is not in the configuration any more.
    pub(crate) fn remove(&mut self) {
        self.is_gone = true;
        self.next = None;
        self.is_wanted = false;
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_over(&self) -> bool {
        self.is_gone && self.running.is_none()
    }

    /// When its run began, in milliseconds since 1970.
    pub(crate) fn running_since(&self) -> Option<i64> {
        self.running.map(|running| running.begun.wall)
    }

    /// Whether its run was told to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.running
            .is_some_and(|running| running.stopped.is_some())
    }
}

/// In seconds: what is noticed later than this was missed, since the host has slept or its clock was set.
const LATE_MAX: i64 = 60;

#[cfg(test)]
mod tests;
