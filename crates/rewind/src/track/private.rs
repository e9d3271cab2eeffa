//! What was written, by whose page it is: each region becomes a private mapping of its part of the image, and a page that was written is
//! the process's own, no longer the file's.
//!
//! Needs /proc/self/pagemap and nothing newer. Pages of which nobody writes are shared by all processes with the same image.

use rustix::mm::{MapFlags, ProtFlags, mmap};

use crate::Unfit;
use crate::calls;
use crate::image::{Image, PAGE, Region};

use super::{Heat, Track};

/// All zeros has no descriptor yet.
#[repr(C)]
pub(super) struct Private {
    pub(super) pagemap: libc::c_int,
    entries: [u64; ENTRIES],
}

impl Private {
    /// The pagemap, and room for its entries.
    pub(super) fn room(&mut self) -> (libc::c_int, &mut [u64]) {
        (self.pagemap, &mut self.entries)
    }
}

impl Track for Private {
    fn arm(&mut self, image: &Image) -> Result<(), Unfit> {
        for region in image.regions() {
            map(region, region.start, region.end, image.file, region.offset)?;
            for (start, end, offset) in image.runs_of_base(region) {
                map(region, start, end, image.base.file, offset)?;
            }
        }
        Ok(())
    }

    fn check(&mut self, _: &Region) -> Result<(), Unfit> {
        // Another mapping is of another file, which the list of mappings tells.
        Ok(())
    }

    fn restore(&mut self, image: &Image, region: &Region, heat: &mut Heat) -> Result<(), Unfit> {
        let mut at = region.start;
        while at < region.end {
            let pages = ((region.end - at) / PAGE).min(ENTRIES);
            let entries = self.entries.get_mut(..pages).unwrap_or_default();
            calls::read_pagemap(self.pagemap, at / PAGE, entries)?;
            let mut cold_from = None;
            for (number, entry) in entries.iter().enumerate() {
                let page = at + number * PAGE;
                let is_written = entry >> 62 != 0 && entry & IS_OF_FILE == 0;
                let is_cold = is_written && !heat.warm(region.offset + (page - region.start));
                if is_written && !is_cold {
                    image.put_back(&region.part(page, page + PAGE));
                }
                match (is_cold, cold_from) {
                    (true, None) => cold_from = Some(page),
                    (false, Some(from)) => {
                        calls::forget_pages(from, page - from)?;
                        cold_from = None;
                    }
                    (true, Some(_)) | (false, None) => {}
                }
            }
            at += pages * PAGE;
            if let Some(from) = cold_from {
                calls::forget_pages(from, at - from)?;
            }
        }
        Ok(())
    }
}

/// Replace a part of a region by a private mapping of what holds the same bytes.
fn map(
    region: &Region,
    start: usize,
    end: usize,
    file: libc::c_int,
    offset: usize,
) -> Result<(), Unfit> {
    let mut protection = ProtFlags::READ | ProtFlags::WRITE;
    protection.set(ProtFlags::EXEC, region.is_executable);
    let flags = MapFlags::PRIVATE | MapFlags::FIXED;
    let (at, file) = (start as *mut _, calls::borrow(file));
    // SAFETY: replaces a part of a region by a private mapping of its part of the image, or of the base, which holds the same bytes: to all code but this the
    // memory is unchanged. The stack that runs is in no region.
    let mapped = unsafe { mmap(at, end - start, protection, flags, file, offset as u64) };
    mapped.map(drop).map_err(Unfit::from)
}

/// Pages that are asked for at once.
const ENTRIES: usize = 4096;
/// Of an entry of pagemap: the page is a file's, or shared.
const IS_OF_FILE: u64 = 1 << 61;
