//! The loop: signals, the front, deaths, deadlines.
//!
//! Runs as root for the monitor's whole life, on one thread; it waits in poll and nowhere else. It trusts the kernel for
//! deaths (pidfds), the front for nothing but the five questions of `requests`, and it reads nothing from a site. What it
//! starts is told at once and never waited for. `front` and `sites` below have what is done about each, `reload` a new
//! configuration.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_config::{Loader, Server};
use hostel_sys::helper::Helper;
use hostel_sys::signal::Signals;
use hostel_sys::wait::wait;
use hostel_sys::watch::Watch;
use hostel_wire::front_monitor::{Opened, SiteId, ToFront};
use rustix::event::{PollFd, PollFlags};
use rustix::process::Signal;

use crate::front::Front;
use crate::log::{Log, with_causes};
use crate::notify::Notify;
use crate::requests::Phase;
use crate::sites::Sites;
use hostel_monitor::directories::Directories;
use hostel_monitor::launch::{Difference, LaunchError, Programs};
use hostel_monitor::resources::Resources;
use hostel_sys::back_off::BackOff;

mod firewall;
mod front;
mod reload;
mod sites;
mod watch;

pub(crate) use firewall::Firewall;

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
    pub(crate) front: Option<Front>,
    pub(crate) front_back_off: BackOff,
    pub(crate) phase: Phase,
    /// Whether a front was ready once.
    pub(crate) is_announced: bool,
}

/// Something that poll has found.
#[derive(Debug, Clone, Copy)]
enum Event {
    Signal,
    HostChanged,
    Firewall,
    FrontSpeaks,
    FrontEnded,
    SiteAtBound(SiteId),
    SiteEnded(SiteId),
}

impl Monitor {
    /// Until everything has ended after SIGTERM.
    pub(crate) fn run(mut self) -> Result<(), Fatal> {
        let outcome = self.turns();
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
            if self.phase == Phase::Stopping && self.front.is_none() && !is_any_awake {
                return Ok(());
            }
            self.flush_front();
            for event in self.wait()? {
                match event {
                    Event::Signal => self.take_signals()?,
                    Event::HostChanged => self.take_changes(Instant::now()),
                    Event::Firewall => self.hear_firewall(),
                    Event::FrontSpeaks => self.hear_front(),
                    Event::FrontEnded => self.front_ended()?,
                    Event::SiteAtBound(id) => self.site_at_bound(id, Instant::now()),
                    Event::SiteEnded(id) => self.site_ended(id)?,
                }
            }
        }
    }

    fn wait(&self) -> Result<Vec<Event>, Fatal> {
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        let mut events = vec![Event::Signal];
        if let Some(watch) = &self.watch {
            polled.push(PollFd::new(watch, PollFlags::IN));
            events.push(Event::HostChanged);
        }
        for file in self.firewall.helper.iter().flat_map(Helper::polled) {
            polled.push(PollFd::from_borrowed_fd(file, PollFlags::IN));
            events.push(Event::Firewall);
        }
        if let Some(front) = &self.front {
            polled.push(PollFd::new(&front.child.pidfd, PollFlags::IN));
            events.push(Event::FrontEnded);
            if !front.is_given_up {
                let mut flags = PollFlags::IN;
                flags.set(PollFlags::OUT, front.has_unsent());
                polled.push(PollFd::from_borrowed_fd(front.socket(), flags));
                events.push(Event::FrontSpeaks);
            }
        }
        for (id, site) in self.sites.iter() {
            if let Some(sandbox) = &site.sandbox {
                polled.push(PollFd::new(&sandbox.launched.child.pidfd, PollFlags::IN));
                events.push(Event::SiteEnded(id));
                for file in sandbox.event_files() {
                    polled.push(PollFd::from_borrowed_fd(file, PollFlags::PRI));
                    events.push(Event::SiteAtBound(id));
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
        let systemd = self.notify.next_deadline();
        let own = [front, watch, firewall, systemd];
        sites.chain(own.into_iter().flatten()).min()
    }

    /// Everything whose time has come.
    fn act(&mut self, now: Instant) -> Result<(), Fatal> {
        self.notify.turn(now);
        if self.front.is_some() {
            self.front_is_due(now);
        } else if self.phase == Phase::Serving && self.front_back_off.not_before() <= now {
            self.start_front(now)?;
        }
        let is_due = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        if is_due(self.watch.as_ref().and_then(Watch::due)) {
            self.take_changes(now);
        }
        self.firewall_is_due(now);
        let may_start = !self.firewall.is_pending();
        for id in self.sites.ids(|site| is_due(site.next_deadline(may_start))) {
            self.site_is_due(id, now);
        }
        Ok(())
    }

    fn take_signals(&mut self) -> Result<(), Fatal> {
        while let Some(signal) = self.signals.take().map_err(Fatal::Signals)? {
            match signal {
                Signal::HUP => self.reload(),
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
        let seconds = u32::try_from(DRAIN_LIMIT.as_secs()).unwrap_or(u32::MAX);
        match &mut self.front {
            Some(front) => {
                self.phase = Phase::Draining;
                front.tell(&ToFront::Drain { seconds }, &[]);
                front.deadline = Some(now + DRAIN_LIMIT + END_WITHIN);
            }
            None => self.begin_stopping(now),
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
        if let Some(front) = &mut self.front {
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
            Err(error) => {
                let text = with_causes(&error);
                self.log
                    .error(format_args!("cannot reopen the log: {text}"));
            }
        }
        if let Some(front) = &mut self.front {
            front.tell(&ToFront::Descriptor(Opened::ServerLog), &[&self.log.file()]);
        }
        for id in self.sites.ids(|site| site.sandbox.is_some()) {
            self.tell_logs(id);
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
