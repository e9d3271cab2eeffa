//! A file in memory that holds a message too large for a packet: written once, sealed, passed as a descriptor.
//!
//! Run by monitor and command line. Who reads one trusts nothing about it: it must be sealed, so that it cannot change or
//! shrink while it is read, and it has a bound.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};

/// A sealed file with this content, to be read from its beginning.
///
/// # Errors
/// The kernel's: no memory, no descriptor.
pub fn write(content: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("message", flags)?);
    file.write_all(content)?;
    file.rewind()?;
    fcntl_add_seals(&file, SEALS)?;
    Ok(file.into())
}

/// The whole content of a sealed file.
///
/// # Errors
/// `InvalidData` where it is not a sealed file in memory, or holds more than `bytes_max`; else the kernel's.
pub fn read(file: OwnedFd, bytes_max: usize) -> io::Result<Vec<u8>> {
    // A file of another kind has no seals to be asked for.
    if !fcntl_get_seals(&file).is_ok_and(|seals| seals.contains(SEALS)) {
        return Err(invalid("it is not a sealed file in memory"));
    }
    let mut file = File::from(file);
    if file.metadata()?.len() > bytes_max as u64 {
        return Err(invalid("it is larger than allowed"));
    }
    let mut content = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut content)?;
    Ok(content)
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

const SEALS: SealFlags = SealFlags::WRITE
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_cannot_be_changed() {
        let file = write(b"hello").unwrap();
        let mut other = File::from(file.try_clone().unwrap());
        assert!(other.write_all(b"x").is_err());
        assert_eq!(read(file, 5).unwrap(), b"hello");
    }

    #[test]
    fn what_is_not_sealed_or_too_large_is_refused() {
        let kind = |file, bytes_max| read(file, bytes_max).unwrap_err().kind();
        let large = write(b"hello").unwrap();
        assert_eq!(kind(large, 4), io::ErrorKind::InvalidData);
        let open = memfd_create("open", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        assert_eq!(kind(open, 4), io::ErrorKind::InvalidData);
        let other = File::open("/dev/null").unwrap();
        assert_eq!(kind(other.into(), 4), io::ErrorKind::InvalidData);
    }
}
