//! Control groups (version 2): one per running sandbox, beside one for the server's own processes.
//!
//! Used by the monitor as root; the command line asks what there is and what a site uses. It trusts the kernel's files beneath
//! /sys/fs/cgroup, none of which a site can see. Under systemd with `Delegate=yes` the groups stand in the service's own;
//! else at the top of the hierarchy, in a group that is named after the instance. Version 1 is not used: what it lacks
//! (a group's events and birth in a group) cannot be made up for. Limits are written before a group has a process and never
//! after, since lowering `memory.max` waits in the kernel until so much was freed, and the monitor must not wait.

use std::cell::Cell;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, getxattr, open, statfs};

mod site;

pub use site::{Bounds, Events, SiteGroup, Usage};

/// Why there are no control groups to use.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// Version 1, or version 1 beside a version 2 without controllers, or nothing.
    #[error(
        "{TOP} is not cgroup v2 (hint: boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line, or mount cgroup2 there)"
    )]
    NotVersion2,
    /// No controller could be switched on.
    #[error("no controller of cgroup v2 can be used in {} ({HINT})", .0.display())]
    NoController(PathBuf),
    /// The kernel refused something.
    #[error("cannot {action} {}", path.display())]
    Failed {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

/// What bounds and shares one kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// Memory.
    Memory,
    /// Processor time.
    Cpu,
    /// Processes and threads.
    Processes,
    /// The disk's time.
    Disk,
}

impl Controller {
    /// Every one that is used.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Cpu, Self::Processes, Self::Disk];

    /// The kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Processes => "pids",
            Self::Disk => "io",
        }
    }
}

impl Controller {
    /// What holds where this one is missing.
    fn without(self) -> &'static str {
        match self {
            Self::Memory => "memory_max bounds the heap of each process by itself",
            Self::Cpu => "cpu_weight and cpu_max do nothing",
            Self::Processes => "processes_max bounds all processes of the site's user",
            Self::Disk => "io_weight does nothing",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The groups of a running instance. Dropped, they are removed and this process goes back to where it was; its other processes must
/// have ended before.
#[derive(Debug)]
pub struct Groups {
    /// Beneath it are the server's group and those of the sites.
    base: PathBuf,
    /// Where the monitor was when it began, if it had to leave.
    is_own: bool,
    controllers: Vec<Controller>,
    /// How many sandboxes there have been, for names that are used once.
    count: Cell<u64>,
    /// Whether another process has made them and will remove them.
    is_joined: bool,
}

impl Groups {
    /// Make the groups of the instance whose directory is `run`, which must be locked: what a killed monitor has left there is
    /// ended and removed. This process may come to stand in another group.
    ///
    /// # Errors
    /// See [`CgroupError`].
    pub fn begin(run: &Path) -> Result<Self, CgroupError> {
        if !is_version_2() {
            return Err(CgroupError::NotVersion2);
        }
        let top = Path::new(TOP);
        let own = own_group()?;
        let is_own = is_given(&own)?;
        let base = if is_own {
            own
        } else {
            // A group that stands in the top one has the controllers that the top one hands out.
            switch_on(top)?;
            let_owner_write(top)?;
            top.join(instance_name(run))
        };
        let mut groups = Self {
            base,
            is_own,
            controllers: Vec::new(),
            count: Cell::new(0),
            is_joined: false,
        };
        make(&groups.base)?;
        groups.clear(|_| true);
        make(&groups.server_path())?;
        if is_own {
            // A group that hands controllers out may hold no process itself.
            write(&groups.server_path(), PROCESSES, "0")?;
        }
        groups.controllers = switch_on(&groups.base)?;
        if groups.controllers.is_empty() {
            return Err(CgroupError::NoController(groups.base.clone()));
        }
        if groups.has(Controller::Cpu) {
            write(&groups.server_path(), "cpu.weight", SERVER_WEIGHT)?;
        }
        Ok(groups)
    }

    /// The groups that an earlier program of this process has made: the directory above them, whether this process had to leave it, and
    /// how many sandboxes had one.
    ///
    /// # Errors
    /// See [`CgroupError`].
    pub fn resume(base: PathBuf, is_own: bool, count: u64) -> Result<Self, CgroupError> {
        Ok(Self {
            controllers: listed(&base, SUBTREE)?,
            base,
            is_own,
            count: Cell::new(count),
            is_joined: false,
        })
    }

    /// What [`resume`](Self::resume) takes.
    pub fn state(&self) -> (&Path, bool, u64) {
        (&self.base, self.is_own, self.count.get())
    }

    /// The group of a sandbox that an earlier program of this process has made.
    ///
    /// # Errors
    /// See [`CgroupError`].
    pub fn resume_site(&self, path: PathBuf) -> Result<SiteGroup, CgroupError> {
        SiteGroup::resume(path, &self.controllers)
    }

    /// The groups that the monitor has made in `base`, for more sandboxes beside its own. What an earlier process has left of those that it
    /// started so is ended and removed. Nothing is removed when this is dropped: the monitor does that.
    ///
    /// # Errors
    /// See [`CgroupError`].
    pub fn join(base: &Path) -> Result<Self, CgroupError> {
        let controllers = listed(base, SUBTREE)?;
        if controllers.is_empty() {
            return Err(CgroupError::NoController(base.to_owned()));
        }
        let groups = Self {
            base: base.to_owned(),
            is_own: false,
            controllers,
            count: Cell::new(0),
            is_joined: true,
        };
        groups.clear(is_joined_name);
        Ok(groups)
    }

    /// Whether this controller is there.
    pub fn has(&self, controller: Controller) -> bool {
        self.controllers.contains(&controller)
    }

    /// The controllers that are not there.
    pub fn missing(&self) -> Vec<Controller> {
        let mut all = Controller::ALL.to_vec();
        all.retain(|controller| !self.has(*controller));
        all
    }

    /// The group for the server's own processes, for a spawn.
    ///
    /// # Errors
    /// See [`CgroupError`].
    pub fn server(&self) -> Result<OwnedFd, CgroupError> {
        directory(&self.server_path())
    }

    /// Make a group for one sandbox of the site `name`, with its bounds set.
    ///
    /// # Errors
    /// See [`CgroupError`].
    pub fn site(&self, name: &str, bounds: &Bounds) -> Result<SiteGroup, CgroupError> {
        self.count.set(self.count.get() + 1);
        let mut number = self.count.get().to_string();
        if self.is_joined {
            number = format!("{}{JOINED}{number}", std::process::id());
        }
        let path = self.base.join(format!("{SITE}{name}.{number}"));
        make(&path)?;
        SiteGroup::new(path, bounds, &self.controllers)
    }

    /// End and remove whatever is left of those of sites' groups that have such a name.
    fn clear(&self, is_meant: impl Fn(&str) -> bool) {
        let Ok(entries) = fs::read_dir(&self.base) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(SITE) && is_meant(&name) {
                let _ = write(&entry.path(), "cgroup.kill", "1");
                for _ in 0..CLEAR_TRIES {
                    if fs::remove_dir(entry.path()).is_ok() {
                        break;
                    }
                    std::thread::sleep(CLEAR_PAUSE);
                }
            }
        }
    }

    fn server_path(&self) -> PathBuf {
        self.base.join("server")
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        if self.is_joined {
            return;
        }
        self.clear(|_| true);
        // What cannot be removed is empty and harmless, and is used again by the next start.
        if self.is_own {
            for controller in &self.controllers {
                let _ = write(&self.base, SUBTREE, &format!("-{controller}"));
            }
            let _ = write(&self.base, PROCESSES, "0");
        }
        let _ = fs::remove_dir(self.server_path());
        if !self.is_own {
            let _ = fs::remove_dir(&self.base);
        }
    }
}

/// The controllers of the top of the hierarchy, without changing anything.
///
/// # Errors
/// See [`CgroupError`].
pub fn available() -> Result<Vec<Controller>, CgroupError> {
    if !is_version_2() {
        return Err(CgroupError::NotVersion2);
    }
    let controllers = listed(Path::new(TOP), "cgroup.controllers")?;
    if controllers.is_empty() {
        return Err(CgroupError::NoController(TOP.into()));
    }
    Ok(controllers)
}

/// What is weaker for sites without these controllers, and why they are missing where that is known; `None` where none is.
pub fn shortcomings(missing: &[Controller], why: Option<&CgroupError>) -> Option<String> {
    if missing.is_empty() {
        return None;
    }
    let why = match why {
        Some(error) => {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        }
        None => {
            let names: Vec<&str> = missing.iter().map(|one| one.name()).collect();
            format!("cgroup v2 without {} ({HINT})", names.join(", "))
        }
    };
    let weaker: Vec<&str> = missing.iter().map(|one| one.without()).collect();
    Some(format!("{why}; so {}", weaker.join("; ")))
}

/// Three quarters of the host's memory, in bytes: what a site may use that says nothing. What is left is the server's and the
/// database's.
pub fn memory_max_default() -> u64 {
    let system = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion, reason = "its type differs by processor")]
    let host = u64::from(system.totalram).saturating_mul(system.mem_unit.into());
    host / 4 * 3
}

fn is_version_2() -> bool {
    statfs(TOP).is_ok_and(|found| found.f_type == MAGIC)
}

/// The group of this process.
fn own_group() -> Result<PathBuf, CgroupError> {
    let file = Path::new("/proc/self/cgroup");
    let text = fs::read_to_string(file).map_err(failed("read", file))?;
    group_path(&text).ok_or_else(|| {
        let outside = io::Error::other("it stands outside of what this container sees");
        failed("find this process's control group in", file)(outside)
    })
}

/// The directory of the version 2 group that a file like /proc/self/cgroup names.
fn group_path(text: &str) -> Option<PathBuf> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let is_below = path.split('/').all(|part| part != "..");
    is_below.then(|| Path::new(TOP).join(path))
}

/// Whether a group was handed over to this process: no other is in it, and where systemd rules, systemd says so.
fn is_given(group: &Path) -> Result<bool, CgroupError> {
    let is_top_of_all = !group.join("cgroup.type").exists();
    if is_top_of_all {
        return Ok(false);
    }
    let processes = group.join(PROCESSES);
    let text = fs::read_to_string(&processes).map_err(failed("read", &processes))?;
    let mut numbers = text.lines().map(str::parse::<u32>);
    let is_alone = numbers.all(|number| number == Ok(std::process::id()));
    let says_so = |name| getxattr(group, name, &mut [0_u8; 1]) == Ok(1);
    let is_delegated = says_so("trusted.delegate") || says_so("user.delegate");
    Ok(is_alone && (is_delegated || !Path::new("/run/systemd/system").exists()))
}

/// The name of an instance's group: its path, as /proc names what is in no file system, with `:` for `/`.
fn instance_name(run: &Path) -> String {
    let path = run.to_string_lossy();
    let path = path.replace('%', "%25").replace(':', "%3A");
    format!("hostel{}", path.replace('/', ":"))
}

/// Whether the group of a sandbox has a name that a process has given it which has joined the monitor's groups.
fn is_joined_name(name: &str) -> bool {
    let number = name.rsplit_once('.').map(|(_, number)| number);
    number.is_some_and(|number| number.contains(JOINED))
}

/// Hand out every controller that can be to the groups beneath this one. Those that are handed out.
fn switch_on(group: &Path) -> Result<Vec<Controller>, CgroupError> {
    for controller in listed(group, "cgroup.controllers")? {
        // One that cannot be is missing from what is read below.
        let _ = write(group, SUBTREE, &format!("+{controller}"));
    }
    listed(group, SUBTREE)
}

fn listed(group: &Path, file: &str) -> Result<Vec<Controller>, CgroupError> {
    let path = group.join(file);
    let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
    let mut all = Controller::ALL.to_vec();
    all.retain(|one| text.split_whitespace().any(|name| name == one.name()));
    Ok(all)
}

/// The kernel makes the top directory as one that nobody writes in: only root with CAP_DAC_OVERRIDE, which the monitor has given
/// up, makes groups there all the same. As its owner it may say otherwise.
fn let_owner_write(group: &Path) -> Result<(), CgroupError> {
    let mut permissions = fs::metadata(group)
        .map_err(failed("look at", group))?
        .permissions();
    if permissions.mode() & 0o200 != 0 {
        return Ok(());
    }
    permissions.set_mode(permissions.mode() | 0o200);
    fs::set_permissions(group, permissions).map_err(failed("let root write in", group))
}

fn make(group: &Path) -> Result<(), CgroupError> {
    match fs::create_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed("make the control group", group)(error))
        }
        _ => Ok(()),
    }
}

/// Write a value into a file of a group, in one call as the kernel wants it.
fn write(group: &Path, file: &str, value: &str) -> Result<(), CgroupError> {
    let path = group.join(file);
    let opened = fs::File::options().write(true).open(&path);
    opened
        .and_then(|mut opened| io::Write::write_all(&mut opened, value.as_bytes()))
        .map_err(failed("write", &path))
}

fn directory(group: &Path) -> Result<OwnedFd, CgroupError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(group, flags, Mode::empty()).map_err(|error| failed("open", group)(error.into()))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CgroupError {
    move |source| CgroupError::Failed {
        action,
        path: path.to_owned(),
        source,
    }
}

/// What to do where controllers are missing.
const HINT: &str = "hint: a systemd service needs Delegate=yes; a container must be given its control groups, writable";
/// Where every distribution mounts control groups.
const TOP: &str = "/sys/fs/cgroup";
/// CGROUP2_SUPER_MAGIC.
const MAGIC: rustix::fs::FsWord = 0x6367_7270;
const PROCESSES: &str = "cgroup.procs";
const SUBTREE: &str = "cgroup.subtree_control";
/// What the names of sites' groups begin with.
const SITE: &str = "site-";
/// Stands in the number of a sandbox between those of its process and of its own, where another process than the monitor has made it.
const JOINED: char = '-';
/// Every request of every site goes through the server: it must not get one site's share among many.
const SERVER_WEIGHT: &str = "1000";
/// What was killed ends within milliseconds, unless a disk holds it; then it is left.
const CLEAR_TRIES: u32 = 100;
const CLEAR_PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_a_process_is_found_among_those_of_version_1() {
        let path = |text| group_path(text).map(|path| path.display().to_string());
        let hybrid = "9:name=systemd:/\n4:memory:/a\n0::/system.slice/hostel.service\n";
        let found = path(hybrid).unwrap();
        assert_eq!(found, "/sys/fs/cgroup/system.slice/hostel.service");
        assert_eq!(path("0::/\n").unwrap(), "/sys/fs/cgroup/");
        assert_eq!(path("4:memory:/a\n"), None);
        assert_eq!(path("0::/../other\n"), None);
    }

    #[test]
    fn what_is_weaker_is_said_with_what_to_do() {
        assert_eq!(shortcomings(&[], None), None);
        let text = shortcomings(&[Controller::Cpu, Controller::Disk], None).unwrap();
        assert!(text.contains("without cpu, io (hint: "), "{text}");
        assert!(text.ends_with("; so cpu_weight and cpu_max do nothing; io_weight does nothing"));
        let text = shortcomings(&Controller::ALL, Some(&CgroupError::NotVersion2)).unwrap();
        assert!(
            text.contains("systemd.unified_cgroup_hierarchy=1"),
            "{text}"
        );
        assert!(text.contains("memory_max bounds the heap"), "{text}");
    }

    #[test]
    fn instances_have_groups_of_different_names() {
        let name = |run| instance_name(Path::new(run));
        assert_eq!(name("/run/hostel"), "hostel:run:hostel");
        assert_ne!(name("/srv/a:b"), name("/srv/a/b"));
        assert_ne!(name("/srv/a%3Ab"), name("/srv/a:b"));
    }

    #[test]
    fn groups_of_the_monitor_are_none_that_were_made_beside_them() {
        for name in ["site-a.123-4", "site-a-b.c.123-4"] {
            assert!(is_joined_name(name), "{name}");
        }
        for name in ["site-a.4", "site-a-b.4", "site-a.1-2.4", "server", "site-a"] {
            assert!(!is_joined_name(name), "{name}");
        }
    }

    #[test]
    fn a_site_that_says_nothing_leaves_a_quarter() {
        let text = fs::read_to_string("/proc/meminfo").unwrap();
        let total = text.split_whitespace().nth(1).unwrap();
        let total = total.parse::<u64>().unwrap() * 1024;
        let default = memory_max_default();
        assert!(default > total / 2 && default < total, "{default}");
    }
}
