//! Becoming another program without ending: descriptors and a message go from the old program to the new one of the same process.
//!
//! Run by the monitor as root, whose children stay its children. The old program says which descriptors stay open, in a sealed file
//! whose number is the new one's last argument; the new one takes them over before anything else and closes all others. It trusts
//! whoever started it, which can give it anything, as far as it must: each descriptor is taken once and is close-on-exec from then on.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::{FdFlags, fcntl_setfd};

use crate::{memory_file, process};

/// Become the program at `path`, with one more argument: where it finds what is handed on. Standard input, output and errors stay.
/// Returns only if that failed, and everything is as before.
pub fn become_program(
    path: &Path,
    arguments: &[&OsStr],
    environment: &[CString],
    message: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Error {
    match prepared(path, arguments, message, descriptors) {
        Ok((path, arguments, file)) => {
            let all = || descriptors.iter().map(AsRawFd::as_raw_fd);
            let keep = |flags| {
                all()
                    .chain([file.as_raw_fd()])
                    .try_for_each(|number| set_flags(number, flags))
            };
            let outcome = keep(FdFlags::empty()).map(|()| execute(&path, &arguments, environment));
            // Should it not be possible, children are still given no more than is meant for them: see `child` and `spawn`.
            let _ = keep(FdFlags::CLOEXEC);
            outcome.unwrap_or_else(|error| error)
        }
        Err(error) => error,
    }
}

/// What was handed on under this number: the message, of at most `bytes_max`, and the descriptors in their order. All other descriptors
/// but standard input, output and errors are closed. To be called at the start of `main`, before anything owns a descriptor.
///
/// # Errors
/// `InvalidData` where it is not what [`become_program`] has made; else the kernel's.
pub fn take(number: RawFd, bytes_max: usize) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let file = adopt(number)?;
    let content = memory_file::read(file, bytes_max)?;
    let (count, rest) = content.split_first_chunk().ok_or_else(invalid)?;
    let count = u32::from_le_bytes(*count) as usize;
    let length = count.checked_mul(size_of::<RawFd>()).ok_or_else(invalid)?;
    let (numbers, message) = rest.split_at_checked(length).ok_or_else(invalid)?;
    let numbers: Vec<RawFd> = numbers
        .as_chunks()
        .0
        .iter()
        .map(|bytes| RawFd::from_le_bytes(*bytes))
        .collect();
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != numbers.len() || sorted.first().is_some_and(|least| *least < FIRST) {
        return Err(invalid());
    }
    let kept: Vec<RawFd> = (0..FIRST).chain(sorted).collect();
    process::close_all_but(&kept)?;
    let descriptors = numbers.into_iter().map(adopt).collect::<io::Result<_>>()?;
    Ok((message.to_vec(), descriptors))
}

fn prepared(
    path: &Path,
    arguments: &[&OsStr],
    message: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<(CString, Vec<CString>, OwnedFd)> {
    let text = |text: &OsStr| CString::new(text.as_bytes());
    let count = u32::try_from(descriptors.len()).map_err(io::Error::other)?;
    let mut content = count.to_le_bytes().to_vec();
    for descriptor in descriptors {
        content.extend(descriptor.as_raw_fd().to_le_bytes());
    }
    content.extend(message);
    let file = memory_file::write(&content)?;
    let mut all = Vec::new();
    for argument in arguments {
        all.push(text(argument)?);
    }
    all.push(CString::new(file.as_raw_fd().to_string())?);
    Ok((text(path.as_os_str())?, all, file))
}

fn execute(path: &CString, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        let strings = strings.iter().map(|string| string.as_ptr());
        strings.chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: terminated strings and lists that end in null, all of them alive until it returns, which it does only if it failed.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

fn set_flags(number: RawFd, flags: FdFlags) -> io::Result<()> {
    // SAFETY: the caller's caller borrows it from its owner, or owns it.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(fcntl_setfd(descriptor, flags)?)
}

/// Take over a descriptor that this process was started with.
fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: asks about a number; that it may be no descriptor is what is asked.
    if number < FIRST || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // SAFETY: it is open, and nothing in this process owns it yet: `take` is called first, and takes each number once.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
    Ok(descriptor)
}

/// The first descriptor behind standard input, output and errors.
const FIRST: RawFd = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_program_that_is_missing_changes_nothing() {
        let (reader, _writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let path = Path::new("/nonexistent/program");
        let error = become_program(path, &["x".as_ref()], &[], b"state", &[reader.as_fd()]);
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let flags = rustix::io::fcntl_getfd(&reader).unwrap();
        assert!(flags.contains(FdFlags::CLOEXEC));
    }

    #[test]
    fn what_was_not_handed_on_is_not_taken() {
        for number in [0, 1_000_000] {
            let error = take(number, 100).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }
}
