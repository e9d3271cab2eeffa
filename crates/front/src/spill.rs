//! Unnamed temporary files in the one directory where the front may create anything.
//!
//! Used for bodies of requests and answers that are too large for memory. The directory is a descriptor that the monitor
//! opened; the files never have a name (O_TMPFILE), so nothing is left behind however the front ends. What one site may have in
//! them is a [`Share`]; who fills a file claims each byte of it first.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::{Mode, OFlags, openat};

use crate::supply::Taken;

/// The body of a request, taken in whole.
#[derive(Debug)]
pub enum Body {
    /// None.
    Empty,
    /// In memory.
    Memory {
        /// All of it.
        bytes: Vec<u8>,
        /// What it takes of the memory that sites share.
        taken: Taken,
    },
    /// In a spill file, from its beginning.
    Spilled {
        /// The file, open for reading and writing.
        file: File,
        /// How many bytes of it are the body.
        length: u64,
        /// What it takes of the site's share.
        claim: Claim,
    },
}

impl Body {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Memory { bytes, .. } => bytes.len() as u64,
            Self::Spilled { length, .. } => *length,
        }
    }
}

/// What one site may have in spill files, all of them together.
#[derive(Debug)]
pub struct Share {
    bytes: Cell<u64>,
    bytes_max: u64,
}

/// A part of a [`Share`]: what one file takes. Given back when it is dropped.
#[derive(Debug)]
pub struct Claim {
    share: Rc<Share>,
    bytes: u64,
}

impl Share {
    /// A share of so many bytes, none of them taken.
    pub fn new(bytes_max: u64) -> Rc<Self> {
        Rc::new(Self {
            bytes: Cell::new(0),
            bytes_max,
        })
    }

    /// A claim of nothing yet.
    pub fn claim(self: &Rc<Self>) -> Claim {
        Claim {
            share: Rc::clone(self),
            bytes: 0,
        }
    }

    /// The bytes that are taken.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// The most that may be taken.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }
}

impl Claim {
    /// Make it so many bytes, unless it is larger already. `false`, and nothing has changed, where the share has not so many left.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes) else {
            return true;
        };
        let taken = self.share.bytes.get().saturating_add(more);
        if taken > self.share.bytes_max {
            return false;
        }
        self.share.bytes.set(taken);
        self.bytes = bytes;
        true
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let left = self.share.bytes.get().saturating_sub(self.bytes);
        self.share.bytes.set(left);
    }
}

/// The spill directory.
#[derive(Debug)]
pub struct Spill {
    directory: OwnedFd,
}

impl Spill {
    /// Files will be made in this directory.
    pub fn new(directory: OwnedFd) -> Self {
        Self { directory }
    }

    /// A new file without a name, for reading and writing.
    ///
    /// # Errors
    /// The kernel's: no space or inodes left, too many open files, a file system without O_TMPFILE.
    pub fn create(&self) -> io::Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(openat(&self.directory, ".", flags, mode)?.into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    #[test]
    fn a_spill_file_has_no_name() {
        let directory = File::open(std::env::temp_dir()).unwrap();
        let file = Spill::new(directory.into()).create().unwrap();
        file.write_all_at(b"x", 0).unwrap();
        assert_eq!(file.metadata().unwrap().nlink(), 0);
    }

    #[test]
    fn a_share_is_given_out_once_and_given_back() {
        let share = Share::new(10);
        let (mut one, mut other) = (share.claim(), share.claim());
        assert!(one.grow_to(6) && one.grow_to(3) && other.grow_to(4));
        assert!(!one.grow_to(7) && !other.grow_to(u64::MAX));
        assert_eq!(share.bytes(), 10);
        drop(one);
        assert!(other.grow_to(10));
        drop(other);
        assert_eq!(share.bytes(), 0);
    }

    #[test]
    fn no_directory_is_an_error() {
        let file = File::open("/proc/self/status").unwrap();
        assert!(Spill::new(file.into()).create().is_err());
    }
}
