//! When the sweeper is started: soon after the site woke, then once a minute where nobody else bounds the site's temporary
//! files, else once an hour. One at a time.

use std::ffi::CString;
use std::time::{Duration, Instant};

use hostel_sys::child::{self, Program};
use hostel_sys::cred::Dropped;
use hostel_wire::view;
use rustix::process::Pid;

use crate::stderr::say;
use crate::sweep::NAME;

/// The sweeper as the keeper sees it.
#[derive(Debug)]
pub(crate) struct Sweeper {
    bytes_max: u64,
    due: Instant,
    pid: Option<Pid>,
}

impl Sweeper {
    /// One that has not run. `bytes_max`: the most bytes of temporary files, 0 where the kernel bounds them.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            due: Instant::now() + FIRST_AFTER,
            pid: None,
        }
    }

    /// When it is to be started next.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Its process id, while it runs.
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// Start it, if it is time.
    pub(crate) fn start_if_due(&mut self, _: &Dropped) {
        let now = Instant::now();
        if now < self.due {
            return;
        }
        let is_measured = self.bytes_max > 0;
        self.due = now
            + if is_measured {
                MEASURED_EVERY
            } else {
                AGED_EVERY
            };
        if self.pid.is_some() {
            return; // it still runs
        }
        match start(self.bytes_max) {
            Ok(pid) => self.pid = Some(pid),
            Err(error) => say(&format!("temporary files are not looked after: {error}")),
        }
    }

    /// A child has ended.
    pub(crate) fn ended(&mut self, pid: Pid) {
        if self.pid == Some(pid) {
            self.pid = None;
        }
    }
}

fn start(bytes_max: u64) -> Result<Pid, child::StartError> {
    // Words of ours and digits hold no NUL.
    let text = |text: String| CString::new(text).unwrap_or_default();
    child::start(&Program {
        path: text(format!("{}/hostel-keeper", view::PROGRAMS)),
        arguments: vec![text(NAME.to_owned()), text(bytes_max.to_string())],
        environment: Vec::new(),
        descriptors: &[],
    })
}

/// When a visitor has been served.
const FIRST_AFTER: Duration = Duration::from_secs(10);
/// Between two measurements a site can write more than its bound: as much as the disk takes in that time.
const MEASURED_EVERY: Duration = Duration::from_secs(60);
const AGED_EVERY: Duration = Duration::from_secs(60 * 60);
