//! Unnamed temporary files in the one directory where the front may create anything.
//!
//! Used for bodies of requests and answers that are too large for memory. The directory is a descriptor that the monitor
//! opened; the files never have a name (O_TMPFILE), so nothing is left behind however the front ends. It deliberately sets no
//! bound: those are the site's, kept by who fills the file.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, openat};

/// The body of a request, taken in whole.
#[derive(Debug)]
pub enum Body {
    /// None.
    Empty,
    /// In memory.
    Memory(Vec<u8>),
    /// In a spill file, from its beginning.
    Spilled {
        /// The file, open for reading and writing.
        file: File,
        /// How many bytes of it are the body.
        length: u64,
    },
}

impl Body {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Spilled { length, .. } => *length,
        }
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
    fn no_directory_is_an_error() {
        let file = File::open("/proc/self/status").unwrap();
        assert!(Spill::new(file.into()).create().is_err());
    }
}
