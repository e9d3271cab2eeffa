//! What the memory held at the checkpoint, and what of the memory that is.
//!
//! The image is a file in memory, sealed once it is written and mapped read-only, so that nothing that a request does to memory reaches it.
//! A [`Region`] is a part of the address space that is state: private and writable, without the stack, and without what the caller said he
//! does not need. Regions do not overlap and stand in the order of addresses; their parts of the image follow each other in the same order.
//!
//! Invariant of every copy back: each region is mapped, private and writable as it was. Either the list of mappings was compared a moment ago, or nothing was mapped
//! or touched since the last rewind, as the kernel's counts say, and no native code ran that could have done so behind them.

use std::ffi::c_void;

use rustix::mm::{MapFlags, ProtFlags, mmap};

use crate::Unfit;
use crate::arena::{List, MAPPINGS_MAX};
use crate::calls;

/// The smallest unit of memory that can be dirty.
pub(crate) const PAGE: usize = 4096;
/// More than this no image holds.
pub(crate) const IMAGE_BYTES_MAX: usize = 512 << 20;
/// Of the stack above the checkpoint: what its functions hold, the arguments and the environment.
const STACK_BYTES_MAX: usize = 1 << 20;

/// A part of the address space whose content is state.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Region {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Where the image has it.
    pub(crate) offset: usize,
    /// Whether it can be executed too.
    pub(crate) is_executable: bool,
    /// Whether a page that was never touched has content.
    is_of_file: bool,
}

impl Region {
    pub(crate) fn length(&self) -> usize {
        self.end - self.start
    }

    /// Take in the region that follows in the image, if it begins where this one ends: a library's variables that have values, and those that are zeros.
    fn join(&mut self, next: &Self) -> bool {
        let joins = self.end == next.start && self.is_executable == next.is_executable;
        if joins {
            self.end = next.end;
            // Untouched pages of the zeros are written down as well then.
            self.is_of_file |= next.is_of_file;
        }
        joins
    }

    /// From this address to that one, both within it.
    pub(crate) fn part(&self, start: usize, end: usize) -> Part {
        debug_assert!(
            self.start <= start && start <= end && end <= self.end,
            "within the region"
        );
        Part {
            start,
            length: end - start,
            offset: self.offset + (start - self.start),
        }
    }
}

/// A part of a region, or of several that follow each other. Only [`Region::part`] and [`Part::join`] make one.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Part {
    start: usize,
    length: usize,
    /// Where the image has it.
    pub(crate) offset: usize,
}

impl Part {
    /// Take the other one in, if it begins where this one ends, in memory and in the image.
    pub(crate) fn join(&mut self, other: &Self) -> bool {
        let follows =
            self.start + self.length == other.start && self.offset + self.length == other.offset;
        if follows {
            self.length += other.length;
        }
        follows
    }
}

/// All zeros is an empty one.
#[repr(C)]
pub(crate) struct Image {
    count: usize,
    regions: [Region; MAPPINGS_MAX],
    bytes: usize,
    pub(crate) file: libc::c_int,
    start: usize,
    /// The stack: from where the checkpoint waits to its end. It is always copied whole, and stands behind the regions.
    stack: Region,
}

impl Image {
    /// Say what is state: all that the list has, without `spared`, and the stack from `stack_from` on.
    pub(crate) fn plan(
        &mut self,
        list: &List,
        stack_from: usize,
        spared: &[(usize, usize)],
    ) -> Result<(), Unfit> {
        self.count = 0;
        self.bytes = 0;
        let mut stack = None;
        for mapping in list.get().iter().filter(|mapping| mapping.is_state()) {
            if !mapping.is_readable() {
                return Err(Unfit::Mapping(mapping.start));
            }
            let whole = Region {
                start: mapping.start,
                end: mapping.end,
                offset: 0,
                is_executable: mapping.is_executable(),
                is_of_file: mapping.is_of_file(),
            };
            if (whole.start..whole.end).contains(&stack_from) {
                stack = Some(Region {
                    start: stack_from,
                    ..whole
                });
                continue;
            }
            if mapping.is_stack() {
                // The process runs on another one, and this is dead.
                return Err(Unfit::Mapping(mapping.start));
            }
            let mut start = whole.start;
            let inside = |(from, to): &&(usize, usize)| *from < whole.end && *to > whole.start;
            for (from, to) in spared.iter().filter(inside) {
                self.add(Region {
                    start,
                    end: (*from).max(start),
                    ..whole
                })?;
                start = (*to).clamp(start, whole.end);
            }
            self.add(Region { start, ..whole })?;
        }
        self.stack = stack.ok_or(Unfit::Mapping(stack_from))?;
        self.stack.offset = self.bytes;
        if self.stack.length() > STACK_BYTES_MAX {
            return Err(Unfit::TooMany);
        }
        Ok(())
    }

    fn add(&mut self, mut region: Region) -> Result<(), Unfit> {
        if region.start >= region.end {
            return Ok(());
        }
        region.offset = self.bytes;
        self.bytes += region.length();
        if self.bytes > IMAGE_BYTES_MAX {
            return Err(Unfit::TooMany);
        }
        let last = self.count.checked_sub(1);
        let last = last.and_then(|last| self.regions.get_mut(last));
        if last.is_some_and(|last| last.join(&region)) {
            return Ok(());
        }
        *self.regions.get_mut(self.count).ok_or(Unfit::TooMany)? = region;
        self.count += 1;
        Ok(())
    }

    pub(crate) fn regions(&self) -> &[Region] {
        self.regions.get(..self.count).unwrap_or_default()
    }

    fn file_bytes(&self) -> usize {
        (self.bytes + self.stack.length()).next_multiple_of(PAGE)
    }

    /// Make the file for the plan.
    fn create(&mut self) -> Result<(), Unfit> {
        self.file = calls::memory_file(self.file_bytes())?;
        Ok(())
    }

    /// Map it, sealed: so mapped, it cannot be made writable either.
    fn map(&mut self) -> Result<(), Unfit> {
        calls::seal(self.file)?;
        let (hint, file) = (std::ptr::null_mut(), calls::borrow(self.file));
        let (bytes, flags) = (self.file_bytes(), MapFlags::SHARED);
        // SAFETY: a new mapping where the kernel chooses, so it lies over nothing else.
        let start = unsafe { mmap(hint, bytes, ProtFlags::READ, flags, file, 0) };
        self.start = start.map_err(Unfit::from)? as usize;
        Ok(())
    }

    /// Whether there is one.
    pub(crate) fn is_made(&self) -> bool {
        self.start != 0
    }

    /// There is none from here on. Where the one before is mapped, which regions may still be mappings of.
    pub(crate) fn begin_anew(&mut self) -> Option<(usize, usize)> {
        let start = std::mem::take(&mut self.start);
        (start != 0).then(|| (start, start + self.file_bytes()))
    }

    /// Its mapping is all that is needed of it, once those who map it privately have done so.
    pub(crate) fn close(&mut self) {
        calls::close(self.file);
        self.file = -1;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.stack.length()
    }

    /// Write down what the memory holds. Pages of zeros are left out: they are zeros in the file, too. `is_again`: there was an image before
    /// this one, so that all pages can be read, and those that were never touched may look as if they had been.
    pub(crate) fn fill(
        &mut self,
        pagemap: libc::c_int,
        entries: &mut [u64],
        is_again: bool,
    ) -> Result<(), Unfit> {
        self.create()?;
        for region in self.regions() {
            let mut at = region.start;
            while at < region.end {
                let pages = ((region.end - at) / PAGE).min(entries.len());
                let part = entries.get_mut(..pages).unwrap_or_default();
                calls::read_pagemap(pagemap, at / PAGE, part)?;
                let has_content = |page: usize, entry: &u64| {
                    let may_have = entry >> 62 != 0 || region.is_of_file;
                    let is_readable = is_again || !region.is_of_file;
                    may_have && !(is_readable && is_zero(at + page * PAGE))
                };
                // Neighbours by one call.
                let mut from = at;
                for (page, entry) in part.iter().enumerate() {
                    let start = at + page * PAGE;
                    if !has_content(page, entry) {
                        self.write_of(region, from, start)?;
                        from = start + PAGE;
                    }
                }
                at += pages * PAGE;
                self.write_of(region, from, at)?;
            }
        }
        self.write(self.stack.start, self.stack.length(), self.stack.offset)?;
        self.map()
    }

    fn write_of(&self, region: &Region, start: usize, end: usize) -> Result<(), Unfit> {
        self.write(start, end - start, region.offset + (start - region.start))
    }

    fn write(&self, start: usize, length: usize, offset: usize) -> Result<(), Unfit> {
        // The kernel copies, and answers an error where nothing is mapped.
        calls::write_at(self.file, start as *const c_void, length, offset)
    }

    /// Put back a part of a region of this image.
    pub(crate) fn put_back(&self, part: &Part) {
        let (from, to) = (self.start + part.offset, part.start as *mut u8);
        // SAFETY: the source is the image, which is mapped until the next one is made and armed, and at least as large as the plan (`create`). The target is within
        // regions, which are mapped and writable (the module's invariant). The two do not overlap: the image is a shared mapping and so in
        // no region. What Rust holds of the target's bytes are values of code that is not running and that finds them, when it goes
        // on at the checkpoint, as they were then.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to, part.length) };
    }

    /// Put back the live part of the stack.
    pub(crate) fn put_back_stack(&self) {
        let stack = &self.stack;
        self.put_back(&stack.part(stack.start, stack.end));
    }

    /// What lies below the live part of the stack and stays mapped, from and to an address.
    fn dead_stack(&self) -> (usize, usize) {
        // Below the red zone, which the checkpoint's function may use.
        let end = self.stack.start - RED_ZONE;
        ((end & !(PAGE - 1)).saturating_sub(STACK_KEPT), end)
    }

    /// Leave nothing there.
    pub(crate) fn wipe_dead_stack(&self) {
        let (start, end) = self.dead_stack();
        // SAFETY: of the first stack, which stands still, below all that is alive on it; where it has not grown as far down, it grows now, well within the
        // limit that this crate's users have.
        unsafe { std::ptr::write_bytes(start as *mut u8, 0, end - start) };
    }

    /// Let go of all pages below that, down to where the stack has grown.
    pub(crate) fn forget_dead_stack(&self, lowest: usize) -> Result<(), Unfit> {
        let (kept, _) = self.dead_stack();
        if kept > lowest {
            calls::forget_pages(lowest, kept - lowest)?;
        }
        Ok(())
    }
}

/// Whether this page of a region has nothing but zeros.
fn is_zero(page: usize) -> bool {
    // SAFETY: of a region, which is mapped and readable, and which nobody writes meanwhile: the only other stack stands still. Where it is
    // of a file, it is not behind its end, as an image before this one has read it.
    let words = unsafe { std::slice::from_raw_parts(page as *const u64, PAGE / size_of::<u64>()) };
    words.iter().all(|word| *word == 0)
}

/// Bytes below its stack pointer that a function may use.
const RED_ZONE: usize = 128;
/// So much of the dead stack stays mapped, as every request needs it: what a script finds there is what PHP itself left.
const STACK_KEPT: usize = 256 * 1024;
