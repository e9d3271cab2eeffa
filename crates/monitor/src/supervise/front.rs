//! What the monitor does about the front: start it, hear it, replace it.

use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_config::Site;
use hostel_sys::causes::with_causes;
use hostel_sys::spawn::Progress;
use hostel_wire::front_monitor::{Down, FrontSettings, Opened, SiteId, ToFront, ToMonitor};
use hostel_wire::monitor_jobs::ToJobs;

use super::reload::PHP_FAILED;
use super::{END_WITHIN, Fatal, Monitor};
use crate::front::{Front, FrontError};
use crate::log::say;
use crate::requests::{Known, Phase, Verdict, judge};
use crate::sites::milliseconds;

impl Monitor {
    /// Start a front and give it everything, down to the sandboxes that are awake.
    pub(super) fn start_front(&mut self, now: Instant) -> Result<(), Fatal> {
        let (child, socket) = match self
            .programs
            .front(&self.server.user, Some(&self.resources))
        {
            Ok(started) => started,
            Err(error) if !self.is_announced => return Err(Fatal::Launch(error)),
            Err(error) => {
                let wait = self.front_back_off.died(now, now);
                let text = with_causes(&error);
                self.log.error(format_args!(
                    "cannot start the front, again in {wait:?}: {text}"
                ));
                self.keep_former(&format!("was not started: {text}"));
                return Ok(());
            }
        };
        self.log
            .information(format_args!("front started (process {})", child.pid));
        let mut front = Front::new(child, socket, now);
        let log_level = self.server.log_level.number();
        front.tell(&ToFront::Settings(FrontSettings { log_level }), &[]);
        let mut give = |what, file: &Rc<_>| front.tell(&ToFront::Descriptor(what), &[file]);
        give(Opened::ServerLog, &self.log.file());
        give(Opened::SpillDirectory, self.directories.spill());
        give(Opened::StatusListener, &self.status);
        for listener in &self.listeners {
            give(Opened::HttpListener, listener);
        }
        self.front = Some(front);
        let all: Vec<SiteId> = self.sites.listed().map(|(id, _)| id).collect();
        self.tell_changes(&[], &all);
        if let Some(front) = &mut self.front {
            front.untaken = 0; // the first one is answered otherwise
        }
        for id in self.tried() {
            self.tell_trial(id);
        }
        let is_its = |site: &crate::sites::Site| site.retired.is_none() && !site.is_former;
        for id in self
            .sites
            .ids(|site| site.sandbox.is_some() && is_its(site))
        {
            self.tell_logs(id);
            self.connect(id);
        }
        self.jobs.say(&ToJobs::Front);
        Ok(())
    }

    /// Change the table, and tell the front what has changed.
    pub(super) fn change_table(
        &mut self,
        gone: &[SiteId],
        new: Vec<Rc<Site>>,
        tried: &[SiteId],
        now: Instant,
    ) {
        let mut added = self.sites.change(gone, new, now);
        for id in tried {
            self.sites.list(*id);
        }
        added.extend(tried);
        self.tell_changes(gone, &added);
    }

    fn tell_changes(&mut self, gone: &[SiteId], added: &[SiteId]) {
        let Some(front) = &mut self.front else {
            return;
        };
        let entry = |id: &SiteId| self.sites.of(*id).map(|site| site.entry(*id));
        for message in ToFront::changes(gone, added.iter().filter_map(entry)) {
            front.tell(&message, &[]);
        }
        front.untaken += 1;
    }

    pub(super) fn tell_down(&mut self, site: SiteId, reason: Down, retry: Duration) {
        let is_former = self.sites.is_former(site.0);
        if let Some(front) = front_of(is_former, &mut self.front, &mut self.former) {
            let retry_ms = milliseconds(retry);
            let message = ToFront::SiteDown {
                site,
                reason,
                retry_ms,
            };
            front.tell(&message, &[]);
        }
    }

    pub(super) fn flush_fronts(&mut self) {
        for is_former in [false, true] {
            if let Some(front) = front_of(is_former, &mut self.front, &mut self.former)
                && let Err(error) = front.flush()
            {
                self.give_up_front(is_former, &error);
            }
        }
    }

    /// Take messages, so many that others have their turn.
    pub(super) fn hear_front(&mut self, is_former: bool) {
        for _ in 0..MESSAGES_PER_TURN {
            let front = front_of(is_former, &mut self.front, &mut self.former);
            let Some(front) = front.filter(|front| !front.is_given_up) else {
                return;
            };
            // The old front has a deadline once it was told to leave.
            let is_leaving = is_former && front.deadline.is_some();
            let phase = if is_leaving && self.phase == Phase::Serving {
                Phase::Draining
            } else {
                self.phase
            };
            let message = match front.hear() {
                Ok(Some(message)) => message,
                Ok(None) => return,
                Err(FrontError::Closed) if phase != Phase::Serving => {
                    // Its work is done; this is the way it ends.
                    front.is_given_up = true;
                    front.deadline = Some(Instant::now() + END_WITHIN);
                    return;
                }
                Err(error) => return self.give_up_front(is_former, &error),
            };
            // Neither knows the other's numbers.
            let known = |site| match self.sites.is_former(site) {
                of_former if of_former != is_former && self.sites.is_there(site) => Known::Never,
                _ => self.sites.known(site),
            };
            match judge(message, phase, known) {
                Verdict::Allowed => self.grant(message, is_former),
                Verdict::Late => {}
                Verdict::Breach => {
                    return self.give_up_front(is_former, &FrontError::Breach(message));
                }
            }
        }
    }

    fn grant(&mut self, message: ToMonitor, is_former: bool) {
        match message {
            ToMonitor::Ready if is_former => {}
            ToMonitor::Ready => self.front_is_ready(),
            ToMonitor::WakeSite(id) => {
                // While it runs, this is a visitor who came when it was ending: it is started again then.
                if let Some(site) = self.sites.of(id) {
                    site.is_wanted = true;
                }
            }
            ToMonitor::ReplaceSite(id) => {
                if let Some(site) = self.sites.of(id) {
                    site.is_wanted = true;
                    // What it left to itself would live on, and its site would serve nobody.
                    if let Some(sandbox) = &site.sandbox {
                        let name = &site.config.name;
                        self.log.error(format_args!(
                            "site {name}: the front gave up its keeper; it is killed"
                        ));
                        sandbox.kill();
                    }
                }
            }
            ToMonitor::TableTaken => {
                if let Some(front) = front_of(is_former, &mut self.front, &mut self.former) {
                    front.untaken = front.untaken.saturating_sub(1);
                }
            }
            ToMonitor::SiteWorks(id) => self.trial_ended(id, Ok(())),
            ToMonitor::SiteFails(id) => self.trial_ended(id, Err(PHP_FAILED)),
            ToMonitor::SiteReleased(id) => {
                if let Some(site) = self.sites.of(id) {
                    site.retired = Some(Instant::now());
                }
            }
            ToMonitor::Drained => {
                if let Some(front) = front_of(is_former, &mut self.front, &mut self.former) {
                    front.deadline = Some(Instant::now() + END_WITHIN);
                }
            }
        }
    }

    fn front_is_ready(&mut self) {
        if let Some(front) = &mut self.front {
            front.deadline = None;
        }
        self.relieve_former(Instant::now());
        if self.is_announced {
            return;
        }
        self.is_announced = true;
        let sites = match self.server.sites.len() {
            1 => "1 site".to_owned(),
            count => format!("{count} sites"),
        };
        let mut text = format!("ready: {sites} on");
        for address in &self.server.http {
            text.push_str(&format!(" http://{address}"));
        }
        self.log.information(format_args!("{text}"));
        say(&format!("hostel: {text}"));
        self.notify.ready();
    }

    fn give_up_front(&mut self, is_former: bool, error: &FrontError) {
        if let Some(front) = front_of(is_former, &mut self.front, &mut self.former) {
            front.kill();
        }
        self.log
            .failure(format_args!("the front is given up"), error);
    }

    /// Kill it when it was not ready, or did not end, in time.
    pub(super) fn fronts_are_due(&mut self, now: Instant) {
        for front in self.front.iter_mut().chain(&mut self.former) {
            if front.deadline.is_some_and(|deadline| deadline <= now) {
                front.deadline = Some(now + END_WITHIN);
                front.kill();
                self.log
                    .error(format_args!("the front took too long and is killed"));
            }
        }
    }

    pub(super) fn front_ended(&mut self, is_former: bool) -> Result<(), Fatal> {
        let Some(front) = front_of(is_former, &mut self.front, &mut self.former) else {
            return Ok(());
        };
        let Some(ending) = front.child.ended().map_err(Fatal::Wait)? else {
            return Ok(());
        };
        let text = match front.child.progress() {
            Ok(Progress::Failed(step)) => format!("was not started: {step}"),
            _ => ending.to_string(),
        };
        let (begun, now) = (front.begun, Instant::now());
        if is_former {
            self.former_ended(now);
        } else {
            self.front = None;
        }
        match self.phase {
            Phase::Serving if is_former => return Ok(()),
            Phase::Serving if !self.is_announced => return Err(Fatal::Front(text)),
            Phase::Serving => {
                let wait = self.front_back_off.died(begun, now);
                self.log.error(format_args!(
                    "the front {text}; another one starts in {wait:?}"
                ));
                self.keep_former(&text);
            }
            Phase::Draining if self.front.is_some() || self.former.is_some() => return Ok(()),
            Phase::Draining => self.begin_stopping(now),
            Phase::Stopping => {}
        }
        // No front has requests of these any more.
        let is_gone = |site: &&mut crate::sites::Site| site.retired.is_some();
        for site in self.sites.iter_mut().filter(is_gone) {
            site.retired = Some(now);
            site.is_wanted = false;
        }
        Ok(())
    }
}

/// The old front, or the one that serves.
pub(super) fn front_of<'f>(
    is_former: bool,
    front: &'f mut Option<Front>,
    former: &'f mut Option<Front>,
) -> Option<&'f mut Front> {
    match is_former {
        true => former.as_mut(),
        false => front.as_mut(),
    }
}

/// Messages of the front in one turn; then signals and deaths are looked at.
const MESSAGES_PER_TURN: usize = 64;
