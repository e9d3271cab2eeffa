//! What runs beside the web: a helper of root's that starts cron entries and daemons; and what the monitor does about it.
//!
//! It is told when to read the configuration, and where the end is. What a job writes goes through here as a descriptor, from the
//! helper to the front, and is not read.

use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_sys::back_off::BackOff;
use hostel_sys::helper::Helper;
use hostel_wire::front_monitor::{SiteId, ToFront};
use hostel_wire::monitor_jobs::{FromJobs, ToJobs};

use super::{Monitor, STOP_LIMIT};
use crate::requests::Phase;

/// The helper, running or not.
#[derive(Debug)]
pub(crate) struct Jobs {
    pub(super) helper: Option<Helper>,
    back_off: BackOff,
    /// Whether it has to be told to read the configuration.
    pub(super) is_stale: bool,
}

impl Jobs {
    /// Nothing runs yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            helper: None,
            back_off: BackOff::new(now),
            is_stale: false,
        }
    }

    pub(super) fn say(&self, message: &ToJobs) {
        if let Some(helper) = &self.helper {
            helper.say(&message.encode());
        }
    }
}

impl Monitor {
    pub(super) fn jobs_deadline(&self) -> Option<Instant> {
        let is_wanted = self.jobs.helper.is_none() && !self.server.jobs.is_empty();
        (is_wanted && self.phase == Phase::Serving).then(|| self.jobs.back_off.not_before())
    }

    /// Start it where it is wanted, and let it begin once it is known what holds sites to their `egress`.
    pub(super) fn jobs_are_due(&mut self, now: Instant) {
        if self.jobs_deadline().is_some_and(|time| time <= now) {
            match Helper::start("hostel-jobs", &self.path) {
                Ok(helper) => {
                    self.jobs.helper = Some(helper);
                    self.jobs.is_stale = true;
                }
                Err(error) => {
                    let wait = self.jobs.back_off.died(now, now);
                    let what = format_args!("cannot start hostel-jobs, again in {wait:?}");
                    self.log.failure(what, &error);
                }
            }
        }
        if self.jobs.is_stale && self.phase == Phase::Serving && !self.firewall.is_pending() {
            self.jobs.is_stale = false;
            let groups = self.resources.state().map(|groups| groups.base);
            self.jobs.say(&ToJobs::Apply {
                is_filtered: !self.firewall.has_failed(),
                groups: groups.unwrap_or_default(),
            });
        }
    }

    /// Hear what it says, and learn of its end, which is that of everything it has started.
    pub(super) fn hear_jobs(&mut self) {
        let mut buffer = [0; FromJobs::BYTES_MAX];
        while let Some(Ok(Some((bytes, descriptors)))) =
            self.jobs.helper.as_ref().map(|jobs| jobs.take(&mut buffer))
        {
            match FromJobs::decode(bytes) {
                Ok(FromJobs::Output { site, job }) => {
                    let found = self.sites.listed().find(|(_, one)| one.config.name == site);
                    let found = found.map(|(id, _)| id);
                    if let (Some(front), Some(site), Some(output)) =
                        (&mut self.front, found, descriptors.into_iter().next())
                    {
                        front.tell(&ToFront::JobOutput { site, job }, &[&Rc::new(output)]);
                        self.tell_jobs_log(site);
                    }
                }
                Ok(FromJobs::Warning(text)) => self.log.warning(format_args!("jobs: {text}")),
                Err(error) => self.log.error(format_args!("jobs: {error}")),
            }
        }
        let ended = |helper: &mut Helper| !matches!(helper.has_ended(), Ok(false));
        if let Some(helper) = self.jobs.helper.take_if(ended)
            && self.phase == Phase::Serving
        {
            let wait = self.jobs.back_off.died(helper.begun(), Instant::now());
            self.log.error(format_args!(
                "hostel-jobs has ended, and all jobs with it; it starts again in {wait:?}"
            ));
        }
    }

    /// Open the log of a site's jobs and give it to the front.
    pub(super) fn tell_jobs_log(&mut self, id: SiteId) {
        let (Some(front), Some(site)) = (&mut self.front, self.sites.of(id)) else {
            return;
        };
        let config = &site.config;
        match self.directories.jobs_log(&config.name, config.user.gid) {
            Ok(file) => front.tell(&ToFront::JobsLog { site: id }, &[&Rc::new(file)]),
            Err(error) => {
                let what = format_args!("site {}: cannot open its log of jobs", config.name);
                self.log.failure(what, &error);
            }
        }
    }

    /// Before another program goes on, which starts the next one: what runs of its jobs is ended with it.
    pub(super) fn abandon_jobs(&mut self) {
        if let Some(helper) = self.jobs.helper.take() {
            helper.abandon(DISMISSED_WITHIN);
        }
    }

    /// At the end: it has been told to stop, and ends when its jobs have.
    pub(super) fn dismiss_jobs(&mut self) {
        if let Some(helper) = self.jobs.helper.take() {
            helper.dismiss(STOP_LIMIT + DISMISSED_WITHIN);
        }
    }
}

const DISMISSED_WITHIN: Duration = Duration::from_secs(1);
