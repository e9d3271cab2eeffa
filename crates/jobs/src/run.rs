//! A sandbox under way in which one job runs.
//!
//! Started as root by the code that starts keepers. What is heard of it is its end; what it writes waits in a pipe whose other end
//! is held here, for a front that starts later, and read by the front alone.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use hostel_config::{Server, Site};
use hostel_monitor::directories::Directories;
use hostel_monitor::launch::{Command, Difference, LaunchError, Launched, Programs};
use hostel_monitor::resources::Resources;
use hostel_sys::fdpass::send;
use hostel_sys::signal::Ending;
use hostel_sys::spawn::Progress;
use hostel_wire::monitor_keeper::ToKeeper;

/// What sandboxes are started from.
pub(crate) struct Ground<'a> {
    pub(crate) server: &'a Server,
    pub(crate) directories: &'a Directories,
    pub(crate) programs: &'a Programs,
    pub(crate) resources: &'a Resources,
    /// Whether a user's or group's number belongs to a site.
    pub(crate) is_site: &'a dyn Fn(u32) -> bool,
    /// Whether the packet filter holds sites to their `egress`.
    pub(crate) is_filtered: bool,
}

/// A run. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Run {
    launched: Launched,
    /// Until when it must have reached exec, while that is not known.
    exec_until: Option<Instant>,
    /// It was told to stop; at this time it is killed.
    kill_at: Option<Instant>,
}

impl Run {
    /// Start a command of a site.
    pub(crate) fn start(
        ground: &Ground<'_>,
        site: &Site,
        command: &str,
        now: Instant,
    ) -> Result<Self, LaunchError> {
        if site.egress.is_bounded() && !ground.is_filtered {
            return Err(LaunchError::Egress);
        }
        let words = [c"/bin/sh".into(), c"-c".into(), CString::new(command)?];
        let environment: [CString; 2] = [c"SHELL=/bin/sh".into(), c"TERM=dumb".into()];
        let launched = ground.programs.keeper(
            site,
            ground.server,
            ground.directories,
            ground.resources,
            ground.is_site,
            &Difference {
                environment: &environment,
                command: Some(Command {
                    words: &words,
                    streams: None,
                    terminals: None,
                }),
                ..Difference::NONE
            },
        )?;
        Ok(Self {
            launched,
            exec_until: Some(now + EXEC_WITHIN),
            kill_at: None,
        })
    }

    /// Process 1 of the sandbox, as the host sees it.
    pub(crate) fn pid(&self) -> u32 {
        self.launched.child.pid
    }

    /// Readable when it has ended.
    pub(crate) fn end(&self) -> BorrowedFd<'_> {
        self.launched.child.pidfd.as_fd()
    }

    /// The read end of what it writes.
    pub(crate) fn output(&self) -> BorrowedFd<'_> {
        self.launched.errors.as_fd()
    }

    /// When something is to be done about it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.exec_until.into_iter().chain(self.kill_at).min()
    }

    /// Do what its deadlines ask for.
    pub(crate) fn act(&mut self, now: Instant) {
        if self.exec_until.is_some_and(|until| until <= now) {
            self.exec_until = None;
            if !matches!(self.launched.child.progress(), Ok(Progress::Started)) {
                self.launched.child.kill();
            }
        }
        if self.kill_at.is_some_and(|at| at <= now) {
            // Once more after a while, if the kernel takes its time.
            self.kill_at = Some(now + STOP_LIMIT);
            self.launched.child.kill();
        }
    }

    /// Ask everything in it to end; what has not within the limit is killed.
    pub(crate) fn stop(&mut self, limit: Duration, now: Instant) {
        let at = now + limit + STOP_GRACE;
        self.kill_at = Some(self.kill_at.map_or(at, |before| before.min(at)));
        let seconds = u32::try_from(limit.as_secs()).unwrap_or(u32::MAX);
        let message = ToKeeper::Stop { seconds }.encode();
        if send(&self.launched.control, &message, &[]).is_err() {
            self.launched.child.kill();
        }
    }

    /// How it ended: its status as a shell tells it, or why it was not started. `None` while it runs.
    pub(crate) fn ended(&self) -> Option<Result<u8, String>> {
        let ending = match self.launched.child.ended() {
            Ok(None) => return None,
            Ok(Some(ending)) => ending,
            // Nobody else waits for it, so this does not happen; it cannot be waited for again.
            Err(error) => return Some(Err(error.to_string())),
        };
        Some(match self.launched.child.progress() {
            Ok(Progress::Failed(step)) => Err(step.to_string()),
            Ok(Progress::Pending | Progress::Started) | Err(_) => Ok(match ending {
                Ending::Exited(status) => status,
                Ending::Signalled(signal) => signal.saturating_add(128),
            }),
        })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.launched.child.kill();
    }
}

/// How long a run may take to end when it is told to.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(10);
/// What process 1 may take longer than it was told.
const STOP_GRACE: Duration = Duration::from_millis(500);
/// From fork to exec takes some milliseconds; on a machine that is out of memory, longer.
const EXEC_WITHIN: Duration = Duration::from_secs(20);
