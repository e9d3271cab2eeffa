//! Memory that outlives a rewind: shared memory is nobody's state.
//!
//! Run by a worker. It is shared with what a script forks, too, and native code of a site's may write it: whoever reads it believes it no
//! further than its own site.

use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// A type of which any bytes are a value.
///
/// # Safety
/// There must be no bytes that are none: numbers and lists of numbers are such types.
pub(crate) unsafe trait AnyBytes {}

/// One value, of which all bytes are zeros at first.
pub(crate) struct Outliving<T> {
    value: NonNull<T>,
}

impl<T: AnyBytes> Outliving<T> {
    pub(crate) fn new() -> std::io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let hint = std::ptr::null_mut();
        // SAFETY: a new mapping where the kernel chooses, so it lies over nothing else.
        let start = unsafe { mmap_anonymous(hint, size_of::<T>(), protection, MapFlags::SHARED) }?;
        let value = NonNull::new(start.cast()).ok_or(std::io::ErrorKind::OutOfMemory)?;
        Ok(Self { value })
    }

    /// Use it. Not across a rewind.
    pub(crate) fn with<R>(&mut self, work: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the mapping is as large, aligned to a page, lives for ever, and any bytes are a value. This process has one thread, and
        // `self` is borrowed, so nobody else has a reference.
        work(unsafe { self.value.as_mut() })
    }
}
