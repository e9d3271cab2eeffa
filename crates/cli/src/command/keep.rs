//! What a command writes, kept for a document: its beginning, and how much it was.
//!
//! It is read to its end, so that the command never waits, and never looked at.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::copy::Copy;

/// What a command writes: passed on, or kept.
pub(super) enum Taken<T> {
    PassedOn(Copy<OwnedFd, T>),
    Kept(Keep<OwnedFd>),
}

impl<T: AsFd> Taken<T> {
    pub(super) fn new(from: OwnedFd, to: T, is_kept: bool) -> Self {
        match is_kept {
            true => Self::Kept(Keep::new(from)),
            false => Self::PassedOn(Copy::new(from, to)),
        }
    }

    pub(super) fn polled(&self) -> Option<PollFd<'_>> {
        match self {
            Self::PassedOn(copy) => copy.polled(),
            Self::Kept(keep) => keep.polled(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::PassedOn(copy) => copy.is_over(),
            Self::Kept(keep) => keep.is_over(),
        }
    }

    pub(super) fn go_on(&mut self) {
        match self {
            Self::PassedOn(copy) => copy.go_on(),
            Self::Kept(keep) => keep.go_on(),
        }
    }

    /// Nothing of what was passed on.
    pub(super) fn kept(self) -> Kept {
        match self {
            Self::PassedOn(_) => Kept::default(),
            Self::Kept(keep) => keep.kept,
        }
    }
}

/// The beginning of what was written.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// At most [`KEPT_MAX`].
    pub(super) bytes: Vec<u8>,
    /// How many there were in all.
    pub(super) of: u64,
}

/// What came of one descriptor. It is closed when it has ended.
#[derive(Debug)]
pub(super) struct Keep<F> {
    from: Option<F>,
    kept: Kept,
}

impl<F: AsFd> Keep<F> {
    pub(super) fn new(from: F) -> Self {
        Self {
            from: Some(from),
            kept: Kept::default(),
        }
    }

    pub(super) fn polled(&self) -> Option<PollFd<'_>> {
        let from = self.from.as_ref()?;
        Some(PollFd::from_borrowed_fd(from.as_fd(), PollFlags::IN))
    }

    pub(super) fn is_over(&self) -> bool {
        self.from.is_none()
    }

    /// Take what is there now that it was found ready.
    pub(super) fn go_on(&mut self) {
        let Some(from) = &self.from else {
            return;
        };
        let mut buffer = [0; CHUNK];
        match rustix::io::read(from, &mut buffer) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(0) | Err(_) => self.from = None,
            Ok(count) => {
                self.kept.of += count as u64;
                let room = KEPT_MAX.saturating_sub(self.kept.bytes.len());
                let bytes = buffer.get(..count.min(room)).unwrap_or_default();
                self.kept.bytes.extend_from_slice(bytes);
            }
        }
    }
}

const CHUNK: usize = 16 * 1024;
/// Of each of output and errors.
const KEPT_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn all_is_counted_and_the_beginning_is_kept() {
        let (mut source, from) = UnixStream::pair().unwrap();
        let writer = std::thread::spawn(move || source.write_all(&vec![b'x'; KEPT_MAX + 5]));
        let mut keep = Keep::new(from);
        while !keep.is_over() {
            keep.go_on();
        }
        writer.join().unwrap().unwrap();
        assert_eq!(keep.kept.of, KEPT_MAX as u64 + 5);
        assert_eq!(keep.kept.bytes.len(), KEPT_MAX);
        assert!(keep.polled().is_none());
    }
}
