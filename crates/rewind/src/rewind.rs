//! The checkpoint, and the way back to it: who runs on which stack.
//!
//! The process's code runs on the first stack, where it always did. The second one, in the arena, has one function, [`controller`], which waits
//! for an order, carries it out while the first stack stands still, and says on which of the first stack's two contexts to go on.

use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::arena::{Arena, Order};
use crate::maps::{self, Difference};
use crate::{Backend, Unfit, calls, kernel, switch, track};

/// A process that can be rewound: there is at most one in it.
pub struct Rewind {
    arena: NonNull<Arena>,
}

impl fmt::Debug for Rewind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rewind").finish_non_exhaustive()
    }
}

/// The arena of this process, for the second stack. It is written once.
static ARENA: AtomicPtr<Arena> = AtomicPtr::new(std::ptr::null_mut());

impl Rewind {
    /// Prepare: open what is needed, which must be allowed at this moment (/proc/self/pagemap of a process that is dumpable, a
    /// userfaultfd) and is not needed again. The descriptors get the highest numbers that a process may have, and its soft limit is lowered
    /// to below them, so that PHP's `php://fd/N`, which asks for that limit, does not reach them.
    ///
    /// # Errors
    /// The kernel refused; or there is one already.
    pub fn new(backend: Backend) -> std::io::Result<Self> {
        if !ARENA.load(Ordering::Relaxed).is_null() {
            return Err(std::io::Error::other("a process has one checkpoint"));
        }
        let mut arena = Arena::create(controller)?;
        let sources = kernel::Sources::open()?;
        let userfault = match backend {
            Backend::Written => calls::raise(track::open_userfault()?)?,
            Backend::Private => -1,
        };
        // SAFETY: just made, and nobody else has it.
        let parts = unsafe { arena.as_mut() };
        parts.kernel.sources = sources;
        parts.tracker.backend = Some(backend);
        parts.tracker.set_descriptors(sources.pagemap, userfault);
        calls::lower_limit()?;
        ARENA.store(arena.as_ptr(), Ordering::Relaxed);
        Ok(Self { arena })
    }

    /// From here on each rewind goes on. Returns once, and after each rewind again; with the number of rewinds so far.
    ///
    /// It may be called again, which replaces the checkpoint of before. Where that fails, there is none any more.
    ///
    /// `spared`: parts of memory, from and to an address, page by page, that are nobody's state at this moment, in the order of addresses.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn checkpoint(&mut self, spared: &[(usize, usize)]) -> Result<u64, Unfit> {
        // SAFETY: the second stack does not run, so nobody else uses it. The reference ends before the switch.
        let parts = unsafe { self.arena.as_mut() };
        parts.order = Some(Order::Snapshot);
        parts.spare(spared)?;
        let (save, to) = (&raw mut parts.checkpoint, parts.controller);
        // SAFETY: `to` was made by `Arena::create`, or saved by the controller's own switch; its stack is in the arena, which only it uses.
        unsafe { switch::switch(save, to) };
        // SAFETY: as above. After a rewind this is the same function with the same stack.
        let parts = unsafe { self.arena.as_mut() };
        match parts.outcome.take() {
            Some(unfit) => Err(unfit),
            None => Ok(parts.rewinds),
        }
    }

    /// Go back to the checkpoint. Returns only where that cannot be, with nothing of memory changed.
    pub fn rewind(&mut self) -> Unfit {
        // SAFETY: as in `checkpoint`.
        let parts = unsafe { self.arena.as_mut() };
        parts.order = Some(Order::Rewind);
        let (save, to) = (&raw mut parts.asking, parts.controller);
        // SAFETY: as in `checkpoint`.
        unsafe { switch::switch(save, to) };
        // SAFETY: as in `checkpoint`.
        let parts = unsafe { self.arena.as_mut() };
        parts.outcome.take().unwrap_or(Unfit::NotAsked)
    }
}

/// The second stack's only function.
extern "C" fn controller() -> ! {
    let arena = ARENA.load(Ordering::Relaxed);
    loop {
        // SAFETY: it was made by `Arena::create` and lives for ever; whoever gave the order waits, and so nobody else uses it.
        let parts = unsafe { &mut *arena };
        let next = match parts.order.take() {
            Some(Order::Snapshot) => {
                parts.outcome = parts.snapshot().err();
                if parts.outcome.is_some() {
                    parts.image.begin_anew();
                }
                parts.checkpoint
            }
            Some(Order::Rewind) => match parts.check() {
                Ok(()) => {
                    parts.rewind();
                    parts.checkpoint
                }
                Err(unfit) => {
                    parts.outcome = Some(unfit);
                    parts.asking
                }
            },
            None => calls::end(c"hostel-rewind: no order\n"),
        };
        // SAFETY: within the arena.
        let save = unsafe { &raw mut (*arena).controller };
        // SAFETY: the checkpoint's context was saved by `switch`, and its stack is as it was then: nothing ran on it since, or it was
        // just put back. The asking one was saved a moment ago.
        unsafe { switch::switch(save, next) };
    }
}

impl Arena {
    fn snapshot(&mut self) -> Result<(), Unfit> {
        let maps = self.kernel.sources.maps;
        // 1. What there is. An image of before is none any more, whether this succeeds or not.
        let old_bytes = self.image.bytes();
        let old = self.image.begin_anew();
        self.read_maps(maps, true)?;
        self.plan()?;
        // 2. From here on nothing but this stack and the arena is written.
        let (pagemap, entries) = self.tracker.entries();
        self.image.fill(pagemap, entries, old.is_some())?;
        self.tracker.arm(&self.image)?;
        self.tracker.forget(old_bytes.max(self.image.bytes()));
        self.image.close();
        if let Some((start, end)) = old {
            calls::unmap(start, end)?;
        }
        // 3. What the kernel holds, and the list that all later ones are compared with.
        self.kernel.look()?;
        self.read_maps(maps, true)
    }

    /// The part of a rewind that may fail: it takes nothing away that whoever asks for it needs to end.
    fn check(&mut self) -> Result<(), Unfit> {
        if !self.image.is_made() {
            return Err(Unfit::NotAsked);
        }
        self.kernel.quiet()?;
        self.kernel.put_back()?;
        self.read_maps(self.kernel.sources.maps, false)?;
        let mut unfit = None;
        maps::compare(self.before.get(), self.now.get(), |difference| {
            if let Difference::Changed(at) = difference {
                unfit = Some(Unfit::Mapping(at));
            }
            unfit.is_none()
        });
        unfit.map_or(Ok(()), Err)
    }

    /// The part that must not: there is no way back.
    fn rewind(&mut self) {
        self.rewinds += 1;
        let lowest = self.lowest_of_stack();
        let done = self
            .unmap_new()
            .and_then(|()| self.tracker.restore(&self.image))
            .and_then(|()| self.image.put_back_stack(lowest))
            .and_then(|()| self.kernel.signals_back());
        if done.is_err() {
            calls::end(c"hostel-rewind: a rewind that was begun cannot be finished\n");
        }
    }

    /// Take away what is mapped and was not.
    fn unmap_new(&mut self) -> Result<(), Unfit> {
        self.kernel.shrink()?;
        let mut unfit = None;
        let mut has_new = false;
        maps::compare(self.before.get(), self.now.get(), |difference| {
            if let Difference::New(start, end) = difference {
                has_new = true;
                unfit = calls::unmap(start, end).err();
            }
            unfit.is_none()
        });
        if let Some(unfit) = unfit {
            return Err(unfit);
        }
        if !has_new {
            return Ok(());
        }
        // None of it is left, or something maps without being asked.
        self.read_maps(self.kernel.sources.maps, false)?;
        let is_same = maps::compare(self.before.get(), self.now.get(), |difference| {
            matches!(difference, Difference::Stack(..))
        });
        if is_same { Ok(()) } else { Err(Unfit::TooMany) }
    }
}
