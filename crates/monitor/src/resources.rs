//! What holds each site to its share of the machine: control groups, or what the kernel has without them.
//!
//! Used by the monitor and by `hostel prove`, as root. It turns a site's limits into the bounds of its control group, or, where a
//! controller is missing, into bounds of single processes, and says what that means. It decides no limit.

use std::os::fd::OwnedFd;
use std::path::Path;

use hostel_config::Site;
use hostel_sys::cgroup::{
    Bounds, CgroupError, Controller, Groups, SiteGroup, memory_max_default, shortcomings,
};
use hostel_sys::rlimit::Limits;
use hostel_wire::takeover;

/// What there is to bound sites with. Dropped, its control groups are removed: after all processes but this one have ended.
#[derive(Debug)]
pub struct Resources {
    groups: Result<Groups, CgroupError>,
    memory_max_default: u64,
}

impl Resources {
    /// Make the control groups of the instance with this `run` directory, which must be locked. Where none can be used, single
    /// processes are bounded.
    pub fn begin(run: &Path) -> Self {
        Self {
            groups: Groups::begin(run),
            memory_max_default: memory_max_default(),
        }
    }

    /// The same for a program that takes the place of an earlier one of this process, which has made the control groups.
    pub fn resume(run: &Path, groups: Option<takeover::Groups>) -> Self {
        let Some(groups) = groups else {
            return Self::begin(run);
        };
        Self {
            groups: Groups::resume(groups.base.into(), groups.is_own, groups.count),
            memory_max_default: memory_max_default(),
        }
    }

    /// The control groups that the monitor has made in this directory, or none, for a program that it has started.
    pub fn join(groups: &str) -> Self {
        let groups = match groups {
            "" => Err(CgroupError::NotVersion2),
            base => Groups::join(Path::new(base)),
        };
        Self {
            groups,
            memory_max_default: memory_max_default(),
        }
    }

    /// What [`resume`](Self::resume) takes.
    pub fn state(&self) -> Option<takeover::Groups> {
        let groups = self.groups.as_ref().ok()?;
        let (base, is_own, count) = groups.state();
        let base = base.display().to_string();
        Some(takeover::Groups {
            base,
            is_own,
            count,
        })
    }

    /// The group of a sandbox that the earlier program has started. Without it, what happens at its bounds is not told.
    pub fn resume_site(&self, path: Option<String>) -> Option<SiteGroup> {
        let groups = self.groups.as_ref().ok()?;
        groups.resume_site(path?.into()).ok()
    }

    /// What is weaker on this host than it should be, and what to do about it; `None` where nothing is.
    pub fn warning(&self) -> Option<String> {
        match &self.groups {
            Ok(groups) => shortcomings(&groups.missing(), None),
            Err(error) => shortcomings(&Controller::ALL, Some(error)),
        }
    }

    /// Whether a site's bounds are those of a control group in this respect.
    pub fn has(&self, controller: Controller) -> bool {
        self.groups
            .as_ref()
            .is_ok_and(|groups| groups.has(controller))
    }

    /// The control group of the front.
    ///
    /// # Errors
    /// The kernel's.
    pub fn server_group(&self) -> Result<Option<OwnedFd>, CgroupError> {
        let groups = self.groups.as_ref().ok();
        groups.map(Groups::server).transpose()
    }

    /// A control group for one sandbox of this site.
    ///
    /// # Errors
    /// The kernel's: the site must not run without its bounds then.
    pub fn site_group(&self, site: &Site) -> Result<Option<SiteGroup>, CgroupError> {
        let bounds = Bounds {
            memory_max: self.memory_max(site),
            cpu_weight: site.limits.cpu_weight,
            cpu_max: site.limits.cpu_max,
            io_weight: site.limits.io_weight,
            processes_max: site.limits.processes_max,
        };
        let groups = self.groups.as_ref().ok();
        groups
            .map(|groups| groups.site(&site.name, &bounds))
            .transpose()
    }

    /// The bounds of each process of a site: with those in which no control group bounds all of them together.
    pub fn process_limits(&self, site: &Site) -> Limits {
        let without = |controller| !self.has(controller);
        Limits {
            open_files: SITE_OPEN_FILES,
            processes: without(Controller::Processes).then_some(site.limits.processes_max.into()),
            data_bytes: without(Controller::Memory).then_some(self.memory_max(site)),
        }
    }

    /// The site's `memory_max` in bytes, or what holds where it says nothing.
    pub fn memory_max(&self, site: &Site) -> u64 {
        site.limits.memory_max.unwrap_or(self.memory_max_default)
    }
}

/// Descriptors that one process of a site may open.
const SITE_OPEN_FILES: u64 = 4096;
