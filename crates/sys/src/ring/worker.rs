//! The worker's end of the rings, and its socket.
//!
//! Used by the worker, as the site's user. It trusts the front to write sound positions; one that is not ends the worker.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::thread::futex::{self, Timespec};
use rustix::thread::sched_yield;

use crate::fdpass;

use super::memory::{ANSWERS, Memory, REQUESTS, Word};
use super::{ANSWER_BYTES, REQUEST_BYTES, ROOM_BYTES};

/// The worker does not wait.
pub(super) const AWAKE: u32 = 0;
/// It waits on this word, for a request.
pub(super) const FOR_INPUT: u32 = 1;
/// It waits on this word, for room for its answer.
pub(super) const FOR_ROOM: u32 = 2;
/// It waits on its socket, for a request.
pub(super) const ON_SOCKET: u32 = 3;

/// The front is gone, or wants nothing more of this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the front has closed the socket")]
pub struct Closed;

/// The end that reads requests and writes answers.
#[derive(Debug)]
pub struct WorkerEnd {
    memory: Memory,
    bell: OwnedFd,
    socket: OwnedFd,
    /// Bytes of answers written, modulo 2^32.
    written: u32,
    look: Look,
}

/// Whether it pays to look for the next request for a moment before going to sleep.
#[derive(Debug, Default)]
struct Look {
    /// Waits that go to sleep at once before it is tried again, and how many those were after the last failure.
    left_out: u32,
    pause: u32,
}

impl WorkerEnd {
    /// Take over the socket and, waiting for it, what the front sends first. [`Closed`] when the front has gone already.
    ///
    /// # Errors
    /// What came is not what the front shares, or there is no room for it.
    pub fn adopt(socket: OwnedFd) -> io::Result<Result<Self, Closed>> {
        let flags = fcntl_getfl(&socket)?;
        fcntl_setfl(&socket, flags - OFlags::NONBLOCK)?;
        let received = fdpass::receive(&socket, &mut [0; 1])?;
        if received.bytes == 0 {
            return Ok(Err(Closed));
        }
        let [memory, bell] = <[OwnedFd; 2]>::try_from(received.descriptors)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "no memory came with it"))?;
        Self::of(memory, bell, socket).map(Ok)
    }

    /// Of what came with the first message, for who has taken it himself.
    ///
    /// # Errors
    /// The memory is not what the front shares, or there is no room for it.
    pub fn of(memory: impl AsFd, bell: OwnedFd, socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            memory: Memory::adopt(memory)?,
            bell,
            socket,
            written: 0,
            look: Look::default(),
        })
    }

    /// Go on after this process's own memory, and this with it, was put back to an earlier state, in which it had not read a part of a
    /// request: what the front counts with stands in the shared memory.
    pub fn go_on(&mut self) {
        self.written = self.memory.word(Word::AnswersWritten).load(SeqCst);
    }

    /// Read what there is of requests, as far as it fits; 0 for nothing. The front cannot take back what was read.
    ///
    /// # Errors
    /// `InvalidData` for a position that cannot be.
    pub fn read_some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let requests = self.memory.requests();
        let mut seen = requests.load(Acquire);
        loop {
            let (written, read) = (upper(seen), lower(seen));
            let unread = written.wrapping_sub(read) as usize;
            if unread > REQUEST_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let count = into.len().min(unread);
            let Some((bytes, added)) = into.get_mut(..count).zip(u32::try_from(count).ok()) else {
                return Ok(0);
            };
            if count == 0 {
                return Ok(0);
            }
            self.memory.copy_out(REQUESTS, read, bytes);
            let after = u64::from(written) << 32 | u64::from(read.wrapping_add(added));
            // What the front has taken back meanwhile was not read.
            match requests.compare_exchange(seen, after, SeqCst, Acquire) {
                Ok(_) => {
                    if REQUEST_BYTES - (unread - count) >= ROOM_BYTES {
                        self.ring_if(Word::WantsRoom)?;
                    }
                    return Ok(count);
                }
                Err(other) => seen = other,
            }
        }
    }

    /// Write as many of these bytes of an answer as there is room for, and say how many.
    ///
    /// # Errors
    /// The bell cannot be rung, or `InvalidData` for a position that cannot be.
    pub fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room()?);
        let Some((bytes, added)) = bytes.get(..count).zip(u32::try_from(count).ok()) else {
            return Ok(0);
        };
        if count == 0 {
            return Ok(0);
        }
        self.memory.copy_in(ANSWERS, self.written, bytes);
        self.written = self.written.wrapping_add(added);
        let written = self.memory.word(Word::AnswersWritten);
        written.store(self.written, SeqCst);
        self.ring_if(Word::WantsAnswer)?;
        Ok(count)
    }

    fn room(&self) -> io::Result<usize> {
        let read = self.memory.word(Word::AnswersRead).load(SeqCst);
        let unread = self.written.wrapping_sub(read) as usize;
        let room = ANSWER_BYTES.checked_sub(unread);
        room.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Ring the bell, if the front waits for this.
    fn ring_if(&self, wants: Word) -> io::Result<()> {
        let wants = self.memory.word(wants);
        if wants.load(SeqCst) == 0 || wants.swap(0, SeqCst) == 0 {
            return Ok(());
        }
        match rustix::io::write(&self.bell, &1_u64.to_ne_bytes()) {
            // It was rung 2^64 times and nobody ever reads it: as good as once more.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Wait until there may be something to read. An interrupted wait is over, too.
    ///
    /// # Errors
    /// [`Closed`]; or the kernel's.
    pub fn wait_for_input(&mut self) -> io::Result<Result<(), Closed>> {
        if self.look_for_input() || !self.wait(FOR_INPUT, Self::has_input)? {
            return Ok(Ok(()));
        }
        // Nothing for a while: from now on the socket wakes.
        let sleep = self.memory.word(Word::Sleep);
        sleep.store(ON_SOCKET, SeqCst);
        if self.has_input() {
            sleep.store(AWAKE, SeqCst);
            return Ok(Ok(()));
        }
        let polled = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], None);
        sleep.store(AWAKE, SeqCst);
        match polled {
            Ok(_) => self.look_at_socket(),
            Err(Errno::INTR) => Ok(Ok(())),
            Err(error) => Err(error.into()),
        }
    }

    /// Look for a request for a moment, where that was worth it lately: to sleep and to be woken costs both ends more. Whoever
    /// else can use the processor meanwhile has it.
    fn look_for_input(&mut self) -> bool {
        if !self.look.is_due() {
            return false;
        }
        let began = Instant::now();
        let mut has_come = self.has_input();
        while !has_come && began.elapsed() < LOOK {
            sched_yield();
            has_come = self.has_input();
        }
        self.look.ended(has_come);
        has_come
    }

    fn has_input(&self) -> bool {
        let seen = self.memory.requests().load(SeqCst);
        upper(seen) != lower(seen)
    }

    /// Wait until there may be room to write. An interrupted wait is over, too.
    ///
    /// # Errors
    /// [`Closed`]; or the kernel's.
    pub fn wait_for_room(&mut self) -> io::Result<Result<(), Closed>> {
        if self.wait(FOR_ROOM, |end| end.room().is_ok_and(|room| room > 0))? {
            return self.look_at_socket();
        }
        Ok(Ok(()))
    }

    /// Wait on the word for what `is_there` sees; `true` when the time for that has passed.
    fn wait(&self, state: u32, is_there: impl Fn(&Self) -> bool) -> io::Result<bool> {
        let sleep = self.memory.word(Word::Sleep);
        sleep.store(state, SeqCst);
        if is_there(self) {
            sleep.store(AWAKE, SeqCst);
            return Ok(false);
        }
        let waited = futex::wait(sleep, futex::Flags::empty(), state, Some(&PATIENCE));
        sleep.store(AWAKE, SeqCst);
        match waited {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(Errno::TIMEDOUT) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the front still has its end of the socket; takes what was sent to wake.
    ///
    /// # Errors
    /// The kernel's.
    pub fn look_at_socket(&self) -> io::Result<Result<(), Closed>> {
        let mut bytes = [0; 64];
        match recv(&self.socket, &mut bytes, RecvFlags::DONTWAIT) {
            Ok((_, 0)) | Err(Errno::CONNRESET) => Ok(Err(Closed)),
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(Ok(())),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether the client of this request has left.
    pub fn has_client_left(&self, request: u32) -> bool {
        self.memory.word(Word::Left).load(Relaxed) == request
    }
}

impl Look {
    fn is_due(&mut self) -> bool {
        let is_due = self.left_out == 0;
        self.left_out = self.left_out.saturating_sub(1);
        is_due
    }

    fn ended(&mut self, has_come: bool) {
        self.pause = match has_come {
            true => 0,
            false => (self.pause * 2 + 1).min(PAUSE_MAX),
        };
        self.left_out = self.pause;
    }
}

impl AsFd for WorkerEnd {
    /// The socket.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn upper(word: u64) -> u32 {
    u32::try_from(word >> 32).unwrap_or(u32::MAX)
}

fn lower(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

/// How long it looks for a request before it sleeps.
const LOOK: Duration = Duration::from_micros(50);
/// Where looking is never worth it, one wait of so many does.
const PAUSE_MAX: u32 = 63;
/// How long it waits on the word before it looks at the socket: so late it notices that the front has died, and so long after its last
/// request an idle worker's next one costs a byte on the socket, some microseconds.
const PATIENCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_to_which_little_comes_looks_for_it_seldom() {
        let mut look = Look::default();
        let looks = (0..1000).filter(|_| {
            let is_due = look.is_due();
            if is_due {
                look.ended(false);
            }
            is_due
        });
        assert_eq!(looks.count(), 20);
        // One that it has seen is enough for it to look each time.
        while !look.is_due() {}
        look.ended(true);
        assert!(look.is_due());
        look.ended(true);
        assert!(look.is_due());
    }
}
