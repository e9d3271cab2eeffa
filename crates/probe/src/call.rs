//! System calls as they are, with no library between that would refuse or mend what an attack asks for.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use crate::outcome::Outcome;

/// One argument of a system call.
#[derive(Debug)]
pub(crate) enum Argument<'a> {
    Number(i64),
    /// Memory that the kernel reads.
    Read(&'a [u8]),
    /// Memory that the kernel writes.
    Write(&'a mut [u8]),
}

/// One system call with up to six arguments; those that are not given are 0.
///
/// No call that maps, unmaps or forks is made through it, and every buffer is as long as its call needs.
pub(crate) fn system_call<const COUNT: usize>(
    number: libc::c_long,
    arguments: [Argument<'_>; COUNT],
) -> Result<i64, Errno> {
    let mut raw = [0_i64; 6];
    for (place, argument) in raw.iter_mut().zip(arguments) {
        *place = match argument {
            Argument::Number(number) => number,
            Argument::Read(bytes) => bytes.as_ptr().expose_provenance().cast_signed() as i64,
            Argument::Write(bytes) => bytes.as_mut_ptr().expose_provenance().cast_signed() as i64,
        };
    }
    let [a, b, c, d, e, f] = raw;
    // SAFETY: pointers are those of slices that live until the call has returned; see above for what they are used for.
    match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
        -1 => Err(errno()),
        answer => Ok(answer),
    }
}

/// The errno of the last call.
pub(crate) fn errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// The descriptor that a call has just answered.
pub(crate) fn descriptor(answer: i64) -> Result<OwnedFd, Outcome> {
    match RawFd::try_from(answer) {
        // SAFETY: the kernel has just made it, and nothing else owns it.
        Ok(number) if number >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
        _ => Err(Outcome::Impossible(format!("{answer} is no descriptor"))),
    }
}

/// Run in a child, for what may end its process or must be done by a second one. The child's end tells how it went.
pub(crate) fn in_child(run: impl FnOnce() -> Result<(), Errno>) -> Result<(), Outcome> {
    // SAFETY: this program has one thread wherever it calls this.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(errno().into()),
        0 => {
            let status = run().map_or_else(Errno::raw_os_error, |()| 0);
            end(status)
        }
        pid => ended(pid),
    }
}

/// End this process at once, without anything that would be done at its end.
pub(crate) fn end(status: i32) -> ! {
    // SAFETY: ends the process; nothing of it runs any more.
    unsafe { libc::_exit(status) }
}

/// Wait for a child of [`in_child`]'s kind.
pub(crate) fn ended(pid: libc::pid_t) -> Result<(), Outcome> {
    let mut status = 0;
    // SAFETY: the status is written to where it points.
    if unsafe { libc::waitpid(pid, &raw mut status, 0) } == -1 {
        return Err(errno().into());
    }
    match (libc::WIFSIGNALED(status), libc::WEXITSTATUS(status)) {
        (true, _) => Err(Outcome::Killed(libc::WTERMSIG(status))),
        (false, 0) => Ok(()),
        (false, errno) => Err(Outcome::Refused(Errno::from_raw_os_error(errno))),
    }
}

impl<'a> From<&'a CStr> for Argument<'a> {
    fn from(text: &'a CStr) -> Self {
        Self::Read(text.to_bytes_with_nul())
    }
}

impl<'a> From<&'a [u8]> for Argument<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Read(bytes)
    }
}

impl<'a> From<&'a mut [u8]> for Argument<'a> {
    fn from(bytes: &'a mut [u8]) -> Self {
        Self::Write(bytes)
    }
}

impl From<&OwnedFd> for Argument<'_> {
    fn from(descriptor: &OwnedFd) -> Self {
        Self::Number(descriptor.as_raw_fd().into())
    }
}

macro_rules! numbers {
    ($($kind:ty)*) => {$(
        impl From<$kind> for Argument<'_> {
            fn from(number: $kind) -> Self {
                Self::Number(number.into())
            }
        }
    )*};
}

numbers!(i32 u32 i64);

/// `call!(number, argument, …)`.
macro_rules! call {
    ($number:expr $(, $argument:expr)* $(,)?) => {
        $crate::call::system_call($number, [$($crate::call::Argument::from($argument)),*])
    };
}
pub(crate) use call;

/// Numbers one after the other, as a C structure of such numbers has them.
pub(crate) fn structure(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}
