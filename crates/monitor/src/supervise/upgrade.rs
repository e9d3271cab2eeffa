//! What the monitor does to go on as another program, with new ones beside it, while visitors are served.
//!
//! The new program first runs as a child and says whether it could serve. Then this process becomes it, with all sockets, the front
//! and the sandboxes as they are; the old front serves until the new one is ready, and is then told to leave. If there never is a
//! new one, the old one goes on.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use hostel_config::SystemUsers;
use hostel_sys::handover::become_program;
use hostel_sys::helper::Helper;
use hostel_wire::admin::{Outcome, Question, Report};
use hostel_wire::front_monitor::ToFront;
use hostel_wire::takeover::{Former, State, VERSION, Verdict};

use super::reload::{problems, refusal};
use super::{END_WITHIN, Monitor};
use crate::front::Front;
use crate::log::say;
use crate::reload::difference;
use crate::sites::Sandbox;
use hostel_monitor::launch::MONITOR;

/// The new program while it looks whether it could serve.
#[derive(Debug)]
pub(crate) struct Upgrade {
    pub(super) helper: Helper,
    pub(super) until: Instant,
    is_dry_run: bool,
}

impl Monitor {
    /// Whether nothing is under way that another program would have to know of, such as a site that a visitor waits for while there are no rules.
    pub(super) fn is_settled(&self, now: Instant) -> bool {
        let is_ready = |front: &Front| front.deadline.is_none() && !front.has_unsent();
        let is_known = |site: &crate::sites::Site| site.is_listed && site.retired.is_none();
        let is_due =
            |site: &crate::sites::Site| site.next_deadline(true).is_some_and(|at| at <= now);
        self.former.is_none()
            && self.front.as_ref().is_some_and(is_ready)
            && self
                .sites
                .iter()
                .all(|(_, site)| is_known(site) && !is_due(site))
    }

    /// Let the new program look whether it could serve.
    pub(super) fn begin_upgrade(&mut self, is_dry_run: bool, now: Instant) {
        let next = match self.loader.load(&self.path, &SystemUsers::read()) {
            Ok(next) => next,
            Err(errors) => return self.control.answer(&problems(&errors)),
        };
        // The old front's sites are known to the new program by what the configuration says of them.
        let running = self.sites.listed().map(|(id, site)| (id, &site.config));
        let found = difference(running, &next, false);
        if !found.told.is_empty() {
            let text = "the configuration has changed; 'hostel reload' has to take it first";
            let mut report = refusal(text);
            (report.sites, report.unchanged) = (found.told, found.unchanged);
            return self.control.answer(&report);
        }
        let mut argument = std::ffi::OsString::from(CHECK);
        argument.push(&self.path);
        match Helper::start(MONITOR, argument.as_ref()) {
            Ok(helper) => {
                let until = now + CHECK_MAX;
                self.upgrade = Some(Upgrade {
                    helper,
                    until,
                    is_dry_run,
                });
            }
            Err(error) => self.refuse_upgrade(&format!("{MONITOR} does not start: {error}")),
        }
    }

    /// Hear what the new program says, or learn of its end.
    pub(super) fn hear_upgrade(&mut self, now: Instant) {
        let Some(upgrade) = &self.upgrade else {
            return;
        };
        let mut buffer = [0; Verdict::BYTES_MAX];
        let heard = upgrade.helper.hear(&mut buffer).ok().flatten();
        let verdict = heard.map(Verdict::decode);
        let has_ended = !matches!(upgrade.helper.has_ended(), Ok(false));
        let fault = match verdict {
            Some(Ok(Verdict { version, .. })) if version != VERSION => {
                "the new programs are of a version that cannot take over from this one (hint: restart the server)".to_owned()
            }
            Some(Ok(verdict)) => verdict.fault,
            Some(Err(error)) => format!("{MONITOR} says something else than what it found: {error}"),
            None if has_ended => format!("{MONITOR} has ended without a word; what it printed may tell why"),
            None if upgrade.until <= now => format!("{MONITOR} takes longer than {CHECK_MAX:?}"),
            None => return,
        };
        let is_dry_run = upgrade.is_dry_run;
        if let Some(upgrade) = self.upgrade.take()
            && !has_ended
        {
            upgrade.helper.abandon(END_WITHIN);
        }
        match fault.is_empty() {
            true if is_dry_run => self.control.answer(&Report::new(Outcome::WouldBeDone)),
            // A visitor has woken a site while the new program looked: it would not know of that. It looks again once the site has begun.
            true if !self.is_settled(now) => {
                self.question = Some(Question::Upgrade { is_dry_run });
            }
            true => self.become_new(),
            false => self.refuse_upgrade(&fault),
        }
    }

    fn refuse_upgrade(&mut self, why: &str) {
        let text = format!("the old programs go on: {why}");
        self.log.error(format_args!("upgrade: {text}"));
        self.control.answer(&refusal(&text));
    }

    /// Become the new program. The firewall is killed without a word, so that its rules stay; the next one goes on with them. Mail that
    /// waits, and the times of jobs, are on the disk.
    fn become_new(&mut self) {
        if self.front.is_some() {
            self.log
                .information(format_args!("upgrade: going on as the new program"));
            self.abandon_jobs();
            self.dismiss_mail();
            self.firewall.abandon();
        }
        let Some(front) = &self.front else {
            return self.refuse_upgrade("the front has died meanwhile");
        };
        let mut descriptors = vec![self.status.as_fd()];
        descriptors.extend(self.control.handed_on());
        descriptors.extend(self.listeners.iter().map(|one| one.as_fd()));
        descriptors.extend([front.child.pidfd.as_fd(), front.socket()]);
        let mut sites = Vec::new();
        for (id, site) in self.sites.iter() {
            let sandbox = site.sandbox.as_ref();
            descriptors.extend(sandbox.into_iter().flat_map(Sandbox::handed_on));
            let launched = sandbox.map(|sandbox| &sandbox.launched);
            let group = launched.and_then(|launched| launched.group.as_ref());
            sites.push(Former {
                id: id.0,
                name: site.config.name.clone(),
                keeper: launched.map(|launched| launched.child.pid),
                group: group.map(|group| group.path().display().to_string()),
            });
        }
        let state = State {
            is_asked: self.control.is_asked(),
            http: self.server.http.iter().map(ToString::to_string).collect(),
            front: front.child.pid,
            last_id: self.sites.last_id(),
            groups: self.resources.state(),
            sites,
        };
        let (path, count) = (self.programs.path_of(MONITOR), descriptors.len());
        if count > DESCRIPTORS_MAX {
            let text = format!("{count} sockets and sandboxes are too many to hand over");
            return self.refuse_upgrade(&text);
        }
        let words: [&OsStr; 4] = [
            MONITOR.as_ref(),
            "--config".as_ref(),
            self.path.as_ref(),
            TAKE_OVER.as_ref(),
        ];
        let environment = &self.notify.environment;
        let error = become_program(&path, &words, environment, &state.encode(), &descriptors);
        let text = format!("{} cannot be executed: {error}", path.display());
        self.refuse_upgrade(&text);
    }

    /// The new front serves: the old one need not take connections any more.
    pub(super) fn relieve_former(&mut self, now: Instant) {
        let mut text = "upgraded; the old front has ended".to_owned();
        let former = self.former.as_mut();
        if let Some(former) = former.filter(|former| former.deadline.is_none()) {
            let seconds = u32::try_from(LEAVE_LIMIT.as_secs()).unwrap_or(u32::MAX);
            former.tell(&ToFront::Leave { seconds }, &[]);
            former.deadline = Some(now + LEAVE_LIMIT + END_WITHIN);
            let (old, new) = (former.child.pid, self.front.as_ref());
            let new = new.map_or(0, |front| front.child.pid);
            text = format!(
                "upgraded: front {new} serves, front {old} finishes what it has begun, for {seconds} seconds at most"
            );
        } else if !self.is_taking_over {
            return;
        }
        self.log.information(format_args!("{text}"));
        say(&format!("hostel: {text}"));
        if std::mem::take(&mut self.is_taking_over) {
            let mut report = Report::new(Outcome::Done);
            report.notes.push(text);
            self.control.answer(&report);
        }
    }

    /// The new front does not serve, and the old one goes on. Whoever has asked learns of the first failure.
    pub(super) fn keep_former(&mut self, why: &str) {
        if std::mem::take(&mut self.is_taking_over) {
            let text =
                format!("the old front goes on, for the new one {why}; the new one is tried again");
            self.control.answer(&refusal(&text));
        }
    }

    /// The old front has ended, and with it the need for what it knew.
    pub(super) fn former_ended(&mut self, now: Instant) {
        self.former = None;
        for site in self.sites.iter_mut().filter(|site| site.is_former) {
            site.retired = Some(now);
            site.is_wanted = false;
        }
        self.log
            .information(format_args!("upgrade: the old front has ended"));
    }
}

/// The word before the configuration's path by which the program only looks whether it could serve.
pub(crate) const CHECK: &str = "--check=";
/// The word before the number of what is handed over.
pub(crate) const TAKE_OVER: &str = "--take-over";
/// The check starts a front.
const CHECK_MAX: Duration = Duration::from_secs(60);
/// How long the requests of the old front may take, and clients that keep a connection may leave it unused.
const LEAVE_LIMIT: Duration = Duration::from_secs(30);
/// What is handed over is held by the new program beside everything that it opens itself.
const DESCRIPTORS_MAX: usize = 100_000;
