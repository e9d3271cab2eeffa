//! The front's end of the rings.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::futex;

use crate::fdpass;

use super::memory::{ANSWERS, Memory, REQUESTS, Word};
use super::worker::{AWAKE, FOR_INPUT, FOR_ROOM, ON_SOCKET};
use super::{ANSWER_BYTES, REQUEST_BYTES, ROOM_BYTES};

/// The worker has written a position that cannot be. It is hostile or broken, and nothing it says counts any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has written an impossible position into the shared memory")]
pub struct BadPosition;

/// What is left to do so that the worker looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Wake {
    /// Nothing: it is awake, or was woken.
    Done,
    /// A byte is to be sent over the socket, on which it waits.
    BySocket,
}

/// The end that sends requests and reads answers. It never waits.
#[derive(Debug)]
pub struct FrontEnd {
    memory: Memory,
    /// Bytes of requests written, modulo 2^32. What the memory says of it is not believed.
    written: u32,
    /// Bytes of answers read, modulo 2^32. The same.
    read: u32,
}

impl FrontEnd {
    /// New rings, shared with the worker at the other end of this socket: memory and bell are the first message on it. The front keeps
    /// the bell, an eventfd, to wait on; it need not read it, only notice each time that it was rung (edge-triggered).
    ///
    /// # Errors
    /// No memory, no descriptors, or nobody at the other end.
    pub fn share(socket: impl AsFd) -> io::Result<(Self, OwnedFd)> {
        let (memory, file) = Memory::create()?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        fdpass::send(socket, b"m", &[file.as_fd(), bell.as_fd()])?;
        let end = Self {
            memory,
            written: 0,
            read: 0,
        };
        Ok((end, bell))
    }

    /// Room for bytes of requests.
    ///
    /// # Errors
    /// [`BadPosition`].
    pub fn room(&self) -> Result<usize, BadPosition> {
        let unread = self.unread(self.memory.requests().load(Acquire))?;
        Ok(REQUEST_BYTES - unread as usize)
    }

    /// Write as many of these bytes as there is room for, and say how many. The worker is to be woken then, by [`FrontEnd::wake`].
    ///
    /// # Errors
    /// [`BadPosition`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, BadPosition> {
        let count = bytes.len().min(self.room()?);
        let Some((bytes, added)) = bytes.get(..count).zip(u32::try_from(count).ok()) else {
            return Ok(0);
        };
        self.memory.copy_in(REQUESTS, self.written, bytes);
        self.memory
            .requests()
            .fetch_add(u64::from(added) << 32, SeqCst);
        self.written = self.written.wrapping_add(added);
        Ok(count)
    }

    /// Take back the last `count` bytes that were written, unless the worker has read any of them.
    ///
    /// # Errors
    /// [`BadPosition`].
    pub fn take_back(&mut self, count: usize) -> Result<bool, BadPosition> {
        let count = u32::try_from(count).map_err(|_| BadPosition)?;
        let requests = self.memory.requests();
        let mut seen = requests.load(Acquire);
        loop {
            if self.unread(seen)? < count {
                return Ok(false);
            }
            if seen >> 32 != u64::from(self.written) {
                return Err(BadPosition);
            }
            let back = self.written.wrapping_sub(count);
            let wanted = u64::from(back) << 32 | seen & LOWER;
            match requests.compare_exchange(seen, wanted, SeqCst, Acquire) {
                Ok(_) => {
                    self.written = back;
                    return Ok(true);
                }
                // The worker reads on, which it can do so often only.
                Err(other) => seen = other,
            }
        }
    }

    fn unread(&self, requests: u64) -> Result<u32, BadPosition> {
        let read = u32::try_from(requests & LOWER).map_err(|_| BadPosition)?;
        let unread = self.written.wrapping_sub(read);
        if unread as usize > REQUEST_BYTES {
            return Err(BadPosition);
        }
        Ok(unread)
    }

    /// Have the worker look at what was written.
    pub fn wake(&self) -> Wake {
        let sleep = self.memory.word(Word::Sleep);
        if !matches!(sleep.load(SeqCst), FOR_INPUT | ON_SOCKET) {
            return Wake::Done;
        }
        match sleep.swap(AWAKE, SeqCst) {
            ON_SOCKET => Wake::BySocket,
            _ => {
                self.wake_by_futex();
                Wake::Done
            }
        }
    }

    fn wake_by_futex(&self) {
        // It fails where nobody waits, and then there is nobody to wake.
        let _ = futex::wake(self.memory.word(Word::Sleep), futex::Flags::empty(), 1);
    }

    /// Read what there is of answers, as far as it fits; 0 for nothing.
    ///
    /// # Errors
    /// [`BadPosition`].
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, BadPosition> {
        let count = into.len().min(self.waiting()?);
        let Some((into, added)) = into.get_mut(..count).zip(u32::try_from(count).ok()) else {
            return Ok(0);
        };
        if count == 0 {
            return Ok(0);
        }
        self.memory.copy_out(ANSWERS, self.read, into);
        self.read = self.read.wrapping_add(added);
        self.memory.word(Word::AnswersRead).store(self.read, SeqCst);
        let sleep = self.memory.word(Word::Sleep);
        if sleep.load(SeqCst) == FOR_ROOM {
            sleep.store(AWAKE, SeqCst);
            self.wake_by_futex();
        }
        Ok(count)
    }

    /// Bytes of answers that wait.
    fn waiting(&self) -> Result<usize, BadPosition> {
        let written = self.memory.word(Word::AnswersWritten).load(SeqCst);
        let waiting = written.wrapping_sub(self.read) as usize;
        if waiting > ANSWER_BYTES {
            return Err(BadPosition);
        }
        Ok(waiting)
    }

    /// Ask for the bell when there is an answer. `true` when there is one already.
    ///
    /// # Errors
    /// [`BadPosition`].
    pub fn expect_answer(&self) -> Result<bool, BadPosition> {
        self.memory.word(Word::WantsAnswer).store(1, SeqCst);
        Ok(self.waiting()? > 0)
    }

    /// Ask for the bell when there is room for so many more bytes of requests, at most [`ROOM_BYTES`]. `true` when there is already.
    ///
    /// # Errors
    /// [`BadPosition`].
    pub fn expect_room(&self, wanted: usize) -> Result<bool, BadPosition> {
        self.memory.word(Word::WantsRoom).store(1, SeqCst);
        Ok(self.room()? >= wanted.clamp(1, ROOM_BYTES))
    }

    /// Tell the worker that the client of this request has left; seen by it when it looks next.
    pub fn client_left(&self, request: u32) {
        self.memory.word(Word::Left).store(request, Relaxed);
    }
}

const LOWER: u64 = u32::MAX as u64;
