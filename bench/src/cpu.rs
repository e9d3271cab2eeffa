//! CPU time: of a server with everything that it ever started, and of the whole machine.
//!
//! A control group counts the time of all processes in it, those that have ended included, so servers that fork for each
//! connection or request are charged in full. `cpu.stat` exists in every group of version 2, whichever controllers are
//! switched on, and is the only file that is read.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use crate::failure::{Failure, Result, Tried};

/// A control group of the bench's own.
#[derive(Debug)]
pub(crate) struct Group {
    path: PathBuf,
}

impl Group {
    /// A new, empty group.
    pub(crate) fn create(name: &str) -> Result<Self> {
        let path = mount_point()?.join(format!("hostel-bench-{name}"));
        fs::create_dir(&path).tried(format!("make the group {}", path.display()))?;
        Ok(Self { path })
    }

    /// A command that enters the group and then becomes `program`.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(r#"echo $$ > "$0/cgroup.procs" && exec "$@""#)
            .arg(&self.path)
            .arg(program.as_ref());
        command
    }

    /// The CPU time that everything in the group has used.
    pub(crate) fn used(&self) -> Result<Duration> {
        let file = self.path.join("cpu.stat");
        let text = fs::read_to_string(&file).tried(format!("read {}", file.display()))?;
        text.lines()
            .find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok())
            .map(Duration::from_micros)
            .ok_or_else(|| Failure(format!("{} has no usage_usec", file.display())))
    }

    /// Kill what still is in the group and remove it, with the groups that its processes made.
    pub(crate) fn end(&self) -> Result<()> {
        let what = format!("end the group {}", self.path.display());
        fs::write(self.path.join("cgroup.kill"), "1").tried(&what)?;
        let start = Instant::now();
        loop {
            match remove_groups(&self.path) {
                Ok(()) => return Ok(()),
                Err(_) if start.elapsed() < Duration::from_secs(5) => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(error).tried(&what),
            }
        }
    }
}

fn remove_groups(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_groups(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}

/// Where the groups of version 2 are.
pub(crate) fn mount_point() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").tried("read /proc/self/mounts")?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .find(|(_, kind)| *kind == "cgroup2")
        .map(|(place, _)| PathBuf::from(place))
        .ok_or_else(|| Failure("no control groups of version 2 are mounted".into()))
}

/// The machine's CPU time that was not idle, over all CPUs, with what other guests of the same host took.
pub(crate) fn machine_busy() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").tried("read /proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    let busy: u64 = [0, 1, 2, 5, 6, 7]
        .iter()
        .filter_map(|at| ticks.get(*at))
        .sum();
    Ok(Duration::from_millis(busy * 10))
}
