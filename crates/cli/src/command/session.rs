//! The time in which a command runs: bytes both ways, signals passed on, the terminal as it was at the end.
//!
//! On one thread with one poll loop. What the sandbox is learned by is its process descriptor and the ends of its pipes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use hostel_monitor::launch::Launched;
use hostel_sys::signal::{Ending, Signals};
use hostel_sys::spawn::Progress;
use hostel_sys::terminal::{self, Raw};
use hostel_sys::wait::wait;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Signal, pidfd_send_signal};

use super::copy::Copy;
use super::keep::{Kept, Taken};
use super::{CommandError, Near};

/// What is there before the sandbox is: signals are events from now on, so that none ends this process with a terminal in raw mode.
pub(super) struct Session {
    signals: Signals,
}

/// The directions of bytes.
enum Streams {
    Terminal {
        keys: Copy<io::Stdin, OwnedFd>,
        screen: Copy<OwnedFd, io::Stdout>,
        near: OwnedFd,
    },
    Pipes {
        input: Copy<io::Stdin, OwnedFd>,
        output: Taken<io::Stdout>,
        errors: Taken<io::Stderr>,
    },
}

/// What came of a command.
pub(super) struct Outcome {
    pub(super) ending: Ending,
    /// Empty where it was passed on.
    pub(super) output: Kept,
    pub(super) errors: Kept,
}

impl Session {
    pub(super) fn new() -> io::Result<Self> {
        let signals = Signals::new(&[
            Signal::HUP,
            Signal::INT,
            Signal::QUIT,
            Signal::TERM,
            Signal::WINCH,
        ])?;
        Ok(Self { signals })
    }

    /// Until the command has ended and what it wrote was passed on; how it ended, and what was kept.
    pub(super) fn run(self, launched: Launched, near: Near) -> Result<Outcome, CommandError> {
        let failed = |what| move |error| CommandError::Session(what, error);
        let mut streams = Streams::new(near).map_err(failed("use the terminal"))?;
        let raw = match streams {
            Streams::Terminal { .. } => Some(Raw::new(io::stdin())),
            Streams::Pipes { .. } => None,
        };
        let raw = raw.transpose().map_err(failed("set the terminal"))?;
        let ending = self.turns(&launched, &mut streams);
        drop(raw);
        // If it has not ended, it does now, and the kernel ends all else in it.
        launched.child.kill();
        let mut polled = [PollFd::new(&launched.child.pidfd, PollFlags::IN)];
        let _ = wait(&mut polled, Some(Instant::now() + END_WITHIN));
        let [output, errors] = streams.kept();
        Ok(Outcome {
            ending: ending?,
            output,
            errors,
        })
    }

    fn turns(&self, launched: &Launched, streams: &mut Streams) -> Result<Ending, CommandError> {
        let failed = |what| move |error| CommandError::Session(what, error);
        let mut ending: Option<Ending> = None;
        let mut until: Option<Instant> = None;
        loop {
            let ready = self
                .wait(launched, ending.is_some(), streams, until)
                .map_err(failed("wait"))?;
            while let Some(signal) = self.signals.take().map_err(failed("read signals"))? {
                match (signal, ending) {
                    (Signal::WINCH, _) => streams.copy_size(),
                    // Only who reads the output is waited for, and nobody wants the rest of it.
                    (_, Some(ending)) => return Ok(ending),
                    (signal, None) => {
                        // It may have ended.
                        let _ = pidfd_send_signal(&launched.child.pidfd, signal);
                        if signal == Signal::TERM || signal == Signal::HUP {
                            until.get_or_insert(Instant::now() + GRACE);
                        }
                    }
                }
            }
            streams.go_on(&ready);
            if ending.is_none() {
                ending = launched.child.ended().map_err(failed("wait"))?;
                if ending.is_some() {
                    if let Ok(Progress::Failed(step)) = launched.child.progress() {
                        return Err(CommandError::Step(step));
                    }
                    streams.stop_input();
                    // All that could write has ended with it: what is left is in the pipes.
                    until = Some(Instant::now() + DRAINED_WITHIN);
                }
            }
            let is_late = until.is_some_and(|until| until <= Instant::now());
            match ending {
                Some(ending) if streams.is_over() || is_late => return Ok(ending),
                Some(_) => {}
                None if is_late => return Ok(Ending::Signalled(KILLED)),
                // Nobody is at the terminal any more.
                None if streams.is_abandoned() => {
                    let _ = pidfd_send_signal(&launched.child.pidfd, Signal::HUP);
                    until.get_or_insert(Instant::now() + GRACE);
                    streams.stop_input();
                }
                None => {}
            }
        }
    }

    /// Wait; which of the streams are ready, in their order.
    fn wait(
        &self,
        launched: &Launched,
        has_ended: bool,
        streams: &Streams,
        until: Option<Instant>,
    ) -> io::Result<[bool; 3]> {
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        if !has_ended {
            polled.push(PollFd::new(&launched.child.pidfd, PollFlags::IN));
        }
        let first = polled.len();
        let wanted = streams.polled();
        let places = wanted.each_ref().map(Option::is_some);
        polled.extend(wanted.into_iter().flatten());
        wait(&mut polled, until)?;
        let mut found = polled
            .iter()
            .skip(first)
            .map(|one| !one.revents().is_empty());
        Ok(places.map(|is_there| is_there && found.next().unwrap_or(false)))
    }
}

impl Streams {
    fn new(near: Near) -> io::Result<Self> {
        Ok(match near {
            Near::Terminal(near) => Self::Terminal {
                keys: Copy::new(io::stdin(), near.try_clone()?),
                screen: Copy::new(near.try_clone()?, io::stdout()),
                near,
            },
            Near::Pipes([input, output, errors], is_kept) => Self::Pipes {
                input: Copy::new(io::stdin(), input),
                output: Taken::new(output, io::stdout(), is_kept),
                errors: Taken::new(errors, io::stderr(), is_kept),
            },
        })
    }

    fn polled(&self) -> [Option<PollFd<'_>>; 3] {
        match self {
            Self::Terminal { keys, screen, .. } => [keys.polled(), screen.polled(), None],
            Self::Pipes {
                input,
                output,
                errors,
            } => [input.polled(), output.polled(), errors.polled()],
        }
    }

    fn go_on(&mut self, ready: &[bool; 3]) {
        let [first, second, third] = *ready;
        match self {
            Self::Terminal { keys, screen, .. } => {
                if first {
                    keys.go_on();
                }
                if second {
                    screen.go_on();
                }
            }
            Self::Pipes {
                input,
                output,
                errors,
            } => {
                if first {
                    input.go_on();
                }
                if second {
                    output.go_on();
                }
                if third {
                    errors.go_on();
                }
            }
        }
    }

    /// Whether all that was written has arrived.
    fn is_over(&self) -> bool {
        match self {
            Self::Terminal { screen, .. } => screen.is_over(),
            Self::Pipes { output, errors, .. } => output.is_over() && errors.is_over(),
        }
    }

    /// Whether the administrator's terminal is gone.
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Terminal { keys, .. } => keys.is_over(),
            Self::Pipes { .. } => false,
        }
    }

    fn stop_input(&mut self) {
        match self {
            Self::Terminal { keys, .. } => keys.stop_reading(),
            Self::Pipes { input, .. } => input.stop_reading(),
        }
    }

    /// What was kept of output and errors.
    fn kept(self) -> [Kept; 2] {
        match self {
            Self::Terminal { .. } => [Kept::default(), Kept::default()],
            Self::Pipes { output, errors, .. } => [output.kept(), errors.kept()],
        }
    }

    fn copy_size(&self) {
        if let Self::Terminal { near, .. } = self {
            terminal::copy_size(io::stdin(), near.as_fd());
        }
    }
}

/// As a shell tells it.
pub(super) fn status(ending: Ending) -> u8 {
    match ending {
        Ending::Exited(status) => status,
        Ending::Signalled(signal) => signal.saturating_add(128),
    }
}

/// How long a command may take to end after SIGTERM or SIGHUP.
const GRACE: Duration = Duration::from_secs(10);
/// How long who reads the output may take for what is left of it: `less` is read slowly.
const DRAINED_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);
/// What was killed ends within milliseconds.
const END_WITHIN: Duration = Duration::from_secs(5);
/// SIGKILL.
const KILLED: u8 = 9;
