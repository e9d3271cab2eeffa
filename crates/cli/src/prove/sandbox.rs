//! A fresh sandbox of a site, with the stage as its document root, spoken to as front and monitor do.
//!
//! Started by `hostel prove` as root, by the monitor's own plan. What keeper and workers say is as hostile as the site; only
//! which message it is counts, and the process ids are taken from the host's /proc.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use hostel_config::Site;
use hostel_monitor::launch::{Difference, LaunchError, Launched};
use hostel_sys::fdpass::{message_pair, receive, send, stream_pair};
use hostel_sys::layers::Layers;
use hostel_sys::spawn::{Progress, StepFailed};
use hostel_wire::front_keeper::{FrontToKeeper, KeeperToFront};
use hostel_wire::keeper_zygote::WorkerId;
use hostel_wire::limits::MESSAGE_BYTES_MAX;
use hostel_wire::monitor_keeper::ToKeeper;

use super::exchange::{Exchange, readable};
use super::ground::Ground;
use crate::processes::{self, Process};

/// A running sandbox; dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Sandbox {
    launched: Launched,
    front: OwnedFd,
    workers: u32,
    has_ended: bool,
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
        layers: Layers,
        environment: &[CString],
    ) -> Result<Self, SandboxError> {
        let is_site = |number| ground.is_identity(number);
        let launched = ground.programs.keeper(
            site,
            &ground.server,
            &ground.directories,
            &ground.resources,
            &is_site,
            &Difference {
                layers,
                document_root: Some(ground.stage.document_root()),
                environment,
                instead: None,
            },
        )?;
        let (front, far) = message_pair(true).map_err(SandboxError::Socket)?;
        let mut sandbox = Self {
            launched,
            front,
            workers: 0,
            has_ended: false,
        };
        let message = ToKeeper::Front.encode();
        send(&sandbox.launched.control, &message, &[far.as_fd()]).map_err(SandboxError::Socket)?;
        drop(far);
        sandbox.wait_for("answer", |message| matches!(message, KeeperToFront::Ready))?;
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
            let received = receive(&self.front, &mut buffer).map_err(SandboxError::Socket)?;
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

    fn last_words(&self) -> String {
        let words = self.errors();
        let words = String::from_utf8_lossy(&words);
        match words.trim() {
            "" => "it said nothing".to_owned(),
            words => words.escape_debug().to_string(),
        }
    }

    /// Whether it has ended within `limit`; then its process id is free.
    fn reap(&mut self, limit: Duration) -> bool {
        let child = &self.launched.child;
        let is_over = readable(&child.pidfd, limit).unwrap_or(true);
        self.has_ended = is_over && matches!(child.ended(), Ok(Some(_)) | Err(_));
        self.has_ended
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.end();
    }
}

/// A sandbox and PHP in it start within a tenth of a second; on a machine that is out of memory, later.
const START_TIME_MAX: Duration = Duration::from_secs(20);
/// The kernel ends all processes of a namespace and unmounts its view.
const END_TIME_MAX: Duration = Duration::from_secs(10);
/// How often a start that takes long is looked at.
const POLL_EVERY: Duration = Duration::from_millis(200);
/// Of what a sandbox says in vain.
const ERRORS_BYTES_MAX: usize = 1 << 20;
