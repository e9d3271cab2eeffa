//! What a process says about itself to the kernel: not to be looked into, to end with its parent, which descriptors it keeps.
//!
//! Run by every program, as the first acts of `main`. It trusts nothing and undoes nothing.

use std::io;
use std::os::fd::RawFd;

use rustix::process::{
    DumpableBehavior, Signal, dumpable_behavior, getppid, set_dumpable_behavior,
    set_parent_process_death_signal,
};

use crate::layers::{Layer, Layers};

/// Make this process unreadable to others of its user: no ptrace, no core file, `/proc/PID` owned by root.
///
/// Exec resets this, so each program does it first.
///
/// # Errors
/// The kernel's.
pub fn set_non_dumpable() -> io::Result<()> {
    if !Layers::of_process().has(Layer::NonDumpable) {
        return Ok(());
    }
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Do something for which the kernel asks that the process is dumpable, such as to open its own /proc/self/pagemap; afterwards it is what it
/// was. Meanwhile others of its user may reach it, as far as Landlock and the filter of system calls let them, so this belongs before
/// anything that they should not have.
///
/// # Errors
/// The kernel's; the process has to end then.
pub fn while_dumpable<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    let before = dumpable_behavior()?;
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    let done = work();
    set_dumpable_behavior(before)?;
    Ok(done)
}

/// The process id of the parent; 0 where the parent is outside of this process namespace, or this process has none.
pub fn parent() -> u32 {
    getppid().map_or(0, |pid| pid.as_raw_nonzero().get().cast_unsigned())
}

/// Be killed when the parent ends, and fail if it already has.
///
/// `parent` is who the parent should be: its own id taken before the fork, or what [`parent`] said at the start of `main` (0
/// for process 1 of a namespace, whose parent is outside). A change of user clears the request, so it comes after it. It holds for
/// the thread of the parent that forked, which in all of Hostel's programs that fork is the only one.
///
/// # Errors
/// `NotFound` when the parent is gone; then the only right answer is to end.
pub fn end_with_parent(parent: u32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before the request; then the kernel has given this process another one.
    if self::parent() == parent {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the parent process has ended",
        ))
    }
}

/// How many threads this process has. Needs /proc.
///
/// # Errors
/// /proc is not mounted or not readable.
pub fn thread_count() -> io::Result<usize> {
    let mut count = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        task?;
        count += 1;
    }
    Ok(count)
}

/// Close every descriptor of this process but those in `keep`, whatever opened them.
///
/// To be called at the start of `main`, before anything owns a descriptor: one that an `OwnedFd` holds would be closed
/// beneath it.
///
/// # Errors
/// The kernel's, which has close_range since 5.9.
pub fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut kept: Vec<u32> = keep
        .iter()
        .filter_map(|fd| u32::try_from(*fd).ok())
        .collect();
    kept.sort_unstable();
    kept.dedup();
    let mut first = 0;
    for fd in kept {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = fd + 1;
    }
    close_range(first, u32::MAX)
}

/// Forget every variable of the environment but those in `keep`.
///
/// # Errors
/// `InvalidInput` when the process has more than one thread, of which another could be reading the environment.
pub fn clear_environment(keep: &[&str]) -> io::Result<()> {
    if thread_count()? != 1 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the environment can be cleared by a process with one thread only",
        ));
    }
    for (name, _) in std::env::vars_os() {
        if !keep.iter().any(|kept| name == *kept) {
            // SAFETY: there is no other thread.
            unsafe { std::env::remove_var(name) };
        }
    }
    Ok(())
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: closes descriptors that, as the only caller demands of its own callers, nothing owns yet.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_counted() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || receiver.recv());
        assert!(thread_count().unwrap() >= 2);
        drop(sender);
        assert!(thread.join().unwrap().is_err());
    }

    #[test]
    fn a_wrong_parent_is_a_parent_that_is_gone() {
        // In a thread of its own: the request holds for the thread's process, and the next call takes it back.
        let error = end_with_parent(u32::MAX).unwrap_err();
        set_parent_process_death_signal(None).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
