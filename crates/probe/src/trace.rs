//! Into the memory and descriptors of another process.

use std::fs;
use std::io::IoSlice;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::arguments::Arguments;
use crate::call::{call, descriptor, errno, in_child, structure};
use crate::outcome::{Tried, WrongOnPurpose};
use crate::target::target;

/// Become its tracer; the kernel lets go of it when this program ends, and it is not stopped meanwhile.
pub(crate) fn seize(arguments: &Arguments<'_>) -> Tried {
    let pid = target(arguments, 0)?;
    call!(libc::SYS_ptrace, i64::from(libc::PTRACE_SEIZE), pid, 0, 0)?;
    Ok(format!("traces process {pid}"))
}

/// Be traced by one's parent, by which set-uid programs were tricked (CVE-2019-13272).
pub(crate) fn trace_me(_: &Arguments<'_>) -> Tried {
    in_child(|| call!(libc::SYS_ptrace, i64::from(libc::PTRACE_TRACEME), 0, 0, 0).map(drop))?;
    Ok("made its parent its tracer".to_owned())
}

/// Read from an address that nothing is mapped at.
pub(crate) fn vm_read(arguments: &Arguments<'_>) -> Tried {
    vm(arguments, libc::SYS_process_vm_readv)
}

/// Write to an address that nothing is mapped at.
pub(crate) fn vm_write(arguments: &Arguments<'_>) -> Tried {
    vm(arguments, libc::SYS_process_vm_writev)
}

fn vm(arguments: &Arguments<'_>, number: libc::c_long) -> Tried {
    let pid = target(arguments, 0)?;
    let own = [0; 8];
    let local = [IoSlice::new(&own)];
    let remote = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(NOTHING_MAPPED),
        iov_len: own.len(),
    };
    // SAFETY: both lists have one entry; the other process has nothing at its address, so nothing is copied to or from here.
    let answer = unsafe { libc::syscall(number, pid, local.as_ptr(), 1, &raw const remote, 1, 0) };
    let answer = if answer == -1 {
        Err(errno())
    } else {
        Ok(answer)
    };
    answer.passed_with(&[Errno::FAULT], "copied")
}

/// Open its memory for writing.
pub(crate) fn open_memory(arguments: &Arguments<'_>) -> Tried {
    let path = format!("/proc/{}/mem", target(arguments, 0)?);
    fs::File::options().read(true).write(true).open(&path)?;
    Ok(format!("opened {path} for writing"))
}

/// Take a copy of its descriptor 0.
pub(crate) fn take_descriptor(arguments: &Arguments<'_>) -> Tried {
    let pid = target(arguments, 0)?;
    let pidfd = descriptor(call!(libc::SYS_pidfd_open, pid, 0)?)?;
    let taken = descriptor(call!(libc::SYS_pidfd_getfd, &pidfd, 0, 0)?)?;
    Ok(format!("has its descriptor 0, {}", shown(&taken)))
}

/// Compare kernel addresses with it.
pub(crate) fn compare(arguments: &Arguments<'_>) -> Tried {
    let (pid, own) = (target(arguments, 0)?, std::process::id());
    let answer = call!(libc::SYS_kcmp, own, pid, KCMP_VM, 0, 0)?;
    Ok(format!("its memory compares as {answer}"))
}

/// Open the program that it runs for writing, as runc's hole did (CVE-2019-5736). Nothing is written.
pub(crate) fn open_program(arguments: &Arguments<'_>) -> Tried {
    let path = format!("/proc/{}/exe", target(arguments, 0)?);
    let opened = fs::File::options().write(true).open(&path);
    let answer = opened.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
    // A program that runs cannot be written just now; who is told so may write it a moment later.
    answer.passed_with(&[Errno::TXTBSY], "opened it for writing")
}

/// Change its resource limits to what they are.
pub(crate) fn change_limits(arguments: &Arguments<'_>) -> Tried {
    let pid = target(arguments, 0)?;
    let mut limits = structure(&[0; 4]);
    let resource = i64::from(libc::RLIMIT_NOFILE);
    call!(libc::SYS_prlimit64, pid, resource, 0, &mut limits[..])?;
    call!(libc::SYS_prlimit64, pid, resource, &limits[..], 0)?;
    Ok(format!("sets the limits of process {pid}"))
}

fn shown(descriptor: &OwnedFd) -> String {
    use std::os::fd::AsRawFd;
    let link = fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
    link.map_or_else(|error| error.to_string(), |path| path.display().to_string())
}

/// In the first page, which nobody can map without a privilege.
const NOTHING_MAPPED: usize = 16;
/// linux/kcmp.h
const KCMP_VM: i32 = 1;
