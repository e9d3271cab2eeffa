//! The loop: signals, the front, deaths, deadlines.
//!
//! Runs as root for the monitor's whole life, on one thread; it waits in poll and nowhere else. It trusts the kernel for
//! deaths (pidfds), the front for nothing but the eight questions of `requests`, and it reads nothing from a site. What it
//! starts is told at once and never waited for. `front` and `sites` below have what is done about each, `reload` a new
//! configuration.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_config::{Loader, Server};
use hostel_sys::causes::with_causes;
use hostel_sys::helper::Helper;
use hostel_sys::signal::Signals;
use hostel_sys::wait::wait;
use hostel_sys::watch::Watch;
use hostel_wire::admin::{Question, Report};
use hostel_wire::front_monitor::{Opened, SiteId, ToFront};
use hostel_wire::monitor_jobs::ToJobs;
use rustix::event::{PollFd, PollFlags};
use rustix::process::Signal;

use crate::control::Control;
use crate::front::Front;
use crate::log::Log;
use crate::notify::Notify;
use crate::requests::Phase;
use crate::sites::Sites;
use hostel_monitor::directories::Directories;
use hostel_monitor::launch::{Difference, LaunchError, Programs};
use hostel_monitor::resources::Resources;
use hostel_sys::back_off::BackOff;

mod firewall;
mod front;
mod jobs;
mod mail;
mod reload;
mod sites;
mod upgrade;
mod watch;

pub(crate) use firewall::Firewall;
pub(crate) use jobs::Jobs;
pub(crate) use mail::Mail;
pub(crate) use reload::Reload;
pub(crate) use upgrade::{CHECK, TAKE_OVER, Upgrade};

/// Why the monitor cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fatal {
    #[error("cannot wait for events")]
    Poll(#[source] io::Error),
    #[error("cannot read signals")]
    Signals(#[source] io::Error),
    #[error("cannot wait for a child")]
    Wait(#[source] io::Error),
    #[error("cannot start the front")]
    Launch(#[source] LaunchError),
    #[error("the front {0} before it was ready; what it said stands above or in the server's log")]
    Front(String),
}

/// The monitor at work.
#[derive(Debug)]
pub(crate) struct Monitor {
    /// Where hostel.toml is.
    pub(crate) path: PathBuf,
    pub(crate) loader: Loader,
    pub(crate) server: Server,
    pub(crate) directories: Directories,
    pub(crate) listeners: Vec<Rc<OwnedFd>>,
    pub(crate) status: Rc<OwnedFd>,
    pub(crate) control: Control,
    /// What an administrator has asked for and was not begun.
    pub(crate) question: Option<Question>,
    /// Whether SIGHUP came.
    pub(crate) is_reload_due: bool,
    pub(crate) reload: Option<Reload>,
    /// What came of a reload that the front has not taken yet.
    pub(crate) report: Option<Report>,
    pub(crate) upgrade: Option<Upgrade>,
    /// Whether the outcome of the upgrade that this program came of was not told yet.
    pub(crate) is_taking_over: bool,
    pub(crate) log: Log,
    pub(crate) programs: Programs,
    /// In what every sandbox differs from what is shipped: in nothing, but in a build for tests.
    pub(crate) difference: Difference<'static>,
    pub(crate) resources: Resources,
    pub(crate) signals: Signals,
    /// Over what views are made of; `None` where the kernel cannot tell.
    pub(crate) watch: Option<Watch>,
    pub(crate) notify: Notify,
    pub(crate) sites: Sites,
    pub(crate) firewall: Firewall,
    pub(crate) mail: Mail,
    pub(crate) jobs: Jobs,
    pub(crate) front: Option<Front>,
    /// The front of the program that this one took the place of, while it serves or finishes.
    pub(crate) former: Option<Front>,
    pub(crate) front_back_off: BackOff,
    pub(crate) phase: Phase,
    /// Whether a front was ready once.
    pub(crate) is_announced: bool,
}

/// Something that poll has found.
#[derive(Debug, Clone, Copy)]
enum Event {
    Signal,
    Control,
    HostChanged,
    Firewall,
    MailEnded,
    Upgrade,
    /// Of the present one, or the former.
    FrontSpeaks(bool),
    FrontEnded(bool),
    Jobs,
    SiteAtBound(SiteId),
    SiteEnded(SiteId),
}

impl Monitor {
    /// Until everything has ended after SIGTERM.
    pub(crate) fn run(mut self) -> Result<(), Fatal> {
        let outcome = self.turns();
        self.dismiss_mail();
        // Whose rules hold jobs too.
        self.dismiss_jobs();
        self.dismiss_firewall();
        self.directories.remove_run_files();
        match &outcome {
            Ok(()) => self.log.information(format_args!("stopped")),
            Err(error) => self.log.error(format_args!("{}", with_causes(error))),
        }
        outcome
    }

    fn turns(&mut self) -> Result<(), Fatal> {
        loop {
            self.act(Instant::now())?;
            let is_any_awake = self.sites.iter().any(|(_, site)| site.sandbox.is_some());
            let is_any_front = self.front.is_some() || self.former.is_some();
            if self.phase == Phase::Stopping && !is_any_front && !is_any_awake {
                return Ok(());
            }
            self.flush_fronts();
            for event in self.wait()? {
                match event {
                    Event::Signal => self.take_signals()?,
                    Event::Control => {
                        let heard = self.control.hear(Instant::now());
                        self.question = heard.or(self.question);
                    }
                    Event::HostChanged => self.take_changes(Instant::now()),
                    Event::Firewall => self.hear_firewall(),
                    Event::Jobs => self.hear_jobs(),
                    Event::MailEnded => self.mail_ended()?,
                    Event::Upgrade => self.hear_upgrade(Instant::now()),
                    Event::FrontSpeaks(is_former) => self.hear_front(is_former),
                    Event::FrontEnded(is_former) => self.front_ended(is_former)?,
                    Event::SiteAtBound(id) => self.site_at_bound(id, Instant::now()),
                    Event::SiteEnded(id) => self.site_ended(id)?,
                }
            }
        }
    }

    fn wait(&self) -> Result<Vec<Event>, Fatal> {
        let (mut polled, mut events) = (Vec::new(), Vec::new());
        let mut add = |file, flags, event| {
            polled.push(PollFd::from_borrowed_fd(file, flags));
            events.push(event);
        };
        add(self.signals.as_fd(), PollFlags::IN, Event::Signal);
        if let Some(socket) = self.control.polled() {
            add(socket, PollFlags::IN, Event::Control);
        }
        if let Some(watch) = &self.watch {
            add(watch.as_fd(), PollFlags::IN, Event::HostChanged);
        }
        if let Some(file) = self.mail.polled() {
            add(file, PollFlags::IN, Event::MailEnded);
        }
        let upgrade = self.upgrade.as_ref().map(|upgrade| &upgrade.helper);
        for (helper, event) in [
            (self.firewall.helper.as_ref(), Event::Firewall),
            (self.jobs.helper.as_ref(), Event::Jobs),
            (upgrade, Event::Upgrade),
        ] {
            for file in helper.into_iter().flat_map(Helper::polled) {
                add(file, PollFlags::IN, event);
            }
        }
        for (front, is_former) in [(&self.front, false), (&self.former, true)] {
            let Some(front) = front else {
                continue;
            };
            let pidfd = front.child.pidfd.as_fd();
            add(pidfd, PollFlags::IN, Event::FrontEnded(is_former));
            if !front.is_given_up {
                let mut flags = PollFlags::IN;
                flags.set(PollFlags::OUT, front.has_unsent());
                add(front.socket(), flags, Event::FrontSpeaks(is_former));
            }
        }
        for (id, site) in self.sites.iter() {
            if let Some(sandbox) = &site.sandbox {
                let pidfd = sandbox.launched.child.pidfd.as_fd();
                add(pidfd, PollFlags::IN, Event::SiteEnded(id));
                for file in sandbox.event_files() {
                    add(file, PollFlags::PRI, Event::SiteAtBound(id));
                }
            }
        }
        wait(&mut polled, self.next_deadline()).map_err(Fatal::Poll)?;
        let found = polled.iter().zip(events);
        Ok(found
            .filter_map(|(polled, event)| (!polled.revents().is_empty()).then_some(event))
            .collect())
    }

    fn next_deadline(&self) -> Option<Instant> {
        let front = match &self.front {
            Some(front) => front.deadline,
            None if self.phase == Phase::Serving => Some(self.front_back_off.not_before()),
            None => None,
        };
        let sites = self
            .sites
            .iter()
            .filter_map(|(_, site)| site.next_deadline(!self.firewall.is_pending()));
        let watch = self.watch.as_ref().and_then(Watch::due);
        let serves = self.phase == Phase::Serving;
        let firewall = self.firewall.next_deadline().filter(|_| serves);
        let (jobs, mail) = (self.jobs_deadline(), self.next_mail_start());
        let control = self.control.next_deadline();
        let former = self.former.as_ref().and_then(|front| front.deadline);
        let upgrade = self.upgrade.as_ref().map(|upgrade| upgrade.until);
        let reload = self.reload_deadline();
        let helpers = [firewall, jobs, mail, self.notify.next_deadline()];
        let own = [front, former, watch, control, reload, upgrade];
        let own = own.into_iter().chain(helpers);
        sites.chain(own.flatten()).min()
    }

    /// Everything whose time has come.
    fn act(&mut self, now: Instant) -> Result<(), Fatal> {
        self.notify.turn(now);
        self.fronts_are_due(now);
        if self.upgrade.as_ref().is_some_and(|one| one.until <= now) {
            self.hear_upgrade(now);
        }
        if self.front.is_none()
            && self.phase == Phase::Serving
            && self.front_back_off.not_before() <= now
        {
            self.start_front(now)?;
        }
        let is_due = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        if is_due(self.watch.as_ref().and_then(Watch::due)) {
            self.take_changes(now);
        }
        self.control.act(now);
        self.take_question(now);
        self.go_on_with_reload(now);
        self.firewall_is_due(now);
        self.mail_is_due(now);
        self.jobs_are_due(now);
        let may_start = !self.firewall.is_pending();
        for id in self.sites.ids(|site| is_due(site.next_deadline(may_start))) {
            self.site_is_due(id, now);
        }
        Ok(())
    }

    fn take_signals(&mut self) -> Result<(), Fatal> {
        while let Some(signal) = self.signals.take().map_err(Fatal::Signals)? {
            match signal {
                Signal::HUP => self.is_reload_due = true,
                Signal::USR1 => self.reopen_logs(),
                // TERM and INT; no other was asked for.
                _ => self.end(Instant::now()),
            }
        }
        Ok(())
    }

    /// The first time in order, the second time at once.
    fn end(&mut self, now: Instant) {
        if self.phase != Phase::Serving {
            self.log.warning(format_args!(
                "told to stop a second time: everything is killed"
            ));
            return self.kill_all(now);
        }
        self.log
            .information(format_args!("stopping: running requests are finished"));
        self.notify.stopping();
        self.listeners.clear();
        let seconds = u32::try_from(STOP_LIMIT.as_secs()).unwrap_or(u32::MAX);
        self.jobs.say(&ToJobs::Stop { seconds });
        let seconds = u32::try_from(DRAIN_LIMIT.as_secs()).unwrap_or(u32::MAX);
        let fronts = self.front.iter_mut().chain(&mut self.former);
        for front in fronts {
            self.phase = Phase::Draining;
            front.tell(&ToFront::Drain { seconds }, &[]);
            front.deadline = Some(now + DRAIN_LIMIT + END_WITHIN);
        }
        if self.phase == Phase::Serving {
            self.begin_stopping(now);
        }
    }

    /// After the front: end the sites.
    fn begin_stopping(&mut self, now: Instant) {
        self.phase = Phase::Stopping;
        for site in self.sites.iter_mut() {
            site.is_wanted = false;
            if let Some(sandbox) = &mut site.sandbox {
                sandbox.stop(STOP_LIMIT, now);
            }
        }
    }

    fn kill_all(&mut self, now: Instant) {
        if let Some(helper) = &self.jobs.helper {
            helper.kill();
        }
        for front in self.front.iter_mut().chain(&mut self.former) {
            front.kill();
        }
        for sandbox in self
            .sites
            .iter_mut()
            .filter_map(|site| site.sandbox.as_mut())
        {
            sandbox.stop_until = Some(now + STOP_LIMIT);
            sandbox.kill();
        }
    }

    fn reopen_logs(&mut self) {
        match self.directories.server_log() {
            Ok(file) => self.log.reopen(file),
            Err(error) => self
                .log
                .failure(format_args!("cannot reopen the log"), &error),
        }
        for front in self.front.iter_mut().chain(&mut self.former) {
            front.tell(&ToFront::Descriptor(Opened::ServerLog), &[&self.log.file()]);
        }
        self.tell_mail_log();
        for id in self.sites.ids(|site| site.sandbox.is_some()) {
            self.tell_logs(id);
        }
        for id in self.sites.ids(|site| self.server.has_jobs(&site.config)) {
            self.tell_jobs_log(id);
        }
        self.log.information(format_args!("logs reopened"));
    }
}

/// How long running requests may take once the end was asked for.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// How long the front may take to end once it has nothing to do.
const END_WITHIN: Duration = Duration::from_secs(2);
/// How long a site may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);
