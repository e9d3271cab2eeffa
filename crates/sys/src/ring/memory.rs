//! The shared memory itself: its words, and copies into and out of the rings.
//!
//! Both processes write it at any time, so it is only touched by atomic operations: a hostile neighbour can make a copy senseless,
//! never undefined.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::{ANSWER_BYTES, REQUEST_BYTES};

/// The words, each on a cache line of its own.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
pub(super) enum Word {
    /// [`Memory::requests`].
    Requests = 0,
    /// How the worker waits: one of [`super::worker`]'s states.
    Sleep = 64,
    /// Bytes of answers that the worker has written, modulo 2^32.
    AnswersWritten = 128,
    /// Bytes of answers that the front has read, modulo 2^32.
    AnswersRead = 192,
    /// Not 0: the front wants the bell when there are bytes of an answer.
    WantsAnswer = 256,
    /// Not 0: the front wants the bell when there is room for more of a request.
    WantsRoom = 320,
    /// The last request whose client has left.
    Left = 384,
}

/// A ring: where it begins, and its length, a power of two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    start: usize,
    length: usize,
}

const WORDS_BYTES: usize = 4096;
pub(super) const REQUESTS: Place = Place {
    start: WORDS_BYTES,
    length: REQUEST_BYTES,
};
pub(super) const ANSWERS: Place = Place {
    start: WORDS_BYTES + REQUEST_BYTES,
    length: ANSWER_BYTES,
};
const MEMORY_BYTES: usize = WORDS_BYTES + REQUEST_BYTES + ANSWER_BYTES;
const _: () = assert!(REQUEST_BYTES.is_power_of_two() && ANSWER_BYTES.is_power_of_two());

/// A mapping of the memory, for as long as it lives.
#[derive(Debug)]
pub(super) struct Memory {
    start: NonNull<u8>,
}

// SAFETY: the mapping belongs to no thread, and all access to it is atomic.
unsafe impl Send for Memory {}

impl Memory {
    /// New memory, all zeros, whose size nobody can change any more; and the descriptor by which another process maps it.
    pub(super) fn create() -> io::Result<(Self, OwnedFd)> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Kernels before 6.3 do not know that it is never to be executed.
        let file = match memfd_create("hostel-worker", flags | MemfdFlags::NOEXEC_SEAL) {
            Err(Errno::INVAL) => memfd_create("hostel-worker", flags)?,
            created => created?,
        };
        ftruncate(&file, MEMORY_BYTES as u64)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok((Self::map(&file)?, file))
    }

    /// The memory behind a descriptor of [`Memory::create`].
    pub(super) fn adopt(file: impl AsFd) -> io::Result<Self> {
        if fstat(&file)?.st_size != i64::try_from(MEMORY_BYTES).unwrap_or(i64::MAX) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the memory shared with the front has another size",
            ));
        }
        Self::map(file)
    }

    fn map(file: impl AsFd) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let hint = std::ptr::null_mut();
        // SAFETY: a new mapping where the kernel chooses, so it lies over nothing else.
        let start = unsafe { mmap(hint, MEMORY_BYTES, protection, MapFlags::SHARED, file, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(Errno::NOMEM)?;
        Ok(Self { start })
    }

    /// Of requests: bytes written in the upper half, bytes read in the lower, each modulo 2^32. One word, so that the front can take
    /// back what the worker has not read.
    pub(super) fn requests(&self) -> &AtomicU64 {
        let at = self.at(Word::Requests as usize).cast::<AtomicU64>();
        // SAFETY: within the mapping, which lives as long as `self`, and aligned (a multiple of 64 from the start of a page). Shared
        // memory is only used through atomics.
        unsafe { at.as_ref() }
    }

    /// Another word.
    pub(super) fn word(&self, word: Word) -> &AtomicU32 {
        let at = self.at(word as usize).cast::<AtomicU32>();
        // SAFETY: as in `requests`.
        unsafe { at.as_ref() }
    }

    /// Copy into a ring from this position (modulo its length) on.
    pub(super) fn copy_in(&self, place: Place, position: u32, bytes: &[u8]) {
        let offset = position as usize & (place.length - 1);
        let (first, second) = bytes.split_at(bytes.len().min(place.length - offset));
        self.store(place.start + offset, first);
        self.store(place.start, second.get(..place.length).unwrap_or(second));
    }

    /// Copy out of a ring from this position (modulo its length) on.
    pub(super) fn copy_out(&self, place: Place, position: u32, bytes: &mut [u8]) {
        let offset = position as usize & (place.length - 1);
        let (first, second) = bytes.split_at_mut(bytes.len().min(place.length - offset));
        self.load(place.start + offset, first);
        self.load(place.start, second);
    }

    /// Whole aligned words at once: a byte at a time would take several times as long.
    fn store(&self, offset: usize, bytes: &[u8]) {
        let (head, body, tail) = cut(offset, bytes.len());
        for (at, byte) in (offset..).zip(bytes).take(head) {
            self.byte(at).store(*byte, Ordering::Relaxed);
        }
        let body_bytes = bytes.get(head..head + body).unwrap_or_default();
        for (at, word) in (offset + head..).step_by(8).zip(body_bytes.chunks_exact(8)) {
            let word = u64::from_ne_bytes(word.try_into().unwrap_or_default());
            self.eight(at).store(word, Ordering::Relaxed);
        }
        let tail_bytes = bytes.get(head + body..).unwrap_or_default();
        for (at, byte) in (offset + head + body..).zip(tail_bytes).take(tail) {
            self.byte(at).store(*byte, Ordering::Relaxed);
        }
    }

    fn load(&self, offset: usize, bytes: &mut [u8]) {
        let (head, body, _) = cut(offset, bytes.len());
        let (head_bytes, rest) = bytes.split_at_mut(head);
        let (body_bytes, tail_bytes) = rest.split_at_mut(body);
        for (at, byte) in (offset..).zip(head_bytes) {
            *byte = self.byte(at).load(Ordering::Relaxed);
        }
        for (at, word) in (offset + head..)
            .step_by(8)
            .zip(body_bytes.chunks_exact_mut(8))
        {
            word.copy_from_slice(&self.eight(at).load(Ordering::Relaxed).to_ne_bytes());
        }
        for (at, byte) in (offset + head + body..).zip(tail_bytes) {
            *byte = self.byte(at).load(Ordering::Relaxed);
        }
    }

    fn byte(&self, offset: usize) -> &AtomicU8 {
        let at = self.at(offset).cast::<AtomicU8>();
        // SAFETY: as in `requests`; a byte needs no alignment.
        unsafe { at.as_ref() }
    }

    fn eight(&self, offset: usize) -> &AtomicU64 {
        debug_assert!(offset.is_multiple_of(8), "cut() aligns");
        let at = self.at(offset & !7).cast::<AtomicU64>();
        // SAFETY: as in `requests`; eight bytes from a multiple of eight stay within a mapping whose length is one.
        unsafe { at.as_ref() }
    }

    fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < MEMORY_BYTES, "within the memory");
        // SAFETY: within the mapping, as was just asserted.
        unsafe { self.start.add(offset) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this value's own mapping, whole; every reference into it borrowed `self`.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), MEMORY_BYTES) };
        debug_assert!(unmapped.is_ok(), "a mapping can be taken away");
    }
}

/// How many of `length` bytes from `offset` on stand before a multiple of eight, in whole words, and behind them.
fn cut(offset: usize, length: usize) -> (usize, usize, usize) {
    let head = (offset.next_multiple_of(8) - offset).min(length);
    let body = (length - head) & !7;
    (head, body, length - head - body)
}
