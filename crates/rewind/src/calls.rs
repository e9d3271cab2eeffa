//! System calls that no library makes safe, one function each, without allocation and without a lock: they are called from the second stack.
//!
//! What each does to this process stands with it. They write memory of the arena alone, where they are handed a slice or a value of it, or of the
//! stack that runs; and the C library's errno, which is put back like everything else.

use std::ffi::c_void;
use std::os::fd::BorrowedFd;

use crate::Unfit;

/// `struct sigaction` as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub(crate) struct Action([u64; 4]);

pub(crate) fn open(path: &std::ffi::CStr, flags: libc::c_int) -> Result<libc::c_int, Unfit> {
    // SAFETY: the path is a string.
    check(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) })
}

/// Where the descriptors of this crate stand.
pub(crate) fn high_numbers() -> Result<u64, Unfit> {
    let limit = limit_of(libc::RLIMIT_NOFILE)?[0].min(DESCRIPTORS_END);
    limit.checked_sub(DESCRIPTORS_OWN).ok_or(Unfit::TooMany)
}

/// Give a descriptor one of the highest numbers.
pub(crate) fn raise(number: libc::c_int) -> Result<libc::c_int, Unfit> {
    let from = libc::c_int::try_from(high_numbers()?).map_err(|_| Unfit::TooMany)?;
    // SAFETY: takes numbers.
    let raised = check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, from) })?;
    close(number);
    Ok(raised)
}

/// Let nothing else have a number as high, and nobody raise the limit again (`posix_setrlimit` of PHP).
pub(crate) fn lower_limit() -> Result<(), Unfit> {
    set_limit(libc::RLIMIT_NOFILE, [high_numbers()?; 2])
}

/// Say why, and end: memory is neither what it was nor what it should be.
pub(crate) fn end(why: &std::ffi::CStr) -> ! {
    // SAFETY: a string of this length.
    unsafe { libc::write(2, why.as_ptr().cast(), why.count_bytes()) };
    // SAFETY: ends the process; needs nothing.
    unsafe { libc::_exit(EXIT_STATUS) }
}

pub(crate) fn check(result: libc::c_int) -> Result<libc::c_int, Unfit> {
    if result < 0 {
        Err(Unfit::Kernel(last()))
    } else {
        Ok(result)
    }
}

pub(crate) fn checked(result: libc::c_long) -> Result<usize, Unfit> {
    usize::try_from(result).map_err(|_| Unfit::Kernel(last()))
}

pub(crate) fn last() -> libc::c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// A descriptor of this crate's, for as long as the process lives.
pub(crate) fn borrow(number: libc::c_int) -> BorrowedFd<'static> {
    // SAFETY: it is never closed: a rewind ends the process where one of those is missing.
    unsafe { BorrowedFd::borrow_raw(number) }
}

pub(crate) fn close(number: libc::c_int) {
    // SAFETY: takes a number, of a descriptor that the caller has opened and nobody else knows.
    unsafe { libc::close(number) };
}

pub(crate) fn ioctl<T>(number: libc::c_int, what: u64, argument: *mut T) -> Result<usize, Unfit> {
    // SAFETY: each call of this passes the structure that belongs to the number, of linux/fs.h or linux/userfaultfd.h. What they do to
    // memory: they read what is mapped, and protect pages, which nobody but the kernel sees.
    checked(unsafe { libc::syscall(libc::SYS_ioctl, number, what, argument) })
}

pub(crate) fn read_at(number: libc::c_int, into: &mut [u8], at: usize) -> Result<usize, Unfit> {
    let offset = libc::off_t::try_from(at).unwrap_or(libc::off_t::MAX);
    // SAFETY: the kernel writes into the slice, at most as long as it is.
    let count = unsafe { libc::pread(number, into.as_mut_ptr().cast(), into.len(), offset) };
    usize::try_from(count).map_err(|_| Unfit::Kernel(last()))
}

/// Entries of these pages, from this page on.
pub(crate) fn read_pagemap(
    number: libc::c_int,
    page: usize,
    into: &mut [u64],
) -> Result<(), Unfit> {
    let length = size_of_val(into);
    let offset = libc::off_t::try_from(page * 8).unwrap_or(libc::off_t::MAX);
    // SAFETY: the kernel writes numbers into the slice, at most as long as it is.
    let count = unsafe { libc::pread(number, into.as_mut_ptr().cast(), length, offset) };
    if usize::try_from(count) == Ok(length) {
        Ok(())
    } else {
        Err(Unfit::Kernel(last()))
    }
}

/// Write bytes of this process's memory, which need not be anybody's, into a file.
pub(crate) fn write_at(
    number: libc::c_int,
    mut from: *const c_void,
    mut length: usize,
    mut at: usize,
) -> Result<(), Unfit> {
    while length > 0 {
        let offset = libc::off_t::try_from(at).unwrap_or(libc::off_t::MAX);
        // SAFETY: the kernel reads, and answers an error where nothing can be read.
        let count = unsafe { libc::pwrite(number, from, length, offset) };
        let count = usize::try_from(count).map_err(|_| Unfit::Kernel(last()))?;
        if count == 0 {
            return Err(Unfit::Kernel(libc::EIO));
        }
        from = from.wrapping_byte_add(count);
        length -= count;
        at += count;
    }
    Ok(())
}

/// A file in memory of this size.
pub(crate) fn memory_file(bytes: usize) -> Result<libc::c_int, Unfit> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a string.
    let file = check(unsafe { libc::memfd_create(c"hostel-image".as_ptr(), flags) })?;
    resize(file, bytes)?;
    Ok(file)
}

/// Let a file in memory, which nobody has mapped, have this size.
pub(crate) fn resize(file: libc::c_int, bytes: usize) -> Result<(), Unfit> {
    let length = libc::off_t::try_from(bytes).map_err(|_| Unfit::TooMany)?;
    // SAFETY: takes numbers.
    check(unsafe { libc::ftruncate(file, length) })?;
    Ok(())
}

/// From here on nobody changes it.
pub(crate) fn seal(file: libc::c_int) -> Result<(), Unfit> {
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | F_SEAL_FUTURE_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: takes numbers.
    check(unsafe { libc::fcntl(file, libc::F_ADD_SEALS, seals) })?;
    Ok(())
}

/// Let go of private pages: what is read there next is the file's content, or zeros.
pub(crate) fn forget_pages(start: usize, length: usize) -> Result<(), Unfit> {
    // SAFETY: the pages are of a region whose file is the image, which so gets its content back; or of the stack below what is alive.
    check(unsafe { libc::madvise(start as *mut c_void, length, libc::MADV_DONTNEED) })?;
    Ok(())
}

/// Take a mapping away that was not there at the checkpoint, or an image's that has been replaced.
pub(crate) fn unmap(start: usize, end: usize) -> Result<(), Unfit> {
    // SAFETY: the request that is over has mapped it, or it is an image that no region is put back from; no code runs that knows of it.
    check(unsafe { libc::munmap(start as *mut c_void, end - start) })?;
    Ok(())
}

pub(crate) fn status_of(number: libc::c_int) -> Result<libc::stat, Unfit> {
    let mut found = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the kernel writes one.
    check(unsafe { libc::fstat(number, found.as_mut_ptr()) })?;
    // SAFETY: it has, and zeros were one before.
    Ok(unsafe { found.assume_init() })
}

/// Set the end of the heap, or with 0 ask for it.
pub(crate) fn set_break(end: usize) -> usize {
    // SAFETY: shrinks to what was the end at the checkpoint; who had what is beyond does not run any more.
    let there = unsafe { libc::syscall(libc::SYS_brk, end) };
    usize::try_from(there).unwrap_or(0)
}

pub(crate) fn close_range(from: u32, end: u32) -> Result<(), Unfit> {
    if from >= end {
        return Ok(());
    }
    // SAFETY: takes numbers; what is in this range, the request has opened.
    let closed = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            from,
            end - u32::from(end != u32::MAX),
            0,
        )
    };
    checked(closed).map(drop)
}

pub(crate) fn set_mask(mask: u64) -> Result<u64, Unfit> {
    let mut before = 0_u64;
    let how = libc::SIG_SETMASK;
    // SAFETY: two sets of the size that is named. The C library's own function would leave its two signals out.
    checked(unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            how,
            &raw const mask,
            &raw mut before,
            size_of::<u64>(),
        )
    })?;
    Ok(before)
}

/// Let others run, for a tenth of a millisecond.
pub(crate) fn pause() {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 100_000,
    };
    // SAFETY: the kernel reads a time. Where it is interrupted, the pause was shorter.
    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
}

pub(crate) fn pending() -> Result<u64, Unfit> {
    let mut set = 0_u64;
    // SAFETY: the kernel writes a set of the size that is named.
    checked(unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut set, size_of::<u64>()) })?;
    Ok(set)
}

pub(crate) fn action_of(signal: libc::c_int) -> Result<Action, Unfit> {
    let mut action = Action::default();
    let none = std::ptr::null::<Action>();
    // SAFETY: the kernel writes one of its own structures.
    checked(unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            none,
            &raw mut action,
            size_of::<u64>(),
        )
    })?;
    Ok(action)
}

pub(crate) fn set_action(signal: libc::c_int, action: &Action) -> Result<(), Unfit> {
    let none = std::ptr::null_mut::<Action>();
    // SAFETY: the kernel reads what it has written at the checkpoint.
    checked(unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            std::ptr::from_ref(action),
            none,
            size_of::<u64>(),
        )
    })?;
    Ok(())
}

pub(crate) fn alternate_stack(set: Option<[usize; 3]>) -> Result<[usize; 3], Unfit> {
    let mut before = [0; 3];
    let new = set
        .as_ref()
        .map_or(std::ptr::null(), |stack| stack.as_ptr());
    // SAFETY: a stack_t is three words; one that is set is as the kernel gave it, and its memory is back as well.
    checked(unsafe { libc::syscall(libc::SYS_sigaltstack, new, before.as_mut_ptr()) })?;
    Ok(before)
}

pub(crate) fn limit_of(resource: u32) -> Result<[u64; 2], Unfit> {
    let mut limit = [0; 2];
    let none = std::ptr::null::<u64>();
    // SAFETY: the kernel writes two numbers.
    checked(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, none, limit.as_mut_ptr()) })?;
    Ok(limit)
}

pub(crate) fn set_limit(resource: u32, limit: [u64; 2]) -> Result<(), Unfit> {
    let none = std::ptr::null_mut::<u64>();
    // SAFETY: the kernel reads two numbers.
    let set = unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, limit.as_ptr(), none) };
    checked(set).map(drop)
}

pub(crate) fn affinity(into: &mut [u8]) -> Result<(), Unfit> {
    // SAFETY: the kernel writes at most as many bytes.
    let asked = unsafe {
        libc::syscall(
            libc::SYS_sched_getaffinity,
            0,
            into.len(),
            into.as_mut_ptr(),
        )
    };
    checked(asked).map(drop)
}

pub(crate) fn set_affinity(set: &[u8]) -> Result<(), Unfit> {
    // SAFETY: the kernel reads as many bytes.
    let set = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, set.len(), set.as_ptr()) };
    checked(set).map(drop)
}

/// Faults of this process, whose threads have ended, and of children that were waited for.
pub(crate) fn faults() -> Result<[u64; 2], Unfit> {
    let mut counted = [0; 2];
    for (who, sum) in [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN]
        .into_iter()
        .zip(&mut counted)
    {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the kernel writes one.
        check(unsafe { libc::getrusage(who, usage.as_mut_ptr()) })?;
        // SAFETY: it has, and zeros were one before.
        let usage = unsafe { usage.assume_init() };
        *sum = usage
            .ru_minflt
            .wrapping_add(usage.ru_majflt)
            .cast_unsigned();
    }
    Ok(counted)
}

pub(crate) fn timer_is_set(which: libc::c_int) -> Result<bool, Unfit> {
    let mut value = [0_i64; 4];
    // SAFETY: a struct itimerval is four numbers.
    checked(unsafe { libc::syscall(libc::SYS_getitimer, which, value.as_mut_ptr()) })?;
    Ok(value != [0; 4])
}

pub(crate) fn stop_timer(which: libc::c_int) -> Result<(), Unfit> {
    let none = std::ptr::null_mut::<i64>();
    // SAFETY: a struct itimerval is four numbers.
    checked(unsafe { libc::syscall(libc::SYS_setitimer, which, [0_i64; 4].as_ptr(), none) })?;
    Ok(())
}

/// So many numbers below the limit are for descriptors of this crate.
pub(crate) const DESCRIPTORS_OWN: u64 = 16;
/// A higher limit is lowered to this: the usual one, and with higher numbers the kernel's table of descriptors, which each fork copies and
/// each rewind looks through, would be as long.
const DESCRIPTORS_END: u64 = 1024;
/// Of a process whose rewind failed in the middle.
const EXIT_STATUS: libc::c_int = 70;
/// linux/fcntl.h: no new way to write.
const F_SEAL_FUTURE_WRITE: libc::c_int = 0x10;
