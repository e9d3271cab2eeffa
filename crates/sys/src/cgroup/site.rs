//! The control group of one sandbox: its bounds, what happened at them, what it uses.
//!
//! Part of `cgroup`. The events are read from files of the kernel; a site can make them happen, and choose nothing of what is
//! read. OOM ends one process of the group (`memory.oom.group` is 0): the largest, which is the worker that asked for too much;
//! ending all would let one request end every other of the site, and its OPcache.

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{CgroupError, Controller, SITE, directory, failed, group_path, write};

/// What a sandbox may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of memory, page cache included; swap is not used at all.
    pub memory_max: u64,
    /// Share of processor time, 1 to 10000.
    pub cpu_weight: u32,
    /// Processor time in hundredths of a core; `None` for no bound.
    pub cpu_max: Option<u32>,
    /// Share of the disk's time, 1 to 10000.
    pub io_weight: u32,
    /// Processes and threads.
    pub processes_max: u32,
}

/// What has happened at the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Events {
    /// Processes that the kernel has ended for want of memory.
    pub killed: u64,
    /// Forks that it has refused for want of a place.
    pub refused: u64,
}

/// What a sandbox uses now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes of memory, and the most that it may use; 0 without the controller.
    pub memory_bytes: u64,
    /// The most that it may use; 0 without the controller.
    pub memory_bytes_max: u64,
    /// Processes and threads.
    pub processes: u64,
    /// The most of them; 0 without the controller.
    pub processes_max: u64,
    /// Processor time since the sandbox began.
    pub cpu_time: Duration,
    /// What happened at its bounds since then.
    pub events: Events,
}

/// The group of one sandbox. Dropped, it is removed with all that is left in it.
#[derive(Debug)]
pub struct SiteGroup {
    path: PathBuf,
    directory: OwnedFd,
    memory_events: Option<File>,
    processes_events: Option<File>,
    seen: Events,
}

impl SiteGroup {
    /// The group at `path`, which was just made.
    pub(super) fn new(
        path: PathBuf,
        bounds: &Bounds,
        controllers: &[Controller],
    ) -> Result<Self, CgroupError> {
        let directory = directory(&path)?;
        let mut group = Self {
            path,
            directory,
            memory_events: None,
            processes_events: None,
            seen: Events::default(),
        };
        for controller in controllers {
            bound(&group.path, *controller, bounds)?;
        }
        group.open_events(controllers)?;
        Ok(group)
    }

    /// The group at `path`, which has its bounds.
    pub(super) fn resume(path: PathBuf, controllers: &[Controller]) -> Result<Self, CgroupError> {
        let mut group = Self {
            directory: directory(&path)?,
            path,
            memory_events: None,
            processes_events: None,
            seen: Events::default(),
        };
        group.open_events(controllers)?;
        Ok(group)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open_events(&mut self, controllers: &[Controller]) -> Result<(), CgroupError> {
        for controller in controllers {
            match controller {
                Controller::Memory => self.memory_events = Some(self.open(MEMORY_EVENTS)?),
                Controller::Processes => self.processes_events = Some(self.open(PROCESSES_EVENTS)?),
                Controller::Cpu | Controller::Disk => {}
            }
        }
        // The kernel tells of changes since the last reading only.
        self.new_events();
        Ok(())
    }

    fn open(&self, file: &str) -> Result<File, CgroupError> {
        let path = self.path.join(file);
        File::open(&path).map_err(failed("open", &path))
    }

    /// The files that are ready with `POLLPRI` when there is something to read with [`new_events`](Self::new_events).
    pub fn event_files(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let files = [&self.memory_events, &self.processes_events];
        files.into_iter().flatten().map(AsFd::as_fd)
    }

    /// What has happened since the last call.
    pub fn new_events(&mut self) -> Events {
        let now = Events {
            killed: count(self.memory_events.as_ref(), KILLED),
            refused: count(self.processes_events.as_ref(), REFUSED),
        };
        let new = Events {
            killed: now.killed.saturating_sub(self.seen.killed),
            refused: now.refused.saturating_sub(self.seen.refused),
        };
        self.seen = now;
        new
    }
}

impl Drop for SiteGroup {
    fn drop(&mut self) {
        // The keeper was process 1 of the sandbox: once it was waited for, nothing is left. What cannot be removed all the same
        // is removed when the server stops.
        let _ = write(&self.path, "cgroup.kill", "1");
        let _ = fs::remove_dir(&self.path);
    }
}

impl AsFd for SiteGroup {
    /// The directory, for a spawn.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Usage {
    /// What the sandbox uses of which this process is one; `None` where it has ended or has no group of its own.
    pub fn of_process(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let path = group_path(&text)?;
        if !path.file_name()?.to_str()?.starts_with(SITE) {
            return None;
        }
        let read = |file| fs::read_to_string(path.join(file)).unwrap_or_default();
        // "max" is no number, and no bound that is ever set here.
        let number = |file| read(file).trim().parse().unwrap_or(0);
        Some(Self {
            memory_bytes: number("memory.current"),
            memory_bytes_max: number("memory.max"),
            processes: number("pids.current"),
            processes_max: number("pids.max"),
            cpu_time: Duration::from_micros(field(&read("cpu.stat"), "usage_usec")),
            events: Events {
                killed: field(&read(MEMORY_EVENTS), KILLED),
                refused: field(&read(PROCESSES_EVENTS), REFUSED),
            },
        })
    }
}

fn bound(path: &Path, controller: Controller, bounds: &Bounds) -> Result<(), CgroupError> {
    match controller {
        Controller::Memory => {
            let max = bounds.memory_max;
            write(path, "memory.max", &max.to_string())?;
            // Slowed down there, a site that grows slowly gives its page cache back before anything must end. The kernel slows
            // by the square of the excess: a sixteenth took a hog of 128 MiB, and its whole site, four seconds to its end.
            let high = max - (max / 32).min(HIGH_BELOW_MAX);
            write(path, "memory.high", &high.to_string())?;
            write(path, "memory.oom.group", "0")?;
            // Else a hog would fill the swap that all share. A kernel may have none.
            if_there(write(path, "memory.swap.max", "0"))
        }
        Controller::Cpu => {
            write(path, "cpu.weight", &bounds.cpu_weight.to_string())?;
            write(path, "cpu.max", &cpu_max(bounds.cpu_max))
        }
        Controller::Processes => write(path, "pids.max", &bounds.processes_max.to_string()),
        Controller::Disk => {
            let weight = bounds.io_weight;
            // Either is there if the kernel has that way to share a disk; BFQ's weights end at 1000.
            if_there(write(path, "io.weight", &format!("default {weight}")))?;
            let weight = weight.min(1000).to_string();
            if_there(write(path, "io.bfq.weight", &weight))
        }
    }
}

/// `cpu.max`: microseconds in each tenth of a second.
fn cpu_max(hundredths: Option<u32>) -> String {
    match hundredths {
        Some(hundredths) => format!("{} 100000", u64::from(hundredths) * 1000),
        None => "max 100000".to_owned(),
    }
}

/// A file that this kernel does not have is fine.
fn if_there(written: Result<(), CgroupError>) -> Result<(), CgroupError> {
    match written {
        Err(CgroupError::Failed { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        written => written,
    }
}

/// A counter of an events file, 0 where there is none.
fn count(file: Option<&File>, name: &str) -> u64 {
    let mut bytes = [0; EVENTS_BYTES_MAX];
    let read = file.and_then(|file| file.read_at(&mut bytes, 0).ok());
    let text = bytes.get(..read.unwrap_or(0)).unwrap_or_default();
    field(&String::from_utf8_lossy(text), name)
}

/// The number in the line `NAME NUMBER`, 0 where there is none.
fn field(text: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(key, _)| *key == name);
    found
        .and_then(|(_, number)| number.parse().ok())
        .unwrap_or(0)
}

const MEMORY_EVENTS: &str = "memory.events";
const PROCESSES_EVENTS: &str = "pids.events";
/// The counters in them.
const KILLED: &str = "oom_kill";
const REFUSED: &str = "max";
/// Six lines of a word and a number.
const EVENTS_BYTES_MAX: usize = 512;
/// In bytes.
const HIGH_BELOW_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_counter_is_read() {
        let text = "low 0\nhigh 12\nmax 7\noom 3\noom_kill 2\noom_group_kill 9\n";
        assert_eq!(field(text, KILLED), 2);
        assert_eq!(field(text, REFUSED), 7);
        assert_eq!(field(text, "oo"), 0);
        assert_eq!(field("", KILLED), 0);
        assert_eq!(field("max x\n", REFUSED), 0);
    }

    #[test]
    fn a_share_of_cores_is_time_in_a_tenth_of_a_second() {
        assert_eq!(cpu_max(None), "max 100000");
        assert_eq!(cpu_max(Some(150)), "150000 100000");
        // Two milliseconds: the kernel takes no less than one.
        assert_eq!(cpu_max(Some(2)), "2000 100000");
    }

    #[test]
    fn a_file_that_is_not_there_is_fine_and_another_error_is_not() {
        let result = |errno| {
            let error = std::io::Error::from_raw_os_error(errno);
            Err(failed("write", Path::new("x"))(error))
        };
        assert!(if_there(result(libc::ENOENT)).is_ok());
        assert!(if_there(result(libc::EBUSY)).is_err());
    }
}
