//! The checkpoint, and the way back to it: who runs on which stack.
//!
//! The process's code runs on the first stack, where it always did. The second one, in the arena, has one function, [`controller`], which waits
//! for an order, carries it out while the first stack stands still, and says on which of the first stack's two contexts to go on.

use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::arena::{Arena, Order};
use crate::kernel::Care;
use crate::maps::{Difference, Which};
use crate::{Backend, Base, Unfit, calls, kernel, switch, track};

/// A process that can be rewound: there is at most one in it.
pub struct Rewind {
    arena: NonNull<Arena>,
    backend: Backend,
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
    /// userfaultfd) and is not needed again. The descriptors get the highest numbers that a process may have, and its limit is lowered
    /// to below them, so that PHP's `php://fd/N`, which asks for that limit, does not reach them.
    ///
    /// `runs_native_code`: whether what is to be undone may call the kernel as it likes, and not by PHP's functions alone. All that can be looked at is looked at each time then.
    ///
    /// `wipes_stack`: whether what earlier calls have left below the live part of the stack is written over, too.
    ///
    /// `share`: what this process and others that are forked from the same one write down once.
    ///
    /// # Errors
    /// The kernel refused; or there is one already.
    pub fn new(
        backend: Backend,
        runs_native_code: bool,
        wipes_stack: bool,
        share: Share,
    ) -> std::io::Result<Self> {
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
        parts.runs_native_code = runs_native_code;
        parts.wipes_stack = wipes_stack;
        parts.kernel.sources = sources;
        parts.tracker.backend = Some(backend);
        parts.tracker.set_descriptors(sources.pagemap, userfault);
        match share {
            Share::Nothing => {}
            Share::Gives(base) => parts.giving = base.give(),
            Share::Takes(base) => base.take(&mut parts.image.base)?,
        }
        calls::lower_limit()?;
        ARENA.store(arena.as_ptr(), Ordering::Relaxed);
        Ok(Self { arena, backend })
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

    /// How it knows what was written.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Bytes that the image takes beside a base. 0 before there is one.
    pub fn image_bytes(&self) -> usize {
        // SAFETY: as in `checkpoint`.
        unsafe { self.arena.as_ref() }.image.written
    }

    /// Go back to the checkpoint. Returns only where that cannot be, with nothing of memory changed. `looks_at_all`: whether what is rarely changed was.
    pub fn rewind(&mut self, looks_at_all: bool) -> Unfit {
        // SAFETY: as in `checkpoint`.
        let parts = unsafe { self.arena.as_mut() };
        parts.order = Some(Order::Rewind);
        parts.looks_at_all = looks_at_all;
        let (save, to) = (&raw mut parts.asking, parts.controller);
        // SAFETY: as in `checkpoint`.
        unsafe { switch::switch(save, to) };
        // SAFETY: as in `checkpoint`.
        let parts = unsafe { self.arena.as_mut() };
        parts.outcome.take().unwrap_or(Unfit::NotAsked)
    }
}

/// What a process does with what its siblings hold too.
#[derive(Debug)]
pub enum Share {
    /// It has a whole image of its own.
    Nothing,
    /// Its image is to be the base of the others', who begin after its checkpoint. It runs nobody else's code.
    Gives(Base),
    /// Its image has only what differs from the base.
    Takes(Base),
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
                Ok(extent) => {
                    parts.rewind(extent);
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

/// How much of memory may be other than it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Pages that are written in every request.
    Hot,
    /// Any page, and mappings, of which these were listed.
    Everything(Which),
}

impl Arena {
    fn snapshot(&mut self) -> Result<(), Unfit> {
        // 1. What there is. An image of before is none any more, whether this succeeds or not.
        let old_bytes = self.image.bytes();
        let old = self.image.begin_anew();
        self.read_maps_before()?;
        self.plan()?;
        // 2. From here on nothing but this stack and the arena is written.
        let (pagemap, entries) = self.tracker.entries();
        let (is_again, giving) = (old.is_some(), &mut self.giving);
        self.image.fill(pagemap, entries, is_again, giving)?;
        self.tracker.arm(&self.image)?;
        self.tracker.forget(old_bytes.max(self.image.bytes()));
        self.image.close();
        if let Some((start, end)) = old {
            calls::unmap(start, end)?;
        }
        // 3. What the kernel holds, and the list that all later ones are compared with.
        self.kernel.look()?;
        self.read_maps_before()
    }

    /// The part of a rewind that may fail: it takes nothing away that whoever asks for it needs to end. How much of memory is to be put back.
    fn check(&mut self) -> Result<Extent, Unfit> {
        if !self.image.is_made() {
            return Err(Unfit::NotAsked);
        }
        let care = self.care();
        self.kernel.quiet(care)?;
        self.kernel.put_back(care)?;
        if care == Care::Usual {
            if self.kernel.is_untouched()? {
                return Ok(Extent::Hot);
            }
            let grown = self.look_at(Which::Writable)?;
            // What cannot be written is as it was, or has another size.
            if self.kernel.has_grown_by(grown)? {
                return Ok(Extent::Everything(Which::Writable));
            }
        }
        self.look_at(Which::All)?;
        self.tracker.check(&self.image)?;
        Ok(Extent::Everything(Which::All))
    }

    /// List what is mapped, and see that all that was is among it. How many bytes more there are.
    fn look_at(&mut self, which: Which) -> Result<usize, Unfit> {
        self.read_maps_now(which)?;
        let mut changed = Ok(());
        let mut grown = 0;
        self.compare(which, |difference| {
            match difference {
                Difference::Changed(at) => changed = Err(Unfit::Mapping(at)),
                Difference::New(start, end) | Difference::Stack(start, end) => grown += end - start,
            }
            changed.is_ok()
        });
        changed.map(|()| grown)
    }

    /// How much this rewind looks at.
    fn care(&self) -> Care {
        if self.runs_native_code || self.looks_at_all || self.rewinds.is_multiple_of(THOROUGH_EVERY)
        {
            Care::Thorough
        } else {
            Care::Usual
        }
    }

    /// The part that must not: there is no way back.
    fn rewind(&mut self, extent: Extent) {
        let care = self.care();
        let done = match extent {
            Extent::Hot => {
                self.tracker.restore_hot(&self.image);
                Ok(())
            }
            Extent::Everything(which) => self.everything_back(which),
        };
        self.image.put_back_stack();
        if self.wipes_stack {
            self.image.wipe_dead_stack();
        }
        let done = done
            .and_then(|()| self.kernel.signals_back(care))
            .and_then(|()| match extent {
                // The counts are as they were a moment ago. A fault that this rewind takes is one of the next request's, which is looked at more closely then.
                Extent::Hot => Ok(()),
                Extent::Everything(_) => self.kernel.begin_count(),
            });
        if done.is_err() {
            calls::end(c"hostel-rewind: a rewind that was begun cannot be finished\n");
        }
        self.rewinds += 1;
    }

    fn everything_back(&mut self, which: Which) -> Result<(), Unfit> {
        let (lowest, grown) = self.growth_of_stack();
        self.unmap_new(which)?;
        // None of it is left, or something maps without being asked.
        if !self.kernel.has_grown_by(grown)? {
            return Err(Unfit::TooMany);
        }
        self.tracker.restore(&self.image)?;
        self.image.forget_dead_stack(lowest)
    }

    /// Take away what is mapped and was not.
    fn unmap_new(&self, which: Which) -> Result<(), Unfit> {
        self.kernel.shrink()?;
        let mut unmapped = Ok(());
        self.compare(which, |difference| {
            if let Difference::New(start, end) = difference {
                unmapped = calls::unmap(start, end);
            }
            unmapped.is_ok()
        });
        unmapped
    }
}

/// Rewinds of which one looks at everything, whatever the signs say.
const THOROUGH_EVERY: u64 = 256;
