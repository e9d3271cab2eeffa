//! A site as the monitor sees it: its settings, whether its sandbox runs, when it may be started again.
//!
//! Part of the monitor. It holds state and answers questions about it; what is done about them is `supervise`'s.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::requests::Known;
use hostel_config::Site as SiteConfig;
use hostel_monitor::launch::Launched;
use hostel_sys::back_off::BackOff;
use hostel_sys::cgroup::{Events, SiteGroup};
use hostel_sys::fdpass::send;
use hostel_wire::front_monitor::{SiteEntry, SiteId};
use hostel_wire::monitor_keeper::ToKeeper;

/// Every site that may have something running, by number.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    by_id: BTreeMap<u32, Site>,
    last_id: u32,
    /// The numbers of their users and groups.
    identities: HashSet<u32>,
}

/// One site.
#[derive(Debug)]
pub(crate) struct Site {
    /// Its settings.
    pub(crate) config: Rc<SiteConfig>,
    /// Its sandbox, if one runs.
    pub(crate) sandbox: Option<Sandbox>,
    /// How soon it may be started again.
    pub(crate) back_off: BackOff,
    /// A visitor waits for it.
    pub(crate) is_wanted: bool,
    /// It is in the table, or was: one that is only tried is not.
    pub(crate) is_listed: bool,
    /// It is the old front's, by whose number it is known, until that has ended.
    pub(crate) is_former: bool,
    /// It is no longer in the table; at this time it is ended even if the front has not released it.
    pub(crate) retired: Option<Instant>,
}

/// A running sandbox.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// The keeper and what leads to it.
    pub(crate) launched: Launched,
    /// When it was started.
    pub(crate) begun: Instant,
    /// Until when it must have reached exec, while that is not known.
    pub(crate) exec_until: Option<Instant>,
    /// It was told to stop; at this time it is killed.
    pub(crate) stop_until: Option<Instant>,
    /// What happens at its bounds is not looked at before this time: a site can make it happen as often as it likes.
    pub(crate) unwatched_until: Option<Instant>,
}

impl Sites {
    /// Those of a configuration.
    pub(crate) fn configured(configs: &[Rc<SiteConfig>], now: Instant) -> Self {
        let mut sites = Self::default();
        sites.change(&[], configs.to_vec(), now);
        sites
    }

    /// None yet, for a program that takes the place of one that has given out these numbers.
    pub(crate) fn resumed(last_id: u32) -> Self {
        Self {
            last_id,
            ..Self::default()
        }
    }

    /// A site as the old front knows it.
    pub(crate) fn resume(
        &mut self,
        id: u32,
        config: Rc<SiteConfig>,
        sandbox: Option<Sandbox>,
        now: Instant,
    ) {
        let site = Site {
            sandbox,
            is_former: true,
            ..Site::new(config, now)
        };
        self.by_id.insert(id, site);
    }

    /// The last number that was given out.
    pub(crate) fn last_id(&self) -> u32 {
        self.last_id
    }

    /// Whether there is a site of this number.
    pub(crate) fn is_there(&self, id: u32) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Whether this is a number of the old front's.
    pub(crate) fn is_former(&self, id: u32) -> bool {
        self.by_id.get(&id).is_some_and(|site| site.is_former)
    }

    /// Take sites from the table, and put others into it; their numbers.
    pub(crate) fn change(
        &mut self,
        gone: &[SiteId],
        new: Vec<Rc<SiteConfig>>,
        now: Instant,
    ) -> Vec<SiteId> {
        for id in gone {
            if let Some(site) = self.of(*id) {
                site.retired = Some(now + RELEASE_WITHIN);
            }
        }
        let add = |config| {
            let id = self.try_out(config, now);
            self.list(id);
            id
        };
        new.into_iter().map(add).collect()
    }

    /// What was tried comes into the table.
    pub(crate) fn list(&mut self, id: SiteId) {
        if let Some(site) = self.of(id) {
            site.is_listed = true;
        }
    }

    /// Add a site under a number that was never used; it is not in the table yet.
    pub(crate) fn try_out(&mut self, config: Rc<SiteConfig>, now: Instant) -> SiteId {
        // At a thousand new sites a second the numbers last for seven weeks, so a wrap cannot happen in practice.
        self.last_id = self.last_id.saturating_add(1);
        self.identities
            .extend([config.user.uid.0, config.user.gid.0]);
        self.by_id.insert(self.last_id, Site::new(config, now));
        SiteId(self.last_id)
    }

    /// The site of this number.
    pub(crate) fn of(&mut self, id: SiteId) -> Option<&mut Site> {
        self.by_id.get_mut(&id.0)
    }

    /// Forget a site. Its number stays used.
    pub(crate) fn remove(&mut self, id: SiteId) {
        self.by_id.remove(&id.0);
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SiteId, &Site)> {
        self.by_id.iter().map(|(id, site)| (SiteId(*id), site))
    }

    /// All of them, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Site> {
        self.by_id.values_mut()
    }

    /// Those of the table.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (SiteId, &Site)> {
        self.iter()
            .filter(|(_, site)| site.is_listed && site.retired.is_none())
    }

    /// The one of the table that has this name.
    pub(crate) fn listed_as(&self, name: &str) -> Option<SiteId> {
        let mut listed = self.listed();
        let found = listed.find(|(_, site)| site.config.name == name);
        found.map(|(id, _)| id)
    }

    /// The numbers of those of which `condition` is true, so that they can be changed meanwhile.
    pub(crate) fn ids(&self, condition: impl Fn(&Site) -> bool) -> Vec<SiteId> {
        self.iter()
            .filter(|(_, site)| condition(site))
            .map(|(id, _)| id)
            .collect()
    }

    /// Whether a user's or group's number is, or was, a site's.
    pub(crate) fn is_identity(&self, number: u32) -> bool {
        self.identities.contains(&number)
    }

    /// What is known about a number that the front names.
    pub(crate) fn known(&self, id: u32) -> Known {
        match self.by_id.get(&id) {
            Some(site) if site.retired.is_some() || site.is_former => Known::Retired,
            Some(_) => Known::Listed,
            None if (1..=self.last_id).contains(&id) => Known::Former,
            None => Known::Never,
        }
    }
}

impl Site {
    fn new(config: Rc<SiteConfig>, now: Instant) -> Self {
        Self {
            config,
            sandbox: None,
            back_off: BackOff::new(now),
            is_wanted: false,
            is_listed: false,
            is_former: false,
            retired: None,
        }
    }

    /// The next time at which something is to be done about this site without anybody asking; its start only if it `may_start`.
    pub(crate) fn next_deadline(&self, may_start: bool) -> Option<Instant> {
        let sandbox = self.sandbox.as_ref();
        let start = match sandbox {
            None if self.is_wanted && may_start => Some(self.back_off.not_before()),
            _ => None,
        };
        let retire = match sandbox {
            Some(Sandbox {
                stop_until: Some(_),
                ..
            }) => None,
            _ => self.retired,
        };
        let running = sandbox.map(|one| [one.exec_until, one.stop_until, one.unwatched_until]);
        let own = [start, retire].into_iter().flatten();
        own.chain(running.into_iter().flatten().flatten()).min()
    }

    /// The line of the table for the front.
    pub(crate) fn entry(&self, id: SiteId) -> SiteEntry {
        let (config, limits) = (&self.config, &self.config.limits);
        SiteEntry {
            id,
            name: config.name.clone(),
            user: config.user.name.clone(),
            domains: config.domains.clone(),
            script_extensions: config.script_extensions.clone(),
            workers_max: limits.workers_max,
            queue_max: limits.queue_max,
            queue_ms_max: milliseconds(limits.queue_time_max),
            request_ms_max: milliseconds(limits.request_time_max),
            body_bytes_max: limits.body_bytes_max,
            answer_bytes_max: limits.answer_bytes_max,
            spill_bytes_max: limits.spill_bytes_max,
            log_bytes_max: limits.log_bytes_max,
            idle_ms: milliseconds(limits.idle_time),
            cpu_weight: limits.cpu_weight,
            suspended: config.suspended,
            fresh: config.fresh,
        }
    }
}

impl Sandbox {
    /// A sandbox on its way to exec.
    pub(crate) fn new(launched: Launched, now: Instant) -> Self {
        Self {
            launched,
            begun: now,
            exec_until: Some(now + EXEC_WITHIN),
            stop_until: None,
            unwatched_until: None,
        }
    }

    /// A sandbox that an earlier program of this process has started.
    pub(crate) fn resumed(launched: Launched, now: Instant) -> Self {
        Self {
            exec_until: None,
            ..Self::new(launched, now)
        }
    }

    /// What the next program needs.
    pub(crate) fn handed_on(&self) -> [BorrowedFd<'_>; 3] {
        let launched = &self.launched;
        [
            launched.child.pidfd.as_fd(),
            launched.control.as_fd(),
            launched.errors.as_fd(),
        ]
    }

    /// The files that tell when something has happened at its bounds, while they are watched.
    pub(crate) fn event_files(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let group = self.launched.group.as_ref();
        let group = group.filter(|_| self.unwatched_until.is_none());
        group.into_iter().flat_map(SiteGroup::event_files)
    }

    /// What has happened at its bounds since the last call.
    pub(crate) fn new_events(&mut self, now: Instant) -> Events {
        let group = self.launched.group.as_mut();
        let events = group.map(SiteGroup::new_events).unwrap_or_default();
        let pause = match events == Events::default() {
            true => WATCH_PAUSE,
            false => TELL_PAUSE,
        };
        self.unwatched_until = Some(now + pause);
        events
    }

    /// Give the keeper the socket to a front.
    pub(crate) fn connect(&self, socket: &OwnedFd) -> io::Result<()> {
        let message = ToKeeper::Front.encode();
        send(&self.launched.control, &message, &[socket.as_fd()])
    }

    /// Ask the keeper to end everything within `limit`; afterwards it is killed.
    pub(crate) fn stop(&mut self, limit: Duration, now: Instant) {
        let until = now + limit + STOP_GRACE;
        self.stop_until = Some(self.stop_until.map_or(until, |before| before.min(until)));
        let seconds = u32::try_from(limit.as_secs()).unwrap_or(u32::MAX);
        let message = ToKeeper::Stop { seconds }.encode();
        if send(&self.launched.control, &message, &[]).is_err() {
            self.kill();
        }
    }

    /// End the keeper at once and with it, since it is process 1, everything in the sandbox.
    pub(crate) fn kill(&self) {
        self.launched.child.kill();
    }
}

/// A duration as the wire has it; the configuration bounds it to a day.
pub(crate) fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// How long the requests of a site that was taken from the table may take.
const RELEASE_WITHIN: Duration = Duration::from_secs(60);
/// From fork to exec takes some milliseconds; on a machine that is out of memory, longer.
const EXEC_WITHIN: Duration = Duration::from_secs(20);
/// From one look at a site's bounds to the next.
const WATCH_PAUSE: Duration = Duration::from_secs(1);
/// From one line about them to the next.
const TELL_PAUSE: Duration = Duration::from_secs(10);
/// What a keeper may take longer than it was told.
const STOP_GRACE: Duration = Duration::from_millis(500);
