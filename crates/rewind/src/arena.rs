//! Memory that a rewind does not touch: the second stack, and all that has to be remembered across it.
//!
//! One shared mapping (what is shared is nobody's state, see `maps`), zeros at first, made once in a process and never unmapped. The
//! process has one thread, and of its two stacks one runs at a time, so whoever runs has it to himself.

use std::io;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};

use crate::Unfit;
use crate::base::Giving;
use crate::image::Image;
use crate::kernel::Kernel;
use crate::maps::{Difference, Mapping, Which};
use crate::track::Tracker;

/// Mappings that a process may have. PHP with all of Debian's modules has 700.
pub(crate) const MAPPINGS_MAX: usize = 4096;
/// Bytes of /proc/self/maps.
const TEXT_BYTES: usize = 1 << 20;
const STACK_BYTES: usize = 128 * 1024;
/// Parts of memory that are nobody's state.
const SPARED_MAX: usize = 16;
/// A page that nobody may touch, below the stack.
const GUARD_BYTES: usize = 4096;

/// What the second stack is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Order {
    Snapshot,
    Rewind,
}

/// All zeros is a value of each part, but for the three that [`Arena::create`] writes.
#[repr(C, align(4096))]
pub(crate) struct Arena {
    guard: [u8; GUARD_BYTES],
    stack: [usize; STACK_BYTES / size_of::<usize>()],
    /// Where the first stack waits at the checkpoint.
    pub(crate) checkpoint: usize,
    /// Where it waits for a rewind, to which it returns if there is none.
    pub(crate) asking: usize,
    /// Where the second stack waits for an order.
    pub(crate) controller: usize,
    pub(crate) order: Option<Order>,
    pub(crate) outcome: Option<Unfit>,
    pub(crate) rewinds: u64,
    /// Whether each rewind looks at all that it can.
    pub(crate) runs_native_code: bool,
    /// Whether this one does.
    pub(crate) looks_at_all: bool,
    /// Whether nothing is left on the dead stack.
    pub(crate) wipes_stack: bool,
    /// What the caller of the checkpoint said is nobody's state.
    spared: [(usize, usize); SPARED_MAX],
    spared_count: usize,
    /// Whether the kernel tells of mappings by their text alone.
    asks_in_vain: bool,
    pub(crate) before: List,
    pub(crate) now: List,
    text: [u8; TEXT_BYTES],
    pub(crate) image: Image,
    pub(crate) giving: Giving,
    pub(crate) tracker: Tracker,
    pub(crate) kernel: Kernel,
}

/// A list of mappings.
#[repr(C)]
pub(crate) struct List {
    count: usize,
    mappings: [Mapping; MAPPINGS_MAX],
}

impl List {
    pub(crate) fn get(&self) -> &[Mapping] {
        self.mappings.get(..self.count).unwrap_or_default()
    }

    pub(crate) fn iter(&self, which: Which) -> impl Iterator<Item = Mapping> + '_ {
        let all = self.get().iter().copied();
        all.filter(move |mapping| mapping.is_in(which))
    }

    /// Fill it by one question for each mapping. The stack is the one with this address.
    fn ask(&mut self, maps: libc::c_int, on_stack: usize, which: Which) -> Result<(), Unfit> {
        self.count = 0;
        let mut from = 0;
        while let Some(mapping) = crate::maps::next(maps, from, on_stack, which)? {
            from = mapping.end;
            *self.mappings.get_mut(self.count).ok_or(Unfit::TooMany)? = mapping;
            self.count += 1;
        }
        Ok(())
    }

    /// Fill it from the text of /proc/self/maps.
    fn parse(&mut self, text: &[u8]) -> Result<(), Unfit> {
        self.count = 0;
        self.count = crate::maps::parse(text, &mut self.mappings).ok_or(Unfit::TooMany)?;
        Ok(())
    }
}

impl Arena {
    /// A new one, with a stack that begins with `entry`.
    pub(crate) fn create(entry: extern "C" fn() -> !) -> io::Result<NonNull<Self>> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let hint = std::ptr::null_mut();
        // SAFETY: a new mapping where the kernel chooses, so it lies over nothing else.
        let start =
            unsafe { mmap_anonymous(hint, size_of::<Self>(), protection, MapFlags::SHARED) }?;
        let mut arena = NonNull::new(start.cast::<Self>()).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: its first page, of which nothing is ever used.
        unsafe { mprotect(start, GUARD_BYTES, MprotectFlags::empty()) }?;
        // Of all others, zeros are a value.
        // SAFETY: within the new mapping, and aligned.
        unsafe { (*arena.as_ptr()).order = None };
        // SAFETY: the same.
        unsafe { (*arena.as_ptr()).outcome = None };
        // SAFETY: the same.
        unsafe { (*arena.as_ptr()).tracker.backend = None };
        // SAFETY: the mapping is as large as an arena, aligned to a page, lives for ever, and zeros are one.
        let parts = unsafe { arena.as_mut() };
        let first = crate::switch::first(entry);
        let words = parts.stack.len();
        if let Some(top) = parts.stack.get_mut(words - first.len()..) {
            top.copy_from_slice(&first);
            parts.controller = top.as_ptr() as usize;
        }
        Ok(arena)
    }

    /// Remember what is nobody's state.
    pub(crate) fn spare(&mut self, spared: &[(usize, usize)]) -> Result<(), Unfit> {
        let room = self.spared.get_mut(..spared.len());
        room.ok_or(Unfit::TooMany)?.copy_from_slice(spared);
        self.spared_count = spared.len();
        Ok(())
    }

    /// Say what of the list before is state.
    pub(crate) fn plan(&mut self) -> Result<(), Unfit> {
        let spared = self.spared.get(..self.spared_count).unwrap_or_default();
        self.image.plan(&self.before, self.checkpoint, spared)
    }

    /// Where the stack that is not running begins at the moment, and how many bytes lower that is than at the checkpoint.
    pub(crate) fn growth_of_stack(&self) -> (usize, usize) {
        let lowest = |list: &List| {
            let stack = list.get().iter().find(|mapping| mapping.is_stack());
            stack.map_or(usize::MAX, |mapping| mapping.start)
        };
        let now = lowest(&self.now);
        (now, lowest(&self.before).saturating_sub(now))
    }

    /// List all that is mapped at the moment as what was at the checkpoint.
    pub(crate) fn read_maps_before(&mut self) -> Result<(), Unfit> {
        let maps = self.kernel.sources.maps;
        if !self.asks_in_vain {
            match self.before.ask(maps, self.checkpoint, Which::All) {
                Err(Unfit::Kernel(libc::ENOTTY)) => self.asks_in_vain = true,
                asked => return asked,
            }
        }
        let length = self.read_text(maps)?;
        self.before
            .parse(self.text.get(..length).unwrap_or_default())
    }

    /// List what is mapped at the moment, by questions for one mapping each, or where the kernel answers none (before Linux 6.11) by the
    /// text, which has all.
    pub(crate) fn read_maps_now(&mut self, which: Which) -> Result<(), Unfit> {
        let maps = self.kernel.sources.maps;
        if !self.asks_in_vain {
            return self.now.ask(maps, self.checkpoint, which);
        }
        let length = self.read_text(maps)?;
        self.now.parse(self.text.get(..length).unwrap_or_default())
    }

    /// Tell how the mappings of now differ from those of the checkpoint.
    pub(crate) fn compare(&self, which: Which, mut tell: impl FnMut(Difference) -> bool) -> bool {
        let (before, now) = (self.before.iter(which), self.now.iter(which));
        crate::maps::compare(before, now, |difference| match difference {
            // What can be written now, and was there and could not be, is no new mapping.
            Difference::New(start, end)
                if self.before.get().iter().any(|was| was.overlaps(start, end)) =>
            {
                tell(Difference::Changed(start))
            }
            other => tell(other),
        })
    }

    /// Read the text of /proc/self/maps. How long it is.
    fn read_text(&mut self, maps: libc::c_int) -> Result<usize, Unfit> {
        let mut length = 0;
        loop {
            let space = self.text.get_mut(length..).unwrap_or_default();
            if space.is_empty() {
                return Err(Unfit::TooMany);
            }
            match crate::calls::read_at(maps, space, length)? {
                0 => return Ok(length),
                count => length += count,
            }
        }
    }
}
