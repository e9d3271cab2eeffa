//! What the monitor does about a site: start its sandbox, connect it, learn of its end.

use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_monitor::launch::LaunchError;
use hostel_sys::causes::with_causes;
use hostel_sys::fdpass::message_pair;
use hostel_sys::signal::Ending;
use hostel_sys::spawn::Progress;
use hostel_wire::front_monitor::{Down, Notice, SiteId, ToFront};

use super::front::front_of;
use super::{Fatal, Monitor, STOP_LIMIT};
use crate::sites::Sandbox;

impl Monitor {
    /// One of the times of [`Site::next_deadline`](crate::sites::Site::next_deadline) has come.
    pub(super) fn site_is_due(&mut self, id: SiteId, now: Instant) {
        let is_due = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        let Some(site) = self.sites.of(id) else {
            return;
        };
        let Some(sandbox) = &mut site.sandbox else {
            if is_due(site.retired) {
                self.sites.remove(id);
            } else if site.is_wanted {
                self.start_site(id, now);
            }
            return;
        };
        if is_due(sandbox.unwatched_until) {
            sandbox.unwatched_until = None;
        } else if is_due(sandbox.exec_until) {
            sandbox.exec_until = None;
            if !matches!(sandbox.launched.child.progress(), Ok(Progress::Started)) {
                let name = &site.config.name;
                self.log.error(format_args!(
                    "site {name}: took too long to start and is killed"
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

    fn start_site(&mut self, id: SiteId, now: Instant) {
        self.tell_logs(id);
        let Some(config) = self.sites.of(id).map(|site| Rc::clone(&site.config)) else {
            return;
        };
        let is_site = |number| self.sites.is_identity(number);
        let launched = if self.firewall.fails(&config.egress) {
            Err(LaunchError::Egress)
        } else {
            self.programs.keeper(
                &config,
                &self.server,
                &self.directories,
                &self.resources,
                &is_site,
                &self.difference,
            )
        };
        let Some(site) = self.sites.of(id) else {
            return;
        };
        site.is_wanted = false;
        let name = &config.name;
        match launched {
            Ok(launched) => {
                let pid = launched.child.pid;
                if let Some(error) = &launched.without_file_cache {
                    let (log, text) = (&mut self.log, with_causes(error));
                    log.warning(format_args!("site {name}: OPcache keeps no files: {text}"));
                }
                if let Some(watch) = &mut self.watch {
                    watch.cover(&launched.bound, now);
                }
                site.sandbox = Some(Sandbox::new(launched, now));
                self.log
                    .debugging(format_args!("site {name}: started (process {pid})"));
                self.connect(id);
            }
            Err(error) => {
                let wait = site.back_off.died(now, now);
                let text = with_causes(&error);
                self.log
                    .error(format_args!("site {name}: not started: {text}"));
                self.trial_ended(id, Err(&format!("it was not started: {text}")));
                self.tell_down(id, Down::SpawnFailed, wait);
            }
        }
    }

    /// Give front and keeper the two ends of a socket.
    pub(super) fn connect(&mut self, id: SiteId) {
        let Some(site) = self.sites.of(id) else {
            return;
        };
        let Some(front) = front_of(site.is_former, &mut self.front, &mut self.former) else {
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
                sandbox.kill();
                let name = &site.config.name;
                self.log.error(format_args!(
                    "site {name}: the keeper takes no message and is killed: {error}"
                ));
            }
        }
    }

    /// Open the site's logs and give them to the front.
    pub(super) fn tell_logs(&mut self, id: SiteId) {
        let Some(site) = self.sites.of(id) else {
            return;
        };
        let Some(front) = front_of(site.is_former, &mut self.front, &mut self.former) else {
            return;
        };
        let config = &site.config;
        match self.directories.site_logs(&config.name, config.user.gid) {
            Ok(files) => {
                let [access, error] = files.map(Rc::new);
                front.tell(&ToFront::SiteLogs { site: id }, &[&access, &error]);
            }
            Err(error) => {
                let what = format_args!("site {}: cannot open its logs", config.name);
                self.log.failure(what, &error);
            }
        }
    }

    /// Tell in the site's log and in the server's what the kernel did at the site's bounds.
    pub(super) fn site_at_bound(&mut self, id: SiteId, now: Instant) {
        let Some(site) = self.sites.of(id) else {
            return;
        };
        let Some(sandbox) = &mut site.sandbox else {
            return;
        };
        let (events, name) = (sandbox.new_events(now), &site.config.name);
        let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let mut front = front_of(site.is_former, &mut self.front, &mut self.former);
        let mut tell = |notice| {
            if let Some(front) = &mut front {
                front.tell(&ToFront::SiteNotice { site: id, notice }, &[]);
            }
        };
        if events.killed > 0 {
            let (ended, memory_max) = (
                number(events.killed),
                self.resources.memory_max(&site.config),
            );
            tell(Notice::MemoryUsedUp { ended, memory_max });
            self.log.warning(format_args!(
                "site {name}: reached its memory_max; the kernel has ended {ended} of its processes"
            ));
        }
        if events.refused > 0 {
            let (refused, processes_max) =
                (number(events.refused), site.config.limits.processes_max);
            tell(Notice::ProcessesUsedUp {
                refused,
                processes_max,
            });
            self.log.warning(format_args!(
                "site {name}: reached its processes_max; {refused} new ones were refused"
            ));
        }
    }

    pub(super) fn site_ended(&mut self, id: SiteId) -> Result<(), Fatal> {
        // What ended it may stand there.
        self.site_at_bound(id, Instant::now());
        let Some((site, sandbox)) = self.sites.of(id).and_then(|site| {
            let sandbox = site.sandbox.take()?;
            Some((site, sandbox))
        }) else {
            return Ok(());
        };
        let Some(ending) = sandbox.launched.child.ended().map_err(Fatal::Wait)? else {
            site.sandbox = Some(sandbox);
            return Ok(());
        };
        let now = Instant::now();
        let failed = match sandbox.launched.child.progress() {
            Ok(Progress::Failed(step)) => Some(step),
            _ => None,
        };
        let was_asked = ending == Ending::Exited(0) || sandbox.stop_until.is_some();
        let (reason, wait) = match failed {
            Some(_) => (Down::SpawnFailed, site.back_off.died(sandbox.begun, now)),
            None if was_asked => (Down::Asleep, Duration::ZERO),
            None => (Down::Died, site.back_off.died(sandbox.begun, now)),
        };
        let (name, is_retired) = (&site.config.name, site.retired.is_some_and(|it| it <= now));
        match failed {
            Some(step) => {
                let text = format!("not started: {step}");
                self.log.error(format_args!("site {name}: {text}"));
                self.trial_ended(id, Err(&format!("it was {text}")));
            }
            None if was_asked => {
                site.back_off.ended_well(now);
                self.log.debugging(format_args!("site {name}: asleep"));
            }
            None => self.log.error(format_args!(
                "site {name}: the keeper {ending}; it may start again in {wait:?}"
            )),
        }
        if is_retired {
            self.sites.remove(id);
        } else {
            self.tell_down(id, reason, wait);
        }
        Ok(())
    }
}
