//! Signals as readable events, and the reaping of children.
//!
//! Monitor, keeper and zygote use it in their poll loops, so that no code ever runs in a signal handler. Blocked signals are
//! inherited over fork and exec; whoever starts a program undoes that (`child` does).

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::{Pid, Signal, WaitOptions};

/// Signals that this process takes as events. Readable when one is there.
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Block these signals in this thread, and take them as events from now on. To be called before a second thread exists.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(signals: &[Signal]) -> io::Result<Self> {
        let mut set = empty_set();
        for signal in signals {
            // SAFETY: the set was initialised, and the signal's number is one that the kernel knows.
            check(unsafe { libc::sigaddset(&raw mut set, signal.as_raw()) })?;
        }
        // SAFETY: a valid set; the old mask is not asked for.
        match unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut())
        } {
            0 => {}
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
        // SAFETY: a valid set; -1 asks for a new descriptor.
        let fd =
            unsafe { libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) };
        check(fd)?;
        // SAFETY: the descriptor is new and nobody else has it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal that has arrived, `None` when there is none (more). Several of one kind may have become one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn take(&self) -> io::Result<Option<Signal>> {
        let mut record = [0; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.0, &mut record) {
            Ok(_) => {
                let [a, b, c, d, ..] = record;
                let number = u32::from_ne_bytes([a, b, c, d]);
                Ok(i32::try_from(number).ok().and_then(Signal::from_named_raw))
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What [`reap`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaped {
    /// A child has ended; its process id is free again.
    Child(Pid, Ending),
    /// There are children, and none of them has ended.
    NoneEnded,
    /// There are no children.
    NoChildren,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this status.
    Exited(u8),
    /// By the signal of this number.
    Signalled(u8),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "ended with status {status}"),
            Self::Signalled(signal) => write!(f, "was killed by signal {signal}"),
        }
    }
}

/// Take one child that has ended, whichever it is, without waiting. Call it until it says that there is no more.
///
/// # Errors
/// The kernel's.
pub fn reap() -> io::Result<Reaped> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                let byte = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
                if let Some(exit) = status.exit_status() {
                    return Ok(Reaped::Child(pid, Ending::Exited(byte(exit))));
                }
                if let Some(signal) = status.terminating_signal() {
                    return Ok(Reaped::Child(pid, Ending::Signalled(byte(signal))));
                }
            }
            Ok(None) => return Ok(Reaped::NoneEnded),
            Err(rustix::io::Errno::CHILD) => return Ok(Reaped::NoChildren),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Send a signal to every process of this process namespace but process 1, which is the only one that may call this: for any
/// other process it would mean every process that the user has.
///
/// # Errors
/// `InvalidInput` when the caller is not process 1. That there is nobody to signal is no error.
pub fn signal_all_others(signal: Signal) -> io::Result<()> {
    if rustix::process::getpid() != Pid::INIT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "only process 1 may signal all others",
        ));
    }
    // The process group 1, negated, is -1: all that the caller sees and may signal, itself and process 1 left out.
    match rustix::process::kill_process_group(Pid::INIT, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A set without any signal.
pub(crate) fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: a valid place to write to; the call cannot fail for one.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: sigemptyset wrote the whole set.
    unsafe { set.assume_init() }
}

fn check(answer: libc::c_int) -> io::Result<()> {
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::kill_process;

    #[test]
    fn a_signal_is_read_as_an_event() {
        // Directed at this thread alone: the other tests of this process do not block it.
        let signals = Signals::new(&[Signal::USR2]).unwrap();
        assert_eq!(signals.take().unwrap(), None);
        // SAFETY: asks for the id of this thread.
        let thread = unsafe { libc::pthread_self() };
        // SAFETY: a thread that is running, this one, and a signal that it blocks.
        let sent = unsafe { libc::pthread_kill(thread, libc::SIGUSR2) };
        assert_eq!(sent, 0);
        assert_eq!(signals.take().unwrap(), Some(Signal::USR2));
        assert_eq!(signals.take().unwrap(), None);
    }

    #[test]
    fn only_process_1_may_signal_all() {
        let error = signal_all_others(Signal::CONT).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        // The test itself would have been signalled by a wrong one.
        kill_process(rustix::process::getpid(), Signal::CONT).unwrap();
    }
}
