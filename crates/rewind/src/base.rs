//! What several processes that are forked from one hold alike, written down once.
//!
//! Who forks makes a [`Base`] and all that it forks inherit it: a file in memory, and a table that says which address it has where. The first child that takes a checkpoint
//! with it gives its image to it ([`crate::Share::Gives`]) and seals it. Each later one maps it, read-only, and its own image holds only what differs.
//!
//! Table and file are open to writing until then, so they are for children whose code is known. A child that takes a base copies the table and lets go of it, before it runs
//! anybody else's.

use std::fmt;
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use crate::arena::MAPPINGS_MAX;
use crate::image::{PAGE, Region};
use crate::{Unfit, calls};

/// One that may be given to, or taken, by each process that inherits it. What is not taken is closed.
pub struct Base {
    table: NonNull<Table>,
    file: OwnedFd,
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Base").finish_non_exhaustive()
    }
}

/// In memory that processes share. All zeros is an empty one.
#[repr(C)]
struct Table {
    /// How many regions there are; the last thing that is written.
    count: AtomicUsize,
    regions: [Region; MAPPINGS_MAX],
}

impl Base {
    /// An empty one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create() -> io::Result<Self> {
        let (hint, bytes) = (std::ptr::null_mut(), size_of::<Table>());
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping where the kernel chooses, so it lies over nothing else.
        let start = unsafe { mmap_anonymous(hint, bytes, protection, MapFlags::SHARED) }?;
        let table = NonNull::new(start.cast::<Table>()).ok_or(io::ErrorKind::OutOfMemory)?;
        let file = calls::memory_file(0)?;
        // SAFETY: just made, and nobody else has it.
        let file = unsafe { OwnedFd::from_raw_fd(file) };
        Ok(Self { table, file })
    }

    /// Its file, to write an image into, and where to say what it has.
    pub(crate) fn give(self) -> Giving {
        let table = self.table;
        Giving {
            file: self.into_file(),
            table: Some(table),
        }
    }

    /// Copy what it has. An empty one has nothing.
    pub(crate) fn take(self, into: &mut Taken) -> Result<(), Unfit> {
        // SAFETY: mapped as long as this is there; its writer, which is another process, has ended with the count.
        let table = unsafe { self.table.as_ref() };
        let count = table.count.load(Ordering::Acquire);
        let given = table.regions.get(..count).unwrap_or_default();
        let Some(last) = given.last() else {
            return Ok(());
        };
        let bytes = last.offset + last.length();
        if let Some(room) = into.regions.get_mut(..count) {
            room.copy_from_slice(given);
        }
        let (hint, flags) = (std::ptr::null_mut(), MapFlags::SHARED);
        // SAFETY: a new mapping where the kernel chooses, so it lies over nothing else.
        let start = unsafe { mmap(hint, bytes, ProtFlags::READ, flags, &self.file, 0) };
        into.start = start.map_err(Unfit::from)? as usize;
        into.count = count;
        self.unmap();
        into.file = calls::raise(self.into_file())?;
        Ok(())
    }

    fn unmap(&self) {
        // SAFETY: its own mapping, of which nobody keeps a reference.
        let unmapped = unsafe { munmap(self.table.as_ptr().cast(), size_of::<Table>()) };
        // The kernel refuses only what is no mapping.
        debug_assert!(unmapped.is_ok(), "the table was mapped");
    }

    fn into_file(self) -> libc::c_int {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: moved out of what is not dropped.
        unsafe { std::ptr::read(&raw const this.file) }.into_raw_fd()
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        self.unmap();
    }
}

/// An image that is to be everybody's. All zeros is none.
#[repr(C)]
pub(crate) struct Giving {
    pub(crate) file: libc::c_int,
    table: Option<NonNull<Table>>,
}

impl Giving {
    /// The file for the image, once.
    pub(crate) fn begin(&self) -> Option<libc::c_int> {
        self.table.map(|_| self.file)
    }

    /// Say what it has, now that it is written and sealed.
    pub(crate) fn end(&mut self, regions: &[Region]) {
        let Some(mut table) = self.table.take() else {
            return;
        };
        // SAFETY: a process gives once, it is the only one that was told to, and nobody reads before there is a count.
        let table = unsafe { table.as_mut() };
        if let Some(room) = table.regions.get_mut(..regions.len()) {
            room.copy_from_slice(regions);
            table.count.store(regions.len(), Ordering::Release);
        }
    }
}

/// What was taken. All zeros is nothing.
#[repr(C)]
pub(crate) struct Taken {
    pub(crate) start: usize,
    pub(crate) file: libc::c_int,
    count: usize,
    regions: [Region; MAPPINGS_MAX],
}

impl Taken {
    /// Which page of it was at this address.
    pub(crate) fn page_of(&self, address: usize) -> Option<usize> {
        let regions = self.regions.get(..self.count).unwrap_or_default();
        let index = regions.partition_point(|region| region.end <= address);
        let region = regions.get(index)?;
        let offset = region.offset + address.checked_sub(region.start)?;
        Some(offset / PAGE)
    }

    /// Where this page of it is mapped.
    pub(crate) fn address_of(&self, page: usize) -> usize {
        self.start + page * PAGE
    }
}
