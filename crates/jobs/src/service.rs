//! The loop: what the monitor says, what is due, what has ended.
//!
//! Run as root on one thread, since it forks; it waits in poll and nowhere else. It trusts the monitor and the configuration. What fails
//! for one site is told and concerns that site alone.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hostel_config::jobs::SiteJobs;
use hostel_config::{Loader, Server, Site, SystemUsers};
use hostel_monitor::directories::Directories;
use hostel_monitor::launch::Programs;
use hostel_monitor::resources::Resources;
use hostel_sys::causes::with_causes;
use hostel_sys::clock;
use hostel_sys::fdpass::{receive, send};
use hostel_sys::secure::SecureError;
use hostel_sys::signal::Signals;
use hostel_sys::wait::wait;
use hostel_wire::codec::Malformed;
use hostel_wire::limits::JOBS_RUNNING_MAX;
use hostel_wire::monitor_jobs::{FromJobs, ToJobs};
use rustix::event::{PollFd, PollFlags};

use crate::report::Report;
use crate::run::{Ground, Run, STOP_LIMIT};
use crate::schedule::{Deed, Entry, Job, Now};

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    #[error("cannot wait for events")]
    Poll(#[source] io::Error),
    #[error("cannot read signals")]
    Signals(#[source] io::Error),
    #[error("the monitor's socket failed")]
    Monitor(#[source] io::Error),
    #[error("the monitor has sent something that is not a message")]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Directory(#[from] SecureError),
}

/// Which entry: its site, its kind, its name.
type Key = (String, &'static str, String);

/// hostel-jobs at work.
pub(crate) struct Service {
    path: PathBuf,
    loader: Loader,
    monitor: OwnedFd,
    /// Whether there is nobody who could say more.
    is_alone: bool,
    signals: Signals,
    programs: Programs,
    /// `None` until the configuration was read for the first time.
    ground: Option<Opened>,
    is_filtered: bool,
    entries: BTreeMap<Key, Entry>,
    runs: BTreeMap<Key, Run>,
    /// The numbers of all users and groups that a site has, or had.
    identities: HashSet<u32>,
    /// What the clocks showed when they were looked at last.
    looked: Now,
    /// Whether everything ends, and this program then.
    is_stopping: bool,
    /// When what has changed is to be told.
    report_at: Option<Instant>,
}

/// What runs are started from.
struct Opened {
    server: Server,
    directories: Directories,
    resources: Resources,
    report: Report,
}

impl Service {
    /// Nothing runs yet.
    pub(crate) fn new(
        path: PathBuf,
        monitor: OwnedFd,
        signals: Signals,
        programs: Programs,
    ) -> Self {
        Self {
            path,
            loader: Loader::default(),
            monitor,
            is_alone: false,
            signals,
            programs,
            ground: None,
            is_filtered: false,
            entries: BTreeMap::new(),
            runs: BTreeMap::new(),
            identities: HashSet::new(),
            looked: now(),
            is_stopping: false,
            report_at: None,
        }
    }

    /// Until everything has ended after `Stop`, or the monitor has: then what still runs is killed.
    pub(crate) fn run(mut self) -> Result<(), ServiceError> {
        loop {
            let has_more = self.act()?;
            if self.is_stopping && self.runs.is_empty() || self.is_alone && !self.is_stopping {
                return Ok(());
            }
            self.wait(has_more)?;
            while self
                .signals
                .take()
                .map_err(ServiceError::Signals)?
                .is_some()
            {}
            while !self.is_alone && self.hear_monitor()? {}
            self.take_ends()?;
        }
    }

    /// Everything whose time has come; whether there is more than one turn may do.
    fn act(&mut self) -> Result<bool, ServiceError> {
        let now = now();
        self.look_at_clocks(now);
        for run in self.runs.values_mut() {
            run.act(now.at);
        }
        let mut begun = 0;
        let mut has_more = false;
        if !self.is_stopping {
            let keys: Vec<Key> = self.entries.keys().cloned().collect();
            for key in keys {
                // Those that run are looked at in any case.
                let is_running = self.runs.contains_key(&key);
                if begun == STARTS_PER_TURN && !is_running {
                    has_more = true;
                    continue;
                }
                begun += usize::from(self.act_on(&key, now)?);
            }
        }
        self.entries.retain(|_, entry| !entry.is_over());
        if self.report_at.is_some_and(|at| at <= now.at) {
            self.report_at = None;
            self.write_report()?;
        }
        Ok(has_more)
    }

    /// Do what an entry asks for; whether something was started.
    fn act_on(&mut self, key: &Key, now: Now) -> Result<bool, ServiceError> {
        let Some(entry) = self.entries.get_mut(key) else {
            return Ok(false);
        };
        let before = (entry.next, entry.counts);
        let deed = entry.act(now, clock::local);
        if deed.is_some() || before != (entry.next, entry.counts) {
            self.report_at.get_or_insert(now.at + REPORT_AFTER);
        }
        match deed {
            None => Ok(false),
            Some(Deed::Stop(_)) => {
                if let Some(run) = self.runs.get_mut(key) {
                    run.stop(STOP_LIMIT, now.at);
                }
                Ok(false)
            }
            // It stays due.
            Some(Deed::Start) if self.is_full() => Ok(false),
            Some(Deed::Start) => {
                self.start(key, now)?;
                Ok(true)
            }
        }
    }

    fn start(&mut self, key: &Key, now: Now) -> Result<(), ServiceError> {
        let (Some(entry), Some(opened)) = (self.entries.get_mut(key), &self.ground) else {
            return Ok(());
        };
        let ground = Ground {
            server: &opened.server,
            directories: &opened.directories,
            programs: &self.programs,
            resources: &opened.resources,
            is_site: &|number| self.identities.contains(&number),
            is_filtered: self.is_filtered,
        };
        match Run::start(&ground, &entry.site, entry.job.command(), now.at) {
            Ok(run) => {
                entry.started(now);
                self.runs.insert(key.clone(), run);
                self.pass_output(key)
            }
            Err(error) => {
                let text = with_causes(&error);
                entry.not_started(now, text.clone());
                let (site, kind, name) = key;
                self.warn(format!("site {site}: {kind} {name}: not started: {text}"))
            }
        }
    }

    fn take_ends(&mut self) -> Result<(), ServiceError> {
        let now = now();
        let ended: Vec<(Key, Result<u8, String>)> = self
            .runs
            .iter()
            .filter_map(|(key, run)| Some((key.clone(), run.ended()?)))
            .collect();
        for (key, outcome) in ended {
            self.runs.remove(&key);
            self.report_at.get_or_insert(now.at + REPORT_AFTER);
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            match outcome {
                Ok(status) => entry.ended(now, status),
                Err(text) => {
                    entry.not_started(now, text.clone());
                    let (site, kind, name) = &key;
                    self.warn(format!("site {site}: {kind} {name}: not started: {text}"))?;
                }
            }
        }
        Ok(())
    }

    /// Where the clock was set back, what is not due yet is planned anew: it may be due earlier than it was.
    fn look_at_clocks(&mut self, now: Now) {
        let gone = now.at.saturating_duration_since(self.looked.at);
        let gone = i64::try_from(gone.as_millis()).unwrap_or(i64::MAX);
        let expected = self.looked.wall.saturating_add(gone);
        self.looked = now;
        if now.wall.saturating_add(CLOCK_SET) > expected {
            return;
        }
        for entry in self.entries.values_mut() {
            if entry
                .next
                .is_some_and(|next| next > now.wall.div_euclid(1000))
            {
                entry.plan(now, clock::local);
            }
        }
    }

    fn wait(&self, has_more: bool) -> Result<(), ServiceError> {
        let now = now();
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        if !self.is_alone {
            polled.push(PollFd::new(&self.monitor, PollFlags::IN));
        }
        for run in self.runs.values() {
            polled.push(PollFd::from_borrowed_fd(run.end(), PollFlags::IN));
        }
        // With no room for another run, what waits for one waits for an end.
        let may_start = !self.is_stopping && !self.is_full();
        let entries = self
            .entries
            .iter()
            .filter(|(key, _)| may_start || self.runs.contains_key(*key));
        let deadline = entries
            .filter_map(|(_, entry)| entry.deadline(now))
            .chain(self.runs.values().filter_map(Run::deadline))
            .chain(self.report_at)
            // The clock may be set meanwhile.
            .chain([now.at + LOOK_AT_CLOCKS])
            .chain(has_more.then_some(now.at))
            .min();
        wait(&mut polled, deadline).map_err(ServiceError::Poll)
    }

    fn is_full(&self) -> bool {
        self.runs.len() >= JOBS_RUNNING_MAX
    }

    /// Take a message of the monitor's; whether there was one.
    fn hear_monitor(&mut self) -> Result<bool, ServiceError> {
        let mut buffer = [0; ToJobs::BYTES_MAX];
        let received = match receive(&self.monitor, &mut buffer) {
            Ok(received) => received,
            Err(error) if is_nothing_now(&error) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                self.is_alone = true;
                return Ok(false);
            }
            Err(error) => return Err(ServiceError::Monitor(error)),
        };
        let bytes = buffer.get(..received.bytes).unwrap_or_default();
        if bytes.is_empty() {
            self.is_alone = true;
            return Ok(false);
        }
        match ToJobs::decode(bytes)? {
            ToJobs::Apply {
                is_filtered,
                groups,
            } => self.apply(is_filtered, &groups)?,
            ToJobs::Front => {
                let keys: Vec<Key> = self.runs.keys().cloned().collect();
                for key in keys {
                    self.pass_output(&key)?;
                }
            }
            ToJobs::Stop { seconds } => {
                self.is_stopping = true;
                let (limit, now) = (Duration::from_secs(seconds.into()), Instant::now());
                for run in self.runs.values_mut() {
                    run.stop(limit, now);
                }
            }
        }
        Ok(true)
    }

    /// Read the configuration. Where it has errors, which the monitor tells, everything stays as it is.
    fn apply(&mut self, is_filtered: bool, groups: &str) -> Result<(), ServiceError> {
        self.is_filtered = is_filtered;
        let Ok(server) = self.loader.load(&self.path, &SystemUsers::read()) else {
            return Ok(());
        };
        let is_all_new = match &mut self.ground {
            Some(opened) => {
                // The directories of an instance change at a restart only.
                let is_other = opened.server.php_ini_directory != server.php_ini_directory;
                opened.server.php_ini_directory = server.php_ini_directory;
                (opened.server.sites, opened.server.jobs) = (server.sites, server.jobs);
                is_other
            }
            None => {
                let directories = Directories::open(&server)?;
                let resources = Resources::join(groups);
                let report = Report::new(&server.run);
                self.ground = Some(Opened {
                    server,
                    directories,
                    resources,
                    report,
                });
                false
            }
        };
        clock::read_zone();
        let now = now();
        if let Some(opened) = &self.ground {
            let users = opened.server.sites.iter().map(|site| &site.user);
            let numbers = users.flat_map(|user| [user.uid.0, user.gid.0]);
            self.identities.extend(numbers);
            let wanted = wanted(&opened.server.jobs);
            self.change(wanted, is_all_new, now);
        }
        self.report_at = Some(now.at);
        Ok(())
    }

    fn change(&mut self, mut wanted: BTreeMap<Key, (Job, Rc<Site>)>, is_all_new: bool, now: Now) {
        for (key, entry) in &mut self.entries {
            match wanted.remove(key) {
                Some((job, site)) => entry.change(job, site, is_all_new, now, clock::local),
                None => entry.remove(),
            }
        }
        for (key, (job, site)) in wanted {
            let entry = Entry::new(job, site, now, clock::local);
            self.entries.insert(key, entry);
        }
    }

    fn write_report(&self) -> Result<(), ServiceError> {
        let Some(opened) = &self.ground else {
            return Ok(());
        };
        let entries = self.entries.iter();
        let described = entries.map(|(key, entry)| (entry, self.runs.get(key)));
        match opened.report.write(described) {
            Ok(()) => Ok(()),
            Err(error) => self.warn(format!("`hostel status` cannot show jobs: {error}")),
        }
    }

    /// Give what a run writes to the front, by way of the monitor.
    fn pass_output(&self, key: &Key) -> Result<(), ServiceError> {
        let Some(run) = self.runs.get(key) else {
            return Ok(());
        };
        let (site, _, job) = key.clone();
        let message = FromJobs::Output { site, job };
        told(send(&self.monitor, &message.encode(), &[run.output()]))
    }

    fn warn(&self, text: String) -> Result<(), ServiceError> {
        told(send(&self.monitor, &FromJobs::Warning(text).encode(), &[]))
    }
}

/// What the configuration wants to run.
fn wanted(jobs: &[SiteJobs]) -> BTreeMap<Key, (Job, Rc<Site>)> {
    let mut wanted = BTreeMap::new();
    for of_site in jobs {
        let cron = of_site.cron.iter().cloned().map(Job::Cron);
        let daemons = of_site.daemons.iter().cloned().map(Job::Daemon);
        for job in cron.chain(daemons) {
            let name = of_site.site.name.clone();
            let key = (name, job.kind(), job.name().to_owned());
            wanted.insert(key, (job, Rc::clone(&of_site.site)));
        }
    }
    wanted
}

/// A monitor that takes no message now has much to do, and what is lost is lines of a log; one that is gone is noticed elsewhere.
fn told(outcome: io::Result<()>) -> Result<(), ServiceError> {
    match outcome {
        Ok(()) => Ok(()),
        Err(error) if is_nothing_now(&error) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        Err(error) => Err(ServiceError::Monitor(error)),
    }
}

fn is_nothing_now(error: &io::Error) -> bool {
    let kind = error.kind();
    kind == io::ErrorKind::WouldBlock || kind == io::ErrorKind::Interrupted
}

fn now() -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    let wall = wall.unwrap_or_default().as_millis();
    Now {
        wall: i64::try_from(wall).unwrap_or(i64::MAX),
        at: Instant::now(),
    }
}

/// Sandboxes that are started before ends and messages are looked at: each takes some milliseconds.
const STARTS_PER_TURN: usize = 4;
/// What changes within this is told at once.
const REPORT_AFTER: Duration = Duration::from_millis(500);
/// How long a clock that was set may go unnoticed.
const LOOK_AT_CLOCKS: Duration = Duration::from_secs(30);
/// In milliseconds: smaller steps are those of who keeps clocks right.
const CLOCK_SET: i64 = 2_000;
