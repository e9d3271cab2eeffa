//! A helper: a program of this process's own user that works for it and speaks with it over a socket of whole messages.
//!
//! The monitor starts its firewall with it, as root. The helper is trusted as far as its program is; it is never waited for but at
//! the end, with a bound. It finds the socket on its descriptor 3, and is to end when that does.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid,
};

use crate::child::{Program, start};
use crate::fdpass::{message_pair, receive, send};
use crate::memory_file;
use crate::wait::wait;

/// A running helper. Dropped, its socket closes.
#[derive(Debug)]
pub struct Helper {
    pid: Pid,
    pidfd: OwnedFd,
    socket: OwnedFd,
    begun: Instant,
}

impl Helper {
    /// Start the program of this name that stands beside this one, with one argument and an empty environment.
    ///
    /// # Errors
    /// No socket, no program, or the kernel does not let this process fork; nothing of it runs then.
    pub fn start(name: &str, argument: &Path) -> io::Result<Self> {
        let (socket, far) = message_pair(true)?;
        let path = std::env::current_exe()?.with_file_name(name);
        let text = |path: &Path| CString::new(path.as_os_str().as_bytes());
        let program = Program {
            path: text(&path)?,
            arguments: vec![CString::new(name)?, text(argument)?],
            environment: Vec::new(),
            descriptors: &[far.as_fd()],
        };
        let pid = start(&program).map_err(io::Error::other)?;
        Ok(Self {
            pid,
            // It was not waited for, so its number is still its own.
            pidfd: pidfd_open(pid, PidfdFlags::empty())?,
            socket,
            begun: Instant::now(),
        })
    }

    /// The process, readable when it has ended, and its socket, readable when it has said something: to be polled.
    pub fn polled(&self) -> [BorrowedFd<'_>; 2] {
        [self.pidfd.as_fd(), self.socket.as_fd()]
    }

    /// When it was started.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Send a message with a file in memory that holds `content`. A helper that does not take it is killed.
    pub fn tell(&self, message: &[u8], content: &[u8]) {
        if self.send(message, content).is_err() {
            self.kill();
        }
    }

    /// Send a message by itself. A helper that does not take it is killed.
    pub fn say(&self, message: &[u8]) {
        if send(&self.socket, message, &[]).is_err() {
            self.kill();
        }
    }

    fn send(&self, message: &[u8], content: &[u8]) -> io::Result<()> {
        let file = memory_file::write(content)?;
        send(&self.socket, message, &[file.as_fd()])
    }

    /// The next message, `None` when there is none now, or no more. What came with it is closed.
    ///
    /// # Errors
    /// The kernel's; `InvalidData` when it is longer than the buffer.
    pub fn hear<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        match receive(&self.socket, buffer) {
            Ok(received) => Ok(buffer
                .get(..received.bytes)
                .filter(|bytes| !bytes.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next message with what came with it, `None` when there is none now, or no more.
    ///
    /// # Errors
    /// The kernel's; `InvalidData` when it is longer than the buffer.
    pub fn take<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<(&'b [u8], Vec<OwnedFd>)>> {
        match receive(&self.socket, buffer) {
            Ok(received) if received.bytes == 0 => Ok(None),
            Ok(received) => Ok(buffer
                .get(..received.bytes)
                .map(|bytes| (bytes, received.descriptors))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether it has ended; then its process id is free.
    ///
    /// # Errors
    /// The kernel's.
    pub fn has_ended(&self) -> io::Result<bool> {
        match waitpid(Some(self.pid), WaitOptions::NOHANG) {
            Ok(ended) => Ok(ended.is_some()),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// End it at once. It may have ended already, which is what is wanted.
    pub fn kill(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// End it at once, and wait for that, but not longer than `limit`. It hears nothing of it before.
    pub fn abandon(self, limit: Duration) {
        self.kill();
        // What does not end now is reaped by whoever comes next; nothing depends on it.
        let mut polled = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let _ = wait(&mut polled, Some(Instant::now() + limit));
        let _ = self.has_ended();
    }

    /// Close its socket, upon which it is to end, and wait for that, but not longer than `limit`.
    pub fn dismiss(self, limit: Duration) {
        drop(self.socket);
        // What does not end now ends later, by itself.
        let _ = wait(
            &mut [PollFd::new(&self.pidfd, PollFlags::IN)],
            Some(Instant::now() + limit),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_is_told_of() {
        // Tests have threads, which is told before: either way nothing runs.
        assert!(Helper::start("hostel-nothing", Path::new("/run")).is_err());
    }
}
