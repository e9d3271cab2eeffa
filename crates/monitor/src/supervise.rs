//! The loop: signals, the front, deaths, deadlines.
//!
//! Runs as root for the monitor's whole life, on one thread; it waits in poll and nowhere else. It trusts the kernel for
//! deaths (pidfds), the front for nothing but the four questions of `requests`, and it reads nothing from a site. What it
//! starts is told at once and never waited for.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_config::{Server, SystemUsers};
use hostel_sys::fdpass::message_pair;
use hostel_sys::signal::Signals;
use hostel_sys::spawn::{Child, Progress};
use hostel_wire::front_monitor::{Down, FrontSettings, Opened, SiteId, ToFront, ToMonitor};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};

use crate::back_off::BackOff;
use crate::directories::Directories;
use crate::front::{Front, FrontError};
use crate::launch::{LaunchError, Programs};
use crate::log::{Log, say, with_causes};
use crate::notify::Notify;
use crate::reload;
use crate::requests::{Phase, Verdict, judge};
use crate::sites::{Sandbox, Site, Sites, milliseconds};

/// Why the monitor cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fatal {
    #[error("cannot wait for events")]
    Poll(#[source] io::Error),
    #[error("cannot read signals")]
    Signals(#[source] io::Error),
    #[error("cannot start the front")]
    Launch(#[source] LaunchError),
    #[error(
        "the front ended before it was ready: it {0}; its own messages stand above or in the server's log"
    )]
    Front(String),
}

/// What the start-up hands over.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) path: PathBuf,
    pub(crate) server: Server,
    pub(crate) directories: Directories,
    pub(crate) listeners: Vec<OwnedFd>,
    pub(crate) status: OwnedFd,
    pub(crate) log: Log,
    pub(crate) programs: Programs,
    pub(crate) signals: Signals,
    pub(crate) notify: Notify,
}

/// The monitor at work.
#[derive(Debug)]
pub(crate) struct Monitor {
    path: PathBuf,
    server: Server,
    directories: Directories,
    listeners: Vec<Rc<OwnedFd>>,
    status: Rc<OwnedFd>,
    spill: Rc<OwnedFd>,
    log: Log,
    programs: Programs,
    signals: Signals,
    notify: Notify,
    sites: Sites,
    /// The users and groups of all sites.
    identities: HashSet<u32>,
    front: Option<Front>,
    front_back_off: BackOff,
    phase: Phase,
    /// Whether a front was ready once.
    is_announced: bool,
}

/// Something that poll has found.
#[derive(Debug, Clone, Copy)]
enum Event {
    Signal,
    FrontSpeaks,
    FrontEnded,
    SiteEnded(SiteId),
}

impl Monitor {
    /// Nothing runs yet.
    pub(crate) fn new(parts: Parts) -> Result<Self, Fatal> {
        let now = Instant::now();
        let spill = parts.directories.spill().try_clone().map_err(Fatal::Poll)?;
        let mut monitor = Self {
            path: parts.path,
            server: parts.server,
            directories: parts.directories,
            listeners: parts.listeners.into_iter().map(Rc::new).collect(),
            status: Rc::new(parts.status),
            spill: Rc::new(spill),
            log: parts.log,
            programs: parts.programs,
            signals: parts.signals,
            notify: parts.notify,
            sites: Sites::default(),
            identities: HashSet::new(),
            front: None,
            front_back_off: BackOff::new(now),
            phase: Phase::Serving,
            is_announced: false,
        };
        for site in &monitor.server.sites {
            monitor.sites.add(Rc::new(site.clone()), now);
        }
        monitor.note_identities();
        Ok(monitor)
    }

    /// Until everything has ended after SIGTERM.
    pub(crate) fn run(mut self) -> Result<(), Fatal> {
        let outcome = self.turns();
        self.directories.remove_run_files();
        match &outcome {
            Ok(()) => self.log.information("stopped"),
            Err(error) => self.log.error(&with_causes(error)),
        }
        outcome
    }

    fn turns(&mut self) -> Result<(), Fatal> {
        loop {
            self.act(Instant::now())?;
            if self.phase == Phase::Stopping && self.front.is_none() && !self.is_any_awake() {
                return Ok(());
            }
            if let Some(front) = &mut self.front
                && let Err(error) = front.flush()
            {
                self.give_up_front(&error);
            }
            for event in self.wait()? {
                match event {
                    Event::Signal => self.take_signals()?,
                    Event::FrontSpeaks => self.hear_front(),
                    Event::FrontEnded => self.front_ended()?,
                    Event::SiteEnded(id) => self.site_ended(id),
                }
            }
        }
    }

    fn wait(&self) -> Result<Vec<Event>, Fatal> {
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        let mut events = vec![Event::Signal];
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
            }
        }
        let timeout = self.next_deadline().map(|deadline| {
            let wait = deadline.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: wait.subsec_nanos().into(),
            }
        });
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(Fatal::Poll(error.into())),
        }
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
            .filter_map(|(_, site)| site.next_deadline());
        sites.chain(front).min()
    }

    /// Everything whose time has come.
    fn act(&mut self, now: Instant) -> Result<(), Fatal> {
        if let Some(front) = &mut self.front {
            if front.deadline.is_some_and(|deadline| deadline <= now) {
                front.deadline = None;
                front.kill();
                self.log
                    .error("the front did not answer in time and is killed");
            }
        } else if self.phase == Phase::Serving && self.front_back_off.not_before() <= now {
            self.start_front(now)?;
        }
        for id in self
            .sites
            .ids(|site| site.next_deadline().is_some_and(|deadline| deadline <= now))
        {
            self.site_is_due(id, now);
        }
        Ok(())
    }

    fn site_is_due(&mut self, id: SiteId, now: Instant) {
        let is_due = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        let Some(site) = self.sites.of(id) else {
            return;
        };
        let name = &site.config.name;
        let Some(sandbox) = &mut site.sandbox else {
            if is_due(site.retired) {
                self.sites.remove(id);
            } else if site.is_wanted {
                self.start_site(id, now);
            }
            return;
        };
        if is_due(sandbox.exec_until) {
            sandbox.exec_until = None;
            if !matches!(sandbox.launched.child.progress(), Ok(Progress::Started)) {
                self.log.error(&format!(
                    "site {name}: the sandbox did not reach its program in time and is killed"
                ));
                sandbox.kill();
            }
        } else if is_due(sandbox.stop_until) {
            // Killing cannot fail; what remains is the kernel's work.
            sandbox.stop_until = Some(now + STOP_LIMIT);
            sandbox.kill();
        } else if is_due(site.retired) {
            sandbox.stop(STOP_LIMIT, now);
        }
    }

    fn start_front(&mut self, now: Instant) -> Result<(), Fatal> {
        let (child, socket) = match self.programs.front(&self.server.user) {
            Ok(started) => started,
            Err(error) if !self.is_announced => return Err(Fatal::Launch(error)),
            Err(error) => {
                let wait = self.front_back_off.died(now, now);
                let text = with_causes(&error);
                self.log.error(&format!(
                    "cannot start the front, again in {wait:?}: {text}"
                ));
                return Ok(());
            }
        };
        self.log
            .information(&format!("front started (process {})", child.pid));
        let mut front = Front::new(child, socket, now);
        front.tell(
            &ToFront::Settings(FrontSettings {
                log_level: self.server.log_level.number(),
            }),
            &[],
        );
        let mut give = |what, file: &Rc<OwnedFd>| front.tell(&ToFront::Descriptor(what), &[file]);
        give(Opened::ServerLog, &self.log.file());
        give(Opened::SpillDirectory, &self.spill);
        give(Opened::StatusListener, &self.status);
        for listener in &self.listeners {
            give(Opened::HttpListener, listener);
        }
        self.front = Some(front);
        self.tell_table();
        for id in self
            .sites
            .ids(|site| site.sandbox.is_some() && site.retired.is_none())
        {
            self.tell_logs(id);
            self.connect(id);
        }
        Ok(())
    }

    fn start_site(&mut self, id: SiteId, now: Instant) {
        self.tell_logs(id);
        let Some(site) = self.sites.of(id) else {
            return;
        };
        site.is_wanted = false;
        let identities = &self.identities;
        let launched =
            self.programs
                .keeper(&site.config, &self.server, &self.directories, &|number| {
                    identities.contains(&number)
                });
        let name = &site.config.name;
        match launched {
            Ok(launched) => {
                self.log.debugging(&format!(
                    "site {name}: started (process {})",
                    launched.child.pid
                ));
                site.sandbox = Some(Sandbox::new(launched, now));
                self.connect(id);
            }
            Err(error) => {
                let wait = site.back_off.died(now, now);
                self.log.error(&format!(
                    "site {name}: not started: {}",
                    with_causes(&error)
                ));
                self.tell_down(id, Down::SpawnFailed, wait);
            }
        }
    }

    /// Give front and keeper the two ends of a socket.
    fn connect(&mut self, id: SiteId) {
        let (Some(front), Some(site)) = (&mut self.front, self.sites.of(id)) else {
            return;
        };
        let Some(sandbox) = &site.sandbox else {
            return;
        };
        let connected = message_pair(true).and_then(|(near, far)| {
            sandbox.connect(&far)?;
            Ok(Rc::new(near))
        });
        match connected {
            Ok(near) => {
                let pid = sandbox.launched.child.pid;
                let message = ToFront::Keeper { site: id, pid };
                front.tell(&message, &[&near, &sandbox.launched.errors]);
            }
            Err(error) => {
                // A keeper that does not take its messages harms its own site.
                let name = &site.config.name;
                self.log.error(&format!(
                    "site {name}: the keeper does not take a front and is killed: {error}"
                ));
                sandbox.kill();
            }
        }
    }

    fn tell_logs(&mut self, id: SiteId) {
        let (Some(front), Some(site)) = (&mut self.front, self.sites.of(id)) else {
            return;
        };
        let config = &site.config;
        match self.directories.site_logs(&config.name, config.user.gid) {
            Ok(files) => {
                let [access, error] = files.map(Rc::new);
                front.tell(&ToFront::SiteLogs { site: id }, &[&access, &error]);
            }
            Err(error) => {
                let (name, text) = (&config.name, with_causes(&error));
                self.log
                    .error(&format!("site {name}: cannot open its logs: {text}"));
            }
        }
    }

    fn tell_down(&mut self, site: SiteId, reason: Down, retry: Duration) {
        if let Some(front) = &mut self.front {
            let retry_ms = milliseconds(retry);
            let message = ToFront::SiteDown {
                site,
                reason,
                retry_ms,
            };
            front.tell(&message, &[]);
        }
    }

    fn tell_table(&mut self) {
        let Some(front) = &mut self.front else {
            return;
        };
        front.tell(&ToFront::TableBegin, &[]);
        for (id, site) in self.sites.iter().filter(|(_, site)| site.retired.is_none()) {
            front.tell(&ToFront::Site(site.entry(id)), &[]);
        }
        front.tell(&ToFront::TableEnd, &[]);
    }

    /// Take messages, so many that others have their turn.
    fn hear_front(&mut self) {
        for _ in 0..MESSAGES_PER_TURN {
            let Some(front) = self.front.as_ref().filter(|front| !front.is_given_up) else {
                return;
            };
            let message = match front.hear() {
                Ok(Some(message)) => message,
                Ok(None) => return,
                // After Drained, or while it is ending by itself, this is the way it ends.
                Err(FrontError::Closed) if self.phase != Phase::Serving => {
                    return self.let_front_end();
                }
                Err(error) => return self.give_up_front(&error),
            };
            match judge(message, self.phase, |site| self.sites.known(site)) {
                Verdict::Allowed => self.grant(message),
                Verdict::Late => {}
                Verdict::Breach => return self.give_up_front(&FrontError::Breach(message)),
            }
        }
    }

    fn grant(&mut self, message: ToMonitor) {
        match message {
            ToMonitor::Ready => self.front_is_ready(),
            ToMonitor::WakeSite(id) => {
                if let Some(site) = self.sites.of(id) {
                    // While it runs this is a visitor who came when it was ending: it is started again then.
                    site.is_wanted = true;
                }
            }
            ToMonitor::SiteReleased(id) => {
                if let Some(site) = self.sites.of(id) {
                    site.retired = Some(Instant::now());
                }
            }
            ToMonitor::Drained => {
                if let Some(front) = &mut self.front {
                    front.deadline = Some(Instant::now() + END_WITHIN);
                }
            }
        }
    }

    fn front_is_ready(&mut self) {
        if let Some(front) = &mut self.front {
            front.deadline = None;
        }
        if self.is_announced {
            return;
        }
        self.is_announced = true;
        let addresses: Vec<String> = self
            .server
            .http
            .iter()
            .map(|a| format!("http://{a}"))
            .collect();
        let sites = match self.server.sites.len() {
            1 => "1 site".to_owned(),
            count => format!("{count} sites"),
        };
        let text = format!("ready: {sites} on {}", addresses.join(" "));
        self.log.information(&text);
        say(&format!("hostel: {text}"));
        self.notify.ready();
    }

    fn let_front_end(&mut self) {
        if let Some(front) = &mut self.front {
            front.is_given_up = true;
            front.deadline = Some(Instant::now() + END_WITHIN);
        }
    }

    fn give_up_front(&mut self, error: &FrontError) {
        if let Some(front) = &mut self.front {
            front.kill();
            self.log
                .error(&format!("the front is given up: {}", with_causes(error)));
        }
    }

    fn front_ended(&mut self) -> Result<(), Fatal> {
        let Some(front) = &self.front else {
            return Ok(());
        };
        let Some(ending) = ending(&front.child) else {
            return Ok(());
        };
        let begun = front.begun;
        self.front = None;
        let now = Instant::now();
        match self.phase {
            Phase::Serving if !self.is_announced => return Err(Fatal::Front(ending.text)),
            Phase::Serving => {
                let wait = self.front_back_off.died(begun, now);
                let text = ending.text;
                self.log
                    .error(&format!("the front {text}; another one starts in {wait:?}"));
            }
            Phase::Draining => self.begin_stopping(now),
            Phase::Stopping => {}
        }
        // No front has requests of these any more.
        for id in self.sites.ids(|site| site.retired.is_some()) {
            if let Some(site) = self.sites.of(id) {
                site.retired = Some(now);
                site.is_wanted = false;
            }
        }
        Ok(())
    }

    fn site_ended(&mut self, id: SiteId) {
        let Some(site) = self.sites.of(id) else {
            return;
        };
        let Some(sandbox) = &site.sandbox else {
            return;
        };
        let Some(ending) = ending(&sandbox.launched.child) else {
            return;
        };
        let (begun, was_stopped) = (sandbox.begun, sandbox.stop_until.is_some());
        let now = Instant::now();
        let name = &site.config.name;
        site.sandbox = None;
        let (reason, wait) = match (ending.is_failed_start, ending.is_success || was_stopped) {
            (true, _) => (Down::SpawnFailed, site.back_off.died(begun, now)),
            (false, true) => (Down::Asleep, Duration::ZERO),
            (false, false) => (Down::Died, site.back_off.died(begun, now)),
        };
        match reason {
            Down::Asleep => {
                site.back_off.ended_well(now);
                self.log.debugging(&format!("site {name}: asleep"));
            }
            Down::Died | Down::SpawnFailed => {
                let text = ending.text;
                self.log.error(&format!(
                    "site {name}: the keeper {text}; it may start again in {wait:?}"
                ));
            }
        }
        if site.retired.is_some_and(|time| time <= now) {
            self.sites.remove(id);
        } else {
            self.tell_down(id, reason, wait);
        }
    }

    fn take_signals(&mut self) -> Result<(), Fatal> {
        while let Some(signal) = self.signals.take().map_err(Fatal::Signals)? {
            match signal {
                Signal::HUP => self.reload(),
                Signal::USR1 => self.reopen_logs(),
                // TERM and INT; no other was asked for.
                _ => self.end(),
            }
        }
        Ok(())
    }

    /// The first time in order, the second time at once.
    fn end(&mut self) {
        let now = Instant::now();
        if self.phase != Phase::Serving {
            self.log
                .warning("told to stop a second time: everything is killed");
            if let Some(front) = &mut self.front {
                front.kill();
            }
            for id in self.sites.ids(|site| site.sandbox.is_some()) {
                if let Some(sandbox) = self.sites.of(id).and_then(|site| site.sandbox.as_mut()) {
                    sandbox.stop(Duration::ZERO, now);
                    sandbox.kill();
                }
            }
            return;
        }
        self.log
            .information("stopping: running requests are finished");
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

    fn begin_stopping(&mut self, now: Instant) {
        self.phase = Phase::Stopping;
        for id in self.sites.ids(|_| true) {
            let Some(site) = self.sites.of(id) else {
                continue;
            };
            site.is_wanted = false;
            if let Some(sandbox) = &mut site.sandbox {
                sandbox.stop(STOP_LIMIT, now);
            }
        }
    }

    fn reload(&mut self) {
        if self.phase != Phase::Serving {
            return;
        }
        let next = match hostel_config::load(&self.path, &SystemUsers) {
            Ok(next) => next,
            Err(errors) => {
                let count = errors.0.len();
                let text =
                    format!("reload: the configuration has {count} errors; nothing was changed");
                self.log.error(&text);
                say(&format!("hostel: {text}\n{errors}"));
                for error in &errors.0 {
                    self.log.error(&format!("reload: {error}"));
                }
                return;
            }
        };
        for key in reload::needs_restart(&self.server, &next) {
            let text = format!(
                "reload: '{key}' of hostel.toml has changed; that takes effect at a restart"
            );
            self.log.warning(&text);
            say(&format!("hostel: {text}"));
        }
        self.change_sites(next, Instant::now());
    }

    fn change_sites(&mut self, next: Server, now: Instant) {
        let is_all_new = reload::changes_all_sites(&self.server, &next);
        let listed = self.sites.iter().filter(|(_, site)| site.retired.is_none());
        let running = listed.map(|(id, site)| (id, &*site.config));
        let difference = reload::difference(running, &next, is_all_new);
        let (gone, new) = (difference.gone.len(), difference.new.len());
        let added: Vec<_> = difference.new.into_iter().cloned().map(Rc::new).collect();
        for id in difference.gone {
            if let Some(site) = self.sites.of(id) {
                site.retired = Some(now + RELEASE_WITHIN);
            }
        }
        for config in added {
            self.sites.add(config, now);
        }
        self.server.sites = next.sites;
        self.server.sites_directory = next.sites_directory;
        self.server.php_ini_directory = next.php_ini_directory;
        self.note_identities();
        self.tell_table();
        let text = format!("reloaded: {new} sites new or changed, {gone} gone or changed");
        self.log.information(&text);
    }

    fn note_identities(&mut self) {
        let both = |(_, site): (SiteId, &Site)| [site.config.user.uid.0, site.config.user.gid.0];
        self.identities = self.sites.iter().flat_map(both).collect();
    }

    fn reopen_logs(&mut self) {
        match self.directories.server_log() {
            Ok(file) => self.log.reopen(file),
            Err(error) => self
                .log
                .error(&format!("cannot reopen the log: {}", with_causes(&error))),
        }
        if let Some(front) = &mut self.front {
            front.tell(&ToFront::Descriptor(Opened::ServerLog), &[&self.log.file()]);
        }
        for id in self.sites.ids(|site| site.sandbox.is_some()) {
            self.tell_logs(id);
        }
        self.log.information("logs reopened");
    }

    fn is_any_awake(&self) -> bool {
        self.sites.iter().any(|(_, site)| site.sandbox.is_some())
    }
}

/// How a child ended.
struct Ending {
    text: String,
    is_success: bool,
    /// It never reached its program.
    is_failed_start: bool,
}

/// Take a child that has ended; `None` while it runs.
fn ending(child: &Child) -> Option<Ending> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = match waitid(WaitId::PidFd(child.pidfd.as_fd()), options) {
        Ok(Some(status)) => status,
        Ok(None) | Err(Errno::INTR) => return None,
        Err(error) => {
            return Some(Ending {
                text: format!("cannot be waited for: {error}"),
                is_success: false,
                is_failed_start: false,
            });
        }
    };
    if let Ok(Progress::Failed(step)) = child.progress() {
        return Some(Ending {
            text: format!("was not started: {step}"),
            is_success: false,
            is_failed_start: true,
        });
    }
    let text = match (status.exit_status(), status.terminating_signal()) {
        (Some(status), _) => format!("ended with status {status}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    };
    Some(Ending {
        text,
        is_success: status.exit_status() == Some(0),
        is_failed_start: false,
    })
}

/// Messages of the front in one turn; then signals and deaths are looked at.
const MESSAGES_PER_TURN: usize = 64;
/// How long running requests may take once the end was asked for.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// How long the front may take to end once it has nothing to do.
const END_WITHIN: Duration = Duration::from_secs(2);
/// How long a site may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How long the requests of a site that was taken from the table may take.
const RELEASE_WITHIN: Duration = Duration::from_secs(60);
