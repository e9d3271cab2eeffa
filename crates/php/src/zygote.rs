//! The zygote's loop: fork a worker, kill a worker, say who died.
//!
//! Run once per site as the site's user, from after PHP has started until the keeper closes the control socket; then the workers
//! are killed by the kernel. It runs no script and reads nothing of a worker's: all that it passes on are the kernel's words.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};

use hostel_rewind::Base;
use hostel_sys::fdpass::{receive, send};
use hostel_sys::signal::{Ending, Reaped, Signals, reap};
use hostel_wire::codec::Malformed;
use hostel_wire::keeper_zygote::{Death, FromZygote, ToZygote, WorkerId};
use hostel_wire::limits::{MESSAGE_BYTES_MAX, WORKERS_MAX};

use crate::process::fork;
use crate::trial::{self, Record};

/// Why the zygote ends other than by the keeper's wish.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ZygoteError {
    /// The keeper closed the socket before it said anything.
    #[error("keeper closed the control socket before it sent settings")]
    NoSettings,
    /// Bytes that are no message, or one that may not come now.
    #[error("keeper sent what does not fit: {0}")]
    Malformed(#[from] Malformed),
    /// A message without its descriptor, or with one too many.
    #[error("keeper sent {0} descriptors with a message that needs {1}")]
    Descriptors(usize, usize),
    /// The kernel refused.
    #[error("cannot {0}")]
    System(&'static str, #[source] io::Error),
}

/// How the loop ended, and in which process.
#[derive(Debug)]
pub(crate) enum Ended {
    /// In the zygote: the keeper wants no more of it.
    Zygote,
    /// In a new worker, whose socket to the front this is.
    Worker(OwnedFd, Option<Base>),
    /// In the process that is to show whether workers may be rewound.
    Trial(Option<Base>),
}

/// The zygote's end of the control socket.
pub(crate) struct Control {
    socket: OwnedFd,
    buffer: Box<[u8]>,
}

/// The zygote after PHP's start.
pub(crate) struct Zygote {
    control: Control,
    signals: Signals,
    workers: Vec<(WorkerId, Pid)>,
    trial: Option<Trial>,
    /// What workers that are rewound hold alike. The trial's process fills it.
    base: Option<Base>,
}

/// The trial that shows whether workers may be rewound.
struct Trial {
    record: &'static Record,
    state: TrialState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TrialState {
    /// Not yet, so that it is not in the way of whom the first worker was forked for.
    Wanted,
    /// That one has ended, or is not the only one any more.
    Due,
    Runs(Pid),
    Over,
}

impl Control {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            buffer: vec![0; MESSAGE_BYTES_MAX].into_boxed_slice(),
        }
    }

    /// The next message, waiting for it; `None` when the keeper has closed.
    pub(crate) fn receive(&mut self) -> Result<Option<(ToZygote, Vec<OwnedFd>)>, ZygoteError> {
        wait(&[self.socket.as_fd()])?;
        let received = match receive(&self.socket, &mut self.buffer) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            received => received.map_err(system("receive from the keeper"))?,
        };
        if received.bytes == 0 {
            return Ok(None);
        }
        let bytes = self.buffer.get(..received.bytes).unwrap_or_default();
        let message = ToZygote::decode(bytes)?;
        let (came, needed) = (received.descriptors.len(), message.descriptors());
        if came != needed {
            return Err(ZygoteError::Descriptors(came, needed));
        }
        Ok(Some((message, received.descriptors)))
    }

    fn send(&self, message: FromZygote) -> Result<(), ZygoteError> {
        loop {
            match send(&self.socket, &message.encode(), &[]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // The keeper is behind; it always catches up or ends.
                    let mut ready = [PollFd::new(&self.socket, PollFlags::OUT)];
                    let _ = poll(&mut ready, None);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The next receive says that it has ended.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                sent => return sent.map_err(system("send to the keeper")),
            }
        }
    }
}

impl Zygote {
    /// Say that PHP has started, and be ready to fork. A record is of a trial that is to be made.
    pub(crate) fn new(
        control: Control,
        trial: Option<&'static Record>,
        base: Option<Base>,
    ) -> Result<Self, ZygoteError> {
        let signals = Signals::new(&[Signal::CHILD]).map_err(system("take signals as events"))?;
        control.send(FromZygote::Ready)?;
        Ok(Self {
            control,
            signals,
            workers: Vec::new(),
            trial: trial.map(|record| Trial {
                record,
                state: TrialState::Wanted,
            }),
            base,
        })
    }

    /// Serve the keeper until it closes the socket, or until this process is a new worker.
    pub(crate) fn run(mut self) -> Result<Ended, ZygoteError> {
        loop {
            let ready = wait(&[self.signals.as_fd(), self.control.socket.as_fd()])?;
            if ready.first() == Some(&true) {
                self.reap()?;
            }
            if ready.get(1) == Some(&true)
                && let Some(ended) = self.obey()?
            {
                return Ok(ended);
            }
            // After what somebody may be waiting for.
            if self.begin_trial() == Side::Worker {
                return Ok(Ended::Trial(self.base));
            }
        }
    }

    /// Do what the keeper says.
    fn obey(&mut self) -> Result<Option<Ended>, ZygoteError> {
        let Some((message, descriptors)) = self.control.receive()? else {
            return Ok(Some(Ended::Zygote));
        };
        match message {
            ToZygote::Fork(worker) => {
                for socket in descriptors {
                    if self.fork(worker)? == Side::Worker {
                        return Ok(Some(Ended::Worker(socket, self.base.take())));
                    }
                }
            }
            ToZygote::Kill(worker) => self.kill(worker),
            ToZygote::Settings(_) => return Err(Malformed::Value("second settings").into()),
        }
        Ok(None)
    }

    fn fork(&mut self, worker: WorkerId) -> Result<Side, ZygoteError> {
        let forked = if self.workers.len() >= WORKERS_MAX as usize {
            Err(io::Error::from_raw_os_error(libc::EAGAIN))
        } else if self.workers.iter().any(|(known, _)| *known == worker) {
            Err(io::Error::from_raw_os_error(libc::EEXIST))
        } else {
            fork()
        };
        match forked {
            Ok(None) => Ok(Side::Worker),
            Ok(Some(pid)) => {
                self.workers.push((worker, pid));
                if self.workers.len() > 1 {
                    self.make_trial_due();
                }
                let number = pid.as_raw_nonzero().get().cast_unsigned();
                self.control.send(FromZygote::Forked(worker, number))?;
                Ok(Side::Zygote)
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                self.control.send(FromZygote::ForkFailed(worker, errno))?;
                Ok(Side::Zygote)
            }
        }
    }

    fn make_trial_due(&mut self) {
        if let Some(trial) = &mut self.trial
            && trial.state == TrialState::Wanted
        {
            trial.state = TrialState::Due;
        }
    }

    /// Begin the trial, if it is its time.
    fn begin_trial(&mut self) -> Side {
        let Some(trial) = &mut self.trial else {
            return Side::Zygote;
        };
        if trial.state != TrialState::Due {
            return Side::Zygote;
        }
        match fork() {
            Ok(None) => return Side::Worker,
            Ok(Some(pid)) => trial.state = TrialState::Runs(pid),
            Err(_) => {
                trial.state = TrialState::Over;
                trial::is_lost(trial.record);
            }
        }
        Side::Zygote
    }

    /// A worker that has not been reaped keeps its process id, so this hits nobody else.
    fn kill(&self, worker: WorkerId) {
        if let Some((_, pid)) = self.workers.iter().find(|(known, _)| *known == worker) {
            // It may have ended by itself, which is as good.
            let _ = kill_process(*pid, Signal::KILL);
        }
    }

    fn reap(&mut self) -> Result<(), ZygoteError> {
        let failed = system("learn which worker ended");
        while self.signals.take().map_err(&failed)?.is_some() {}
        while let Reaped::Child(pid, ending) = reap().map_err(&failed)? {
            if let Some(trial) = &mut self.trial
                && trial.state == TrialState::Runs(pid)
            {
                trial.state = TrialState::Over;
                trial::is_lost(trial.record);
            }
            let Some(index) = self.workers.iter().position(|(_, known)| *known == pid) else {
                continue;
            };
            let (worker, _) = self.workers.swap_remove(index);
            self.make_trial_due();
            let death = match ending {
                Ending::Exited(status) => Death::Exited(status),
                Ending::Signalled(signal) => Death::Signalled(signal),
            };
            self.control.send(FromZygote::Died(worker, death))?;
        }
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Side {
    Worker,
    Zygote,
}

/// Wait until some of these can be read (or have ended), and say which.
fn wait(descriptors: &[std::os::fd::BorrowedFd<'_>]) -> Result<Vec<bool>, ZygoteError> {
    let mut polled: Vec<_> = descriptors
        .iter()
        .map(|fd| PollFd::new(fd, PollFlags::IN))
        .collect();
    loop {
        match poll(&mut polled, None) {
            Ok(_) => return Ok(polled.iter().map(|fd| !fd.revents().is_empty()).collect()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(ZygoteError::System("wait for events", error.into())),
        }
    }
}

fn system(what: &'static str) -> impl Fn(io::Error) -> ZygoteError {
    move |error| ZygoteError::System(what, error)
}
