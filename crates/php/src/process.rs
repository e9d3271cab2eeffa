//! The birth and the end of a worker as a process.
//!
//! Run by the zygote and its workers, as the site's user. A worker is a copy of the zygote, started PHP included, so what is true of
//! the one process must be made true of the other here: its parent, its signals, its end.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, getpid};

use hostel_sys::process::{end_with_parent, thread_count};

/// Fork this process, PHP and all. `None` in the child, which ends with its parent and has no signal blocked.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    let threads = thread_count()?;
    if threads != 1 {
        return Err(io::Error::other("a process with threads must not fork"));
    }
    let parent = getpid().as_raw_nonzero().get().cast_unsigned();
    // SAFETY: this process has one thread, so the child has all that it needs in a sound state.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            if end_with_parent(parent)
                .and_then(|()| unblock_signals())
                .is_err()
            {
                end_process(1);
            }
            Ok(None)
        }
        child => Ok(Pid::from_raw(child)),
    }
}

/// max_execution_time comes by signal, and what a script starts inherits the mask.
fn unblock_signals() -> io::Result<()> {
    let mut none = std::mem::MaybeUninit::uninit();
    // SAFETY: a valid place to write to.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: a set that sigemptyset wrote; the old mask is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) } {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

static FORKED_CHILD: AtomicBool = AtomicBool::new(false);

/// From here on, know a child of this process by [`is_forked_child`]. Asking for the process id each time would do the same at the
/// price of a system call. A child that a script makes behind the C library's back is told from the worker by the front alone.
///
/// # Errors
/// No memory.
pub(crate) fn notice_forks() -> io::Result<()> {
    extern "C" fn in_child() {
        FORKED_CHILD.store(true, Ordering::Relaxed);
    }
    // SAFETY: the handler stays where it is, and does what is allowed after a fork.
    match unsafe { libc::pthread_atfork(None, None, Some(in_child)) } {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Whether this process was forked by a script and so is not the worker itself.
pub(crate) fn is_forked_child() -> bool {
    FORKED_CHILD.load(Ordering::Relaxed)
}

/// From here on the C library takes memory from the end of the heap alone, much at a time, and gives none of it back: what was mapped at a
/// checkpoint must be so at each rewind, and what was not has to be undone. To be called before anything large is taken, which would be a mapping of its own
/// and move when it grows.
pub(crate) fn keep_heap() {
    for (what, value) in [
        (libc::M_TRIM_THRESHOLD, libc::c_int::MAX),
        (libc::M_MMAP_MAX, 0),
        (libc::M_TOP_PAD, HEAP_MORE_BYTES),
    ] {
        // SAFETY: takes numbers. Where it does not take one, a worker ends that could have gone on.
        unsafe { libc::mallopt(what, value) };
    }
}

/// What there is of the heap beyond what is used. Pages of it that nobody touches cost nothing.
pub(crate) const HEAP_MORE_BYTES: libc::c_int = 4 << 20;

/// End at once, without what the C library and PHP's modules do at an exit: they would do it for the worker too.
pub(crate) fn end_process(status: i32) -> ! {
    // SAFETY: ends the process; needs nothing.
    unsafe { libc::_exit(status) }
}
