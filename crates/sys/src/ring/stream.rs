//! Both ends as streams, for callers that may wait: tests, and the suite of attacks, which takes the front's part.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::{Closed, FrontEnd, Wake, WorkerEnd};

/// The front's end with its bell and its socket, on one thread.
#[derive(Debug)]
pub struct FrontStream {
    end: FrontEnd,
    bell: OwnedFd,
    socket: OwnedFd,
}

impl FrontStream {
    /// Share memory with the worker at the other end of this socket, which must not wait.
    ///
    /// # Errors
    /// See [`FrontEnd::share`].
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let (end, bell) = FrontEnd::share(&socket)?;
        Ok(Self { end, bell, socket })
    }

    /// Write as many of these bytes as there is room for.
    ///
    /// # Errors
    /// The worker has written nonsense into the memory.
    pub fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.end.write(bytes).map_err(io::Error::other)?;
        if self.end.wake() == Wake::BySocket {
            // A worker that is gone is noticed by who reads from it.
            let _ = send(&self.socket, b"w", SendFlags::NOSIGNAL);
        }
        Ok(count)
    }

    /// Read what comes within `limit`: `None` for nothing, 0 bytes for the worker's end.
    ///
    /// # Errors
    /// The worker has written nonsense into the memory, or something on the socket.
    pub fn read_within(&mut self, into: &mut [u8], limit: Duration) -> io::Result<Option<usize>> {
        let until = Instant::now() + limit;
        loop {
            let count = self.end.read(into).map_err(io::Error::other)?;
            if count > 0 {
                return Ok(Some(count));
            }
            let left = until.saturating_duration_since(Instant::now());
            let is_there = self.end.expect_answer().map_err(io::Error::other)?;
            if is_there && !left.is_zero() {
                continue;
            }
            if self.wait(left)? {
                // What it wrote before its end counts.
                return self.end.read(into).map(Some).map_err(io::Error::other);
            }
            if left.is_zero() {
                return Ok(None);
            }
        }
    }

    /// Wait for bell or socket; whether the worker has closed.
    fn wait(&self, limit: Duration) -> io::Result<bool> {
        let timeout = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        let mut ready = [&self.bell, &self.socket].map(|fd| PollFd::new(fd, PollFlags::IN));
        match poll(&mut ready, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Where it was not rung there is nothing to read.
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        match recv(&self.socket, &mut [0; 1], RecvFlags::DONTWAIT) {
            Ok((_, 0)) | Err(Errno::CONNRESET) => Ok(true),
            Ok(_) => Err(io::Error::other("it sent a byte over the socket")),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Tell the worker that the client of this request has left.
    pub fn client_left(&self, request: u32) {
        self.end.client_left(request);
    }
}

impl AsFd for FrontStream {
    /// The socket: readable when the worker is gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Waits for bytes; none are the front's end.
impl Read for WorkerEnd {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.read_some(into)? {
                0 if self.wait_for_input()? == Err(Closed) => return Ok(0),
                0 => {}
                count => return Ok(count),
            }
        }
    }
}

/// Waits for room.
impl Write for WorkerEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.write_some(bytes)? {
                0 if bytes.is_empty() => return Ok(0),
                0 => self
                    .wait_for_room()?
                    .map_err(|Closed| io::ErrorKind::BrokenPipe)?,
                count => return Ok(count),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
