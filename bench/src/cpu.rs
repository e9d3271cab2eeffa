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

    /// All processes in it and in the groups that they made.
    pub(crate) fn processes(&self) -> Vec<String> {
        let mut processes = Vec::new();
        processes_in(&self.path, &mut processes);
        processes
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

fn processes_in(path: &Path, processes: &mut Vec<String>) {
    // A group that is gone has no processes.
    let text = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    processes.extend(text.lines().map(str::to_owned));
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            processes_in(&entry.path(), processes);
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

/// Watches what a measurement uses: the server, the load, and whatever else the machine does meanwhile.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    server: &'a Group,
    others: Vec<&'a Group>,
    begun: Instant,
    before: (Duration, Duration, Duration),
}

impl<'a> Watch<'a> {
    /// From now on. `others` belong to the measurement too: the load generator, a database.
    pub(crate) fn begin(server: &'a Group, others: &[&'a Group]) -> Result<Self> {
        let mut watch = Self {
            server,
            others: others.to_vec(),
            begun: Instant::now(),
            before: Default::default(),
        };
        watch.before = watch.read()?;
        watch.begun = Instant::now();
        Ok(watch)
    }

    /// Until now: the server's CPU time, and the share of the CPUs that none of them used, but something else did.
    pub(crate) fn end(self) -> Result<(Duration, f64)> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let elapsed = self.begun.elapsed().as_secs_f64() * cores as f64;
        let (server, others, machine) = self.read()?;
        let used = server.saturating_sub(self.before.0);
        let foreign = machine.saturating_sub(self.before.2).as_secs_f64()
            - used.as_secs_f64()
            - others.saturating_sub(self.before.1).as_secs_f64();
        Ok((used, (foreign / elapsed).max(0.0)))
    }

    fn read(&self) -> Result<(Duration, Duration, Duration)> {
        let mut others = of_process("self")?;
        for group in &self.others {
            others += group.used()?;
        }
        Ok((self.server.used()?, others, machine_busy()?))
    }
}

/// The CPU time of a process with all its threads, in steps of 10 milliseconds.
pub(crate) fn of_process(id: &str) -> Result<Duration> {
    let file = format!("/proc/{id}/stat");
    let stat = fs::read_to_string(&file).tried(format!("read {file}"))?;
    // The name, in parentheses, may hold anything; user and system time are the 12th and 13th field behind it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Ok(Duration::from_millis(ticks * 10))
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
