//! What the memory held at the checkpoint, and what of the memory that is.
//!
//! The image is a file in memory, sealed once it is written and mapped read-only, so that nothing that a request does to memory reaches it.
//! A [`Region`] is a part of the address space that is state: private and writable, without the stack, and without what the caller said he
//! does not need. Regions do not overlap and stand in the order of addresses; their parts of the image follow each other in the same order.
//!
//! Pages that a [`base`](crate::base) has with the same content are taken from there, and are holes in the image's own file.
//!
//! Invariant of every copy back: each region is mapped, private and writable as it was. Either the list of mappings was compared a moment ago, or nothing was mapped
//! or touched since the last rewind, as the kernel's counts say, and no native code ran that could have done so behind them.

use std::ffi::c_void;

use rustix::mm::{MapFlags, ProtFlags, mmap};

use crate::Unfit;
use crate::arena::{List, MAPPINGS_MAX};
use crate::base::{Giving, Taken};
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
    /// Bytes that were written into the file.
    pub(crate) written: usize,
    pub(crate) base: Taken,
    /// Which page of the base each page is, plus one; 0 for one of the image's own file.
    of_base: [u32; IMAGE_BYTES_MAX / PAGE],
}

/// Where a page's content is to be had. In the place of the page's entry of pagemap, so that it is one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// It is zeros, as a hole of the file is.
    Nothing,
    /// It has to be written down.
    Own,
    /// This page of the base is the same.
    Base(usize),
}

impl Source {
    fn pack(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Own => 1,
            Self::Base(page) => page as u64 + 2,
        }
    }

    fn unpack(number: u64) -> Self {
        match number {
            0 => Self::Nothing,
            1 => Self::Own,
            page => Self::Base(usize::try_from(page - 2).unwrap_or(usize::MAX)),
        }
    }

    /// Whether the next page is the one that follows in the base.
    fn goes_on(self, next: Self) -> bool {
        matches!((self, next), (Self::Base(page), Self::Base(next)) if page + 1 == next)
    }
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

    /// Make the file for the plan, or take the one that is everybody's.
    fn create(&mut self, giving: &Giving) -> Result<(), Unfit> {
        self.file = match giving.begin() {
            Some(file) => calls::resize(file, self.file_bytes()).map(|()| file),
            None => calls::memory_file(self.file_bytes()),
        }?;
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
        giving: &mut Giving,
    ) -> Result<(), Unfit> {
        self.create(giving)?;
        self.written = 0;
        for index in 0..self.count {
            let Some(region) = self.regions.get(index).copied() else {
                break;
            };
            let mut at = region.start;
            while at < region.end {
                let pages = ((region.end - at) / PAGE).min(entries.len());
                let part = entries.get_mut(..pages).unwrap_or_default();
                calls::read_pagemap(pagemap, at / PAGE, part)?;
                self.find_sources(&region, at, part, is_again);
                self.write_down(&region, at, part)?;
                at += pages * PAGE;
            }
        }
        self.write(self.stack.start, self.stack.length(), self.stack.offset)?;
        let (stack, end) = (self.bytes / PAGE, self.file_bytes() / PAGE);
        self.of_base.get_mut(stack..end).unwrap_or_default().fill(0);
        self.map()?;
        giving.end(self.regions());
        Ok(())
    }

    /// Replace the entries of pagemap, of pages from here on, by where the pages' content is to be had.
    fn find_sources(&self, region: &Region, at: usize, entries: &mut [u64], is_again: bool) {
        for (page, entry) in entries.iter_mut().enumerate() {
            let start = at + page * PAGE;
            let was_touched = *entry >> 62 != 0;
            let is_readable = is_again || !region.is_of_file || was_touched;
            let source = if !was_touched && !region.is_of_file || is_readable && is_zero(start) {
                Source::Nothing
            } else {
                let same = |page: &usize| is_readable && self.is_in_base(start, *page);
                let page = self.base.page_of(start).filter(same);
                page.map_or(Source::Own, Source::Base)
            };
            *entry = source.pack();
        }
        // Each run of the base may become a mapping of its own, and few of its pages are not worth one.
        let mut rest = entries;
        while let Some(first) = rest.first() {
            let run = 1 + rest
                .windows(2)
                .take_while(|pair| matches!(pair, [one, next] if Source::unpack(*one).goes_on(Source::unpack(*next))))
                .count();
            let is_of_base = matches!(Source::unpack(*first), Source::Base(_));
            let (run, behind) = rest.split_at_mut(run);
            if is_of_base && run.len() < BASE_RUN_MIN {
                run.fill(Source::Own.pack());
            }
            rest = behind;
        }
    }

    /// Write pages from here on into the file, neighbours by one call, or where they are.
    fn write_down(&mut self, region: &Region, at: usize, sources: &[u64]) -> Result<(), Unfit> {
        let mut from = at;
        for (page, source) in sources.iter().enumerate() {
            let start = at + page * PAGE;
            let of_base = match Source::unpack(*source) {
                Source::Own | Source::Nothing => 0,
                Source::Base(page) => u32::try_from(page + 1).map_err(|_| Unfit::TooMany)?,
            };
            let number = (region.offset + (start - region.start)) / PAGE;
            *self.of_base.get_mut(number).ok_or(Unfit::TooMany)? = of_base;
            if Source::unpack(*source) != Source::Own {
                self.write_of(region, from, start)?;
                from = start + PAGE;
            }
        }
        self.write_of(region, from, at + sources.len() * PAGE)
    }

    fn is_in_base(&self, start: usize, page: usize) -> bool {
        words(start) == words(self.base.address_of(page))
    }

    /// Runs of this region's pages that the base has: from and to an address, and where the base's file has them.
    pub(crate) fn runs_of_base(
        &self,
        region: &Region,
    ) -> impl Iterator<Item = (usize, usize, usize)> {
        let first = region.offset / PAGE;
        let pages = self.of_base.get(first..first + region.length() / PAGE);
        let mut rest = pages.unwrap_or_default();
        let mut at = region.start;
        std::iter::from_fn(move || {
            let skipped = rest.iter().take_while(|page| **page == 0).count();
            rest = rest.get(skipped..).unwrap_or_default();
            at += skipped * PAGE;
            let page = *rest.first()?;
            let follows = |(number, next): &(u32, &u32)| **next == page + number;
            let run = (0..).zip(rest).take_while(follows).count();
            rest = rest.get(run..).unwrap_or_default();
            let start = at;
            at += run * PAGE;
            Some((start, at, (page as usize - 1) * PAGE))
        })
    }

    fn write_of(&mut self, region: &Region, start: usize, end: usize) -> Result<(), Unfit> {
        self.write(start, end - start, region.offset + (start - region.start))
    }

    fn write(&mut self, start: usize, length: usize, offset: usize) -> Result<(), Unfit> {
        self.written += length;
        // The kernel copies, and answers an error where nothing is mapped.
        calls::write_at(self.file, start as *const c_void, length, offset)
    }

    /// Put back a part of a region of this image.
    pub(crate) fn put_back(&self, part: &Part) {
        let mut done = 0;
        while done < part.length {
            let offset = part.offset + done;
            let length = (PAGE - offset % PAGE).min(part.length - done);
            let (from, to) = (self.address_of(offset), (part.start + done) as *mut u8);
            // SAFETY: the source is the image, which is mapped until the next one is made and armed, and at least as large as the plan (`create`), or a page of the
            // base, which stays mapped. The target is within regions, which are mapped and writable (the module's invariant). The two do not overlap: image and base
            // are shared mappings and so in no region. What Rust holds of the target's bytes are values of code that is not running and that finds them, when it goes
            // on at the checkpoint, as they were then.
            unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to, length) };
            done += length;
        }
    }

    /// Where it is mapped what belongs here.
    fn address_of(&self, offset: usize) -> usize {
        match self.of_base.get(offset / PAGE) {
            None | Some(0) => self.start + offset,
            Some(page) => self.base.address_of(*page as usize - 1) + offset % PAGE,
        }
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
    words(page).iter().all(|word| *word == 0)
}

/// A page of a region that can be read, or of the base.
fn words(page: usize) -> &'static [u64] {
    // SAFETY: it is mapped and readable, and nobody writes it meanwhile: the only other stack stands still, and the base is sealed. The slice is used up before
    // either runs. Where it is of a file, it is not behind its end, as it has been read before.
    unsafe { std::slice::from_raw_parts(page as *const u64, PAGE / size_of::<u64>()) }
}

/// Fewer pages of the base in a row are copied all the same.
const BASE_RUN_MIN: usize = 4;
/// Bytes below its stack pointer that a function may use.
const RED_ZONE: usize = 128;
/// So much of the dead stack stays mapped, as every request needs it: what a script finds there is what PHP itself left.
const STACK_KEPT: usize = 256 * 1024;
