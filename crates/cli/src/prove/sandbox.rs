//! A fresh sandbox of a site, with the stage as its document root, spoken to as front and monitor do.
//!
//! Started by `hostel prove` as root, by the monitor's own plan. What keeper and workers say is as hostile as the site; only
//! which message it is counts, and the process ids are taken from the host's /proc.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use hostel_config::Site;
use hostel_monitor::launch::{Difference, LaunchError, Launched};
use hostel_sys::fdpass::{message_pair, receive, send, stream_pair};
use hostel_sys::layers::Layers;
use hostel_sys::signal::Ending;
use hostel_sys::spawn::{Progress, StepFailed};
use hostel_wire::front_keeper::{FrontToKeeper, KeeperToFront};
use hostel_wire::keeper_zygote::WorkerId;
use hostel_wire::limits::MESSAGE_BYTES_MAX;
use hostel_wire::monitor_keeper::{PhpValue, ToKeeper};
#[cfg(feature = "controls")]
use std::{os::fd::AsRawFd, path::PathBuf};

#[cfg(feature = "controls")]
use rustix::process::{Pid, Signal, kill_process};

use super::exchange::{Exchange, readable};
use super::ground::Ground;
use crate::processes::{self, Process};

/// A running sandbox; dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Sandbox {
    launched: Launched,
    front: OwnedFd,
    workers: u32,
    tickets: u32,
    has_ended: bool,
    /// How its keeper ended, where that is known.
    ending: Option<Ending>,
    /// Its mount namespace.
    #[cfg(feature = "controls")]
    mounts: Option<Mounts>,
}

/// Which sort of sandbox is started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sort<'a> {
    pub(crate) layers: Layers,
    pub(crate) environment: &'a [CString],
    pub(crate) php_values: &'a [PhpValue],
    /// Another user than the site's, in a control.
    #[cfg(feature = "controls")]
    pub(crate) identity: Option<(hostel_sys::cred::Uid, hostel_sys::cred::Gid)>,
}

impl<'a> Sort<'a> {
    /// A victim's: the site's own settings.
    pub(crate) fn victim(layers: Layers, environment: &'a [CString]) -> Self {
        Self {
            layers,
            environment,
            php_values: &[],
            #[cfg(feature = "controls")]
            identity: None,
        }
    }
}

/// Why a sandbox cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    #[error("cannot start its sandbox")]
    Launch(#[from] LaunchError),
    #[error("its sandbox was not started: {0}")]
    Step(StepFailed),
    #[error("its keeper ended while it started: {0}")]
    Ended(String),
    #[error("its keeper did not {0} in time")]
    Late(&'static str),
    #[error("cannot speak to its keeper")]
    Socket(#[source] io::Error),
    #[error("PHP did not start: {0}")]
    Php(String),
}

impl Sandbox {
    /// Start one and wait until its keeper answers.
    pub(crate) fn start(
        ground: &Ground,
        site: &Site,
        sort: &Sort<'_>,
    ) -> Result<Self, SandboxError> {
        let is_site = |number| ground.is_identity(number);
        // Other settings than the site's mean another file cache, and PHP keeps one: the site's own would be removed.
        let no_file_cache = PhpValue {
            name: "opcache.file_cache".to_owned(),
            value: String::new(),
            admin: true,
        };
        let launched = ground.programs.keeper(
            site,
            &ground.server,
            &ground.directories,
            &ground.resources,
            &is_site,
            &Difference {
                layers: sort.layers,
                document_root: Some(ground.stage.document_root()),
                environment: sort.environment,
                instead: None,
                command: None,
                php_values: &[sort.php_values, &[no_file_cache]].concat(),
                #[cfg(feature = "controls")]
                identity: sort.identity,
            },
        )?;
        let (front, far) = message_pair(true).map_err(SandboxError::Socket)?;
        let mut sandbox = Self {
            launched,
            front,
            workers: 0,
            tickets: 0,
            has_ended: false,
            ending: None,
            #[cfg(feature = "controls")]
            mounts: None,
        };
        let message = ToKeeper::Front.encode();
        send(&sandbox.launched.control, &message, &[far.as_fd()]).map_err(SandboxError::Socket)?;
        drop(far);
        sandbox.wait_for("answer", |message| matches!(message, KeeperToFront::Ready))?;
        #[cfg(feature = "controls")]
        {
            sandbox.mounts = Mounts::of(sandbox.keeper());
        }
        Ok(sandbox)
    }

    /// Have a worker started, and send it a request for a script of the stage.
    pub(crate) fn ask(&mut self, script: &str, body: &[u8]) -> Result<Exchange, SandboxError> {
        let (near, far) = stream_pair(true).map_err(SandboxError::Socket)?;
        self.workers += 1;
        let worker = WorkerId(self.workers);
        let message = FrontToKeeper::StartWorker(worker);
        send(&self.front, &message.encode(), &[far.as_fd()]).map_err(SandboxError::Socket)?;
        drop(far);
        self.wait_for("start a worker", |message| {
            matches!(message, KeeperToFront::WorkerStarted(started, _) if *started == worker)
        })?;
        Exchange::begin(near, script, body).map_err(SandboxError::Socket)
    }

    /// Ask its keeper for a static file; what the file holds, as far as `bytes_max`, where there is one.
    ///
    /// # Errors
    /// The keeper does not answer.
    pub(crate) fn static_file(&mut self, path: &str, bytes_max: usize) -> io::Result<Vec<u8>> {
        self.tickets += 1;
        let question = FrontToKeeper::Resolve {
            ticket: self.tickets,
            path: path.as_bytes().to_vec(),
            known: None,
        };
        send(&self.front, &question.encode(), &[])?;
        let mut buffer = vec![0; MESSAGE_BYTES_MAX];
        let until = Instant::now() + ANSWER_TIME_MAX;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !readable(&self.front, left)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let received = receive(&self.front, &mut buffer)?;
            let message = KeeperToFront::decode(buffer.get(..received.bytes).unwrap_or_default());
            let Ok(KeeperToFront::Resolved { ticket, .. }) = message else {
                continue;
            };
            if ticket != self.tickets {
                continue;
            }
            // As the front does: a regular file and nothing else, since reading another thing could wait for ever.
            let file = received.descriptors.into_iter().next().map(File::from);
            let mut text = Vec::new();
            if let Some(file) =
                file.filter(|file| file.metadata().is_ok_and(|found| found.is_file()))
            {
                file.take(bytes_max as u64).read_to_end(&mut text)?;
            }
            return Ok(text);
        }
    }

    /// Its keeper, as the host sees it.
    pub(crate) fn keeper(&self) -> u32 {
        self.launched.child.pid
    }

    /// Its processes, as the host sees them, the keeper first.
    pub(crate) fn processes(&self) -> Vec<Process> {
        processes::tree(&processes::all(), self.keeper())
    }

    /// Whether its keeper still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        !self.has_ended && !self.reap(Duration::ZERO)
    }

    /// What its processes have written to their standard error since the last time.
    pub(crate) fn errors(&self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while all.len() < ERRORS_BYTES_MAX {
            match rustix::io::read(&*self.launched.errors, &mut buffer) {
                Ok(count @ 1..) => all.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Ok(0) | Err(_) => break,
            }
        }
        all
    }

    /// Kill it and wait for its end.
    pub(crate) fn end(&mut self) {
        if !self.has_ended {
            self.launched.child.kill();
            self.reap(END_TIME_MAX);
        }
    }

    /// Without a process namespace of its own, the end of its first process is not the end of the others; but all of them have its
    /// mounts.
    #[cfg(feature = "controls")]
    fn end_others(&self) {
        let Some(mounts) = &self.mounts else {
            return;
        };
        let has_mounts = |process: &Process| mounts.are_of(process.pid);
        let others = processes::all().into_iter().filter(has_mounts);
        for pid in others.filter_map(|process| Pid::from_raw(process.pid.try_into().ok()?)) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    fn wait_for(
        &mut self,
        what: &'static str,
        is_it: impl Fn(&KeeperToFront) -> bool,
    ) -> Result<(), SandboxError> {
        let until = Instant::now() + START_TIME_MAX;
        let mut buffer = vec![0; MESSAGE_BYTES_MAX];
        loop {
            if let Ok(Progress::Failed(step)) = self.launched.child.progress() {
                return Err(SandboxError::Step(step));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(SandboxError::Late(what));
            }
            if !readable(&self.front, left.min(POLL_EVERY)).map_err(SandboxError::Socket)? {
                if !self.is_alive() {
                    return Err(SandboxError::Ended(self.last_words()));
                }
                continue;
            }
            let received = match receive(&self.front, &mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(SandboxError::Ended(self.last_words()));
                }
                received => received.map_err(SandboxError::Socket)?,
            };
            let bytes = buffer.get(..received.bytes).unwrap_or_default();
            match KeeperToFront::decode(bytes) {
                Ok(message) if is_it(&message) => return Ok(()),
                Ok(KeeperToFront::PhpDown(_) | KeeperToFront::WorkerFailed(..)) => {
                    return Err(SandboxError::Php(self.last_words()));
                }
                Ok(
                    KeeperToFront::Busy { .. }
                    | KeeperToFront::Ready
                    | KeeperToFront::Resolved { .. }
                    | KeeperToFront::WorkerDied(..)
                    | KeeperToFront::WorkerStarted(..),
                ) => {}
                Err(_) => return Err(SandboxError::Ended(self.last_words())),
            }
        }
    }

    fn last_words(&mut self) -> String {
        // A keeper that has closed its socket is about to be gone.
        if !self.has_ended {
            self.reap(LAST_WORDS_TIME_MAX);
        }
        let how = self
            .ending
            .map_or(String::new(), |ending| format!("it {ending}; "));
        let words = self.errors();
        let words = String::from_utf8_lossy(&words);
        match words.trim() {
            "" => format!("{how}it said nothing"),
            words => format!("{how}{}", words.escape_debug()),
        }
    }

    /// Whether it has ended within `limit`; then its process id is free.
    fn reap(&mut self, limit: Duration) -> bool {
        let child = &self.launched.child;
        let is_over = readable(&child.pidfd, limit).unwrap_or(true);
        let ended = if is_over { child.ended() } else { Ok(None) };
        self.has_ended = matches!(ended, Ok(Some(_)) | Err(_));
        self.ending = ended.ok().flatten();
        self.has_ended
    }
}

/// A mount namespace. Held open, for the kernel gives the number of one that is gone to the next that is made, which is
/// somebody else's.
#[cfg(feature = "controls")]
#[derive(Debug)]
struct Mounts {
    name: PathBuf,
    _held: File,
}

#[cfg(feature = "controls")]
impl Mounts {
    fn of(pid: u32) -> Option<Self> {
        let held = File::open(format!("/proc/{pid}/ns/mnt")).ok()?;
        let name = std::fs::read_link(format!("/proc/self/fd/{}", held.as_raw_fd())).ok()?;
        Some(Self { name, _held: held })
    }

    fn are_of(&self, pid: u32) -> bool {
        std::fs::read_link(format!("/proc/{pid}/ns/mnt")).is_ok_and(|name| name == self.name)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.end();
        #[cfg(feature = "controls")]
        self.end_others();
    }
}

/// A sandbox and PHP in it start within a tenth of a second; on a machine that is out of memory, later.
const START_TIME_MAX: Duration = Duration::from_secs(20);
/// The kernel ends all processes of a namespace and unmounts its view.
const END_TIME_MAX: Duration = Duration::from_secs(10);
/// A keeper answers a question within a millisecond.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// From its last message to its end.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_millis(200);
/// How often a start that takes long is looked at.
const POLL_EVERY: Duration = Duration::from_millis(200);
/// Of what a sandbox says in vain.
const ERRORS_BYTES_MAX: usize = 1 << 20;
