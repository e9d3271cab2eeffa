//! One direction of bytes, from a descriptor to another, without waiting.
//!
//! It never looks at a byte. One of the two is the administrator's, whose status flags are shared with others and stay as they are:
//! it is read only when something is there, and written only as much as surely fits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

/// One direction. `F` and `T` are closed when they have ended.
#[derive(Debug)]
pub(super) struct Copy<F, T> {
    from: Option<F>,
    to: Option<T>,
    buffer: Vec<u8>,
    /// What of the buffer was written.
    written: usize,
}

impl<F: AsFd, T: AsFd> Copy<F, T> {
    pub(super) fn new(from: F, to: T) -> Self {
        Self {
            from: Some(from),
            to: Some(to),
            buffer: Vec::with_capacity(CHUNK),
            written: 0,
        }
    }

    /// What it waits for: to read while it holds nothing, else to write.
    pub(super) fn polled(&self) -> Option<PollFd<'_>> {
        match (&self.from, &self.to) {
            (_, Some(to)) if self.holds_something() => {
                Some(PollFd::from_borrowed_fd(to.as_fd(), PollFlags::OUT))
            }
            (Some(from), Some(_)) => Some(PollFd::from_borrowed_fd(from.as_fd(), PollFlags::IN)),
            _ => None,
        }
    }

    /// Whether everything was copied, or will never be.
    pub(super) fn is_over(&self) -> bool {
        self.to.is_none()
    }

    /// Do what can be done now that it was found ready.
    pub(super) fn go_on(&mut self) {
        if self.holds_something() {
            self.write();
        } else {
            self.read();
        }
    }

    /// Take no more of it: what is held is still written.
    pub(super) fn stop_reading(&mut self) {
        self.from = None;
        if !self.holds_something() {
            self.to = None;
        }
    }

    fn holds_something(&self) -> bool {
        self.written < self.buffer.len()
    }

    fn read(&mut self) {
        let Some(from) = &self.from else {
            return;
        };
        self.buffer.resize(CHUNK, 0);
        self.written = 0;
        match read(from.as_fd(), &mut self.buffer) {
            Ok(Some(count)) => self.buffer.truncate(count),
            Ok(None) => self.buffer.clear(),
            // A terminal whose last program is gone says so with an error.
            Err(_) => {
                self.buffer.clear();
                self.from = None;
                self.to = None;
            }
        }
    }

    fn write(&mut self) {
        let Some(to) = &self.to else {
            return;
        };
        let rest = self.buffer.get(self.written..).unwrap_or_default();
        match rustix::io::write(to, rest) {
            Ok(count) => self.written += count,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => {
                // Nobody reads it: who writes is told as it would be without this process in between.
                self.from = None;
                self.to = None;
            }
        }
        if !self.holds_something() && self.from.is_none() {
            self.to = None;
        }
    }
}

/// The number of bytes, `None` when there are none now.
fn read(from: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match rustix::io::read(from, buffer) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a pipe or a terminal takes without waiting when it says that it has room.
const CHUNK: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn bytes_arrive_whole_and_the_end_is_passed_on() {
        let (mut source, from) = UnixStream::pair().unwrap();
        let (to, mut sink) = UnixStream::pair().unwrap();
        let mut copy = Copy::new(from, to);
        let bytes: Vec<u8> = (0..=255).cycle().take(3 * CHUNK + 7).collect();
        source.write_all(&bytes).unwrap();
        drop(source);
        while !copy.is_over() {
            copy.go_on();
        }
        let mut arrived = Vec::new();
        sink.read_to_end(&mut arrived).unwrap();
        assert!(arrived == bytes);
    }

    #[test]
    fn what_nobody_reads_ends_it() {
        let (mut source, from) = UnixStream::pair().unwrap();
        let (to, sink) = UnixStream::pair().unwrap();
        let mut copy = Copy::new(from, to);
        drop(sink);
        source.write_all(b"x").unwrap();
        copy.go_on();
        copy.go_on();
        assert!(copy.is_over() && copy.polled().is_none());
    }
}
