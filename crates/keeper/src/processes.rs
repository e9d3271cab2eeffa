//! What else runs in the site: processes that are neither the keeper nor PHP, such as `exec("php import.php &")` leaves behind.
//!
//! Run by the keeper in its own process namespace. /proc is the kernel's, but names in it are chosen by whoever runs: only
//! numbers are read. A process that is the zygote's child counts as a worker, whatever it says it is.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use rustix::time::{ClockId, clock_gettime};

/// A process of the site that is not PHP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its id in the site's namespace.
    pub(crate) pid: Pid,
    /// How long ago it was started.
    pub(crate) age: Duration,
}

impl Process {
    /// What its age calls for: nothing, a signal that it may answer, or one that it cannot refuse.
    pub(crate) fn overdue(self) -> Option<Signal> {
        if self.age >= AGE_MAX + GRACE {
            Some(Signal::KILL)
        } else if self.age >= AGE_MAX {
            Some(Signal::TERM)
        } else {
            None
        }
    }
}

/// All processes that are neither process 1, nor the zygote, nor its children, nor already ended.
///
/// # Errors
/// /proc cannot be listed. A process that ends meanwhile is left out.
pub(crate) fn others(zygote: Option<Pid>) -> io::Result<Vec<Process>> {
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(now.tv_sec.unsigned_abs(), 0);
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            continue;
        };
        if pid == Pid::INIT || Some(pid) == zygote {
            continue;
        }
        let Ok(text) = std::fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())) else {
            continue;
        };
        let Some(stat) = Stat::parse(&text) else {
            continue;
        };
        if stat.ended || (zygote.is_some() && stat.parent == zygote) {
            continue;
        }
        let started =
            Duration::from_secs(stat.start_ticks / rustix::param::clock_ticks_per_second());
        found.push(Process {
            pid,
            age: now.saturating_sub(started),
        });
    }
    Ok(found)
}

/// The three fields of `/proc/PID/stat` that matter.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    ended: bool,
    parent: Option<Pid>,
    start_ticks: u64,
}

impl Stat {
    /// The name, in parentheses, is the process's own choice and may hold anything, parentheses and spaces too: all that follows
    /// the last `)` are the kernel's numbers.
    fn parse(text: &[u8]) -> Option<Self> {
        let name_end = text.iter().rposition(|byte| *byte == b')')?;
        let fields = std::str::from_utf8(text.get(name_end + 1..)?).ok()?;
        let mut fields = fields.split_ascii_whitespace();
        let ended = matches!(fields.next()?, "Z" | "X");
        let parent = Pid::from_raw(fields.next()?.parse().ok()?);
        let start_ticks = fields.nth(START_AFTER_PARENT)?.parse().ok()?;
        Some(Self {
            ended,
            parent,
            start_ticks,
        })
    }
}

/// The longest that a process besides PHP's may run in a site. A cron job of a day has ended by then; what runs longer is a
/// daemon, and those keep a site from sleeping for ever.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it may take to end once it was asked to.
const GRACE: Duration = Duration::from_secs(60);
/// Fields between the parent's id (the 4th) and the time of start (the 22nd).
const START_AFTER_PARENT: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_the_numbers() {
        let text =
            b"77 (x) Z 1 (y) S 5 77 77 0 -1 4194560 103 0 0 0 0 0 0 0 20 0 1 0 4711 2338816 0";
        let expected = Stat {
            ended: false,
            parent: Pid::from_raw(5),
            start_ticks: 4711,
        };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse(b"77 (x) S 5 77"), None);
        assert_eq!(Stat::parse(b""), None);
    }

    #[test]
    fn this_process_is_found_and_is_young() {
        let own = rustix::process::getpid();
        let found = others(None).unwrap();
        let process = found.iter().find(|process| process.pid == own).unwrap();
        assert!(process.age < Duration::from_secs(600), "{process:?}");
        assert_eq!(process.overdue(), None);
        // Left out as the zygote, or as a child of the zygote.
        assert!(
            others(Some(own))
                .unwrap()
                .iter()
                .all(|process| process.pid != own)
        );
        let parent = rustix::process::getppid();
        assert!(
            others(parent)
                .unwrap()
                .iter()
                .all(|process| process.pid != own)
        );
    }

    #[test]
    fn an_old_process_is_asked_and_then_made_to_end() {
        let aged = |age| Process {
            pid: Pid::INIT,
            age,
        };
        assert_eq!(aged(AGE_MAX - GRACE).overdue(), None);
        assert_eq!(aged(AGE_MAX).overdue(), Some(Signal::TERM));
        assert_eq!(aged(AGE_MAX + GRACE).overdue(), Some(Signal::KILL));
    }
}
