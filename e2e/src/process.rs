//! Processes as /proc tells them: found by their parent, known by id and start time, ended by id alone.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub use rustix::process::Signal;

/// One process. The start time tells it from a later one with the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// The file name of its program, such as `hostel-front`.
    pub program: String,
    /// Its real user id.
    pub uid: u32,
    started: u64,
}

impl Process {
    /// The process of this id, if it runs; a zombie does not.
    pub fn find(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (before, after) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        let program = match fs::read_link(format!("/proc/{pid}/exe")) {
            Ok(path) => path.file_name()?.to_string_lossy().into_owned(),
            Err(_) => before.split_once('(')?.1.to_owned(),
        };
        Some(Self {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            program: program.trim_end_matches(" (deleted)").to_owned(),
            uid: uids.split_whitespace().next()?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    /// Whether it still runs.
    pub fn runs(&self) -> bool {
        Self::find(self.pid).is_some_and(|now| now.started == self.started)
    }

    /// Send a signal, if it still runs.
    pub fn signal(&self, signal: Signal) {
        if self.runs() {
            signal_by_id(self.pid, signal);
        }
    }

    /// Its open descriptors and what each is, as /proc names it.
    pub fn descriptors(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid));
        let entries = entries.into_iter().flatten().flatten();
        let target = |path: &Path| {
            fs::read_link(path)
                .ok()?
                .into_os_string()
                .into_string()
                .ok()
        };
        entries
            .filter_map(|entry| {
                Some((
                    entry.file_name().into_string().ok()?,
                    target(&entry.path())?,
                ))
            })
            .collect()
    }

    /// One line of /proc/PID/status, such as `CapEff`.
    pub fn status(&self, name: &str) -> Option<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    }
}

/// Send a signal to a process that the caller started and has not waited for.
pub fn signal_by_id(pid: i32, signal: Signal) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        // It may have ended in between: then there is nothing to do.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// All processes.
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc can be read");
    entries
        .flatten()
        .filter_map(|entry| Process::find(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// The children of a process, theirs, and so on; not itself.
pub fn descendants(pid: i32) -> Vec<Process> {
    let all = all();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|p| p.parent == parent) {
            parents.push(process.pid);
            found.push(process.clone());
        }
    }
    found
}

/// Processes whose mounts name this directory: those that live in a sandbox of the instance there.
pub fn with_mounts_of(directory: &Path) -> Vec<Process> {
    let directory = directory.to_string_lossy();
    all()
        .into_iter()
        .filter(|process| {
            fs::read_to_string(format!("/proc/{}/mountinfo", process.pid))
                .is_ok_and(|mounts| mounts.contains(directory.as_ref()))
        })
        .collect()
}

/// A time limit as this machine needs it: HOSTEL_SLOW times as long where that is set (a whole number), as in a guest whose
/// processor is emulated.
pub fn patience(limit: Duration) -> Duration {
    let slow = std::env::var("HOSTEL_SLOW").map_or(1, |factor| {
        factor
            .parse()
            .unwrap_or_else(|e| panic!("HOSTEL_SLOW={factor}: {e}"))
    });
    limit * slow
}

/// Wait, at most `limit` ([`patience`] added), until `done`; whether it came to that.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience(limit);
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Start a command and kill it after so long; whether it had not ended by itself.
pub fn killed_after(command: &mut Command, after: Duration) -> bool {
    command.stdin(Stdio::null());
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = quiet
        .spawn()
        .unwrap_or_else(|e| panic!("starting {:?}: {e}", command.get_program()));
    std::thread::sleep(after);
    let is_running = matches!(child.try_wait(), Ok(None));
    // Only a child that was waited for before cannot be killed.
    let _ = child.kill();
    let _ = child.wait();
    is_running
}
