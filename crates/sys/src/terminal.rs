//! Terminals: a pseudo-terminal of a site's own, and the administrator's, whose keys go to it.
//!
//! The command line makes the pair as root, in a file system of its own, so that the site's view can show its end and no other
//! terminal of the host. The site gets the far end alone. The administrator's terminal never leaves the command line: it is
//! only read, written and set by it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::cred::{Gid, Uid};
use crate::mount;

pub use rustix::termios::isatty;

/// A new pseudo-terminal. Its near end does not wait.
#[derive(Debug)]
pub struct Pair {
    /// The end of who plays the keyboard and the screen.
    pub near: OwnedFd,
    /// The end that programs use.
    pub far: OwnedFd,
    /// The file system that the far end is in, for [`ViewPlan::terminals`](crate::view::ViewPlan::terminals).
    pub file_system: OwnedFd,
}

/// Make a pseudo-terminal that belongs to a site's user. Needs root.
///
/// # Errors
/// The kernel's.
pub fn pair(uid: Uid, gid: Gid) -> io::Result<Pair> {
    let file_system = mount::terminals((uid, gid))?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let near = openat(&file_system, "ptmx", flags, Mode::empty())?;
    unlockpt(&near)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let far = ioctl_tiocgptpeer(&near, flags)?;
    Ok(Pair {
        near,
        far,
        file_system,
    })
}

/// Become the leader of a new session, and with `terminal` take that as its terminal, so that its keys reach this process and what it
/// starts as signals.
///
/// # Errors
/// The kernel's.
pub fn begin_session(terminal: Option<impl AsFd>) -> io::Result<()> {
    rustix::process::setsid()?;
    if let Some(terminal) = terminal {
        rustix::process::ioctl_tiocsctty(terminal)?;
    }
    Ok(())
}

/// Give one terminal the size of another. That a terminal has none is no error.
pub fn copy_size(from: impl AsFd, to: impl AsFd) {
    if let Ok(size) = tcgetwinsize(from) {
        // It may have ended.
        let _ = tcsetwinsize(to, size);
    }
}

/// The administrator's terminal in raw mode: every key is a byte. Dropped, it is as it was before.
#[derive(Debug)]
pub struct Raw<T: AsFd> {
    terminal: T,
    before: Termios,
}

impl<T: AsFd> Raw<T> {
    /// Set it.
    ///
    /// # Errors
    /// The kernel's, for what is no terminal.
    pub fn new(terminal: T) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&terminal, OptionalActions::Flush, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl<T: AsFd> Drop for Raw<T> {
    fn drop(&mut self) {
        // What was typed meanwhile stays for who reads next; the terminal may be gone.
        let _ = tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
    }
}
