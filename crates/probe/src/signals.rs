//! Signals to one other process, by every way there is. `prove` sees from outside what became of it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;

use rustix::io::Errno;

use crate::arguments::Arguments;
use crate::call::{call, descriptor};
use crate::outcome::Tried;
use crate::target::target;

/// kill
pub(crate) fn kill(arguments: &Arguments<'_>) -> Tried {
    let (pid, signal) = (target(arguments, 0)?, arguments.number::<i32>(1)?);
    call!(libc::SYS_kill, pid, signal)?;
    Ok(format!("sent signal {signal} to process {pid}"))
}

/// tgkill
pub(crate) fn kill_thread(arguments: &Arguments<'_>) -> Tried {
    let (pid, signal) = (target(arguments, 0)?, arguments.number::<i32>(1)?);
    call!(libc::SYS_tgkill, pid, pid, signal)?;
    Ok(format!("sent signal {signal} to process {pid}"))
}

/// By a descriptor of the process.
pub(crate) fn by_descriptor(arguments: &Arguments<'_>) -> Tried {
    let (pid, signal) = (target(arguments, 0)?, arguments.number::<i32>(1)?);
    let pidfd = descriptor(call!(libc::SYS_pidfd_open, pid, 0)?)?;
    call!(libc::SYS_pidfd_send_signal, &pidfd, signal, 0, 0)?;
    Ok(format!("sent signal {signal} to process {pid}"))
}

/// By way of a socket that tells its owner when it is readable, the owner being the other process.
pub(crate) fn by_socket(arguments: &Arguments<'_>) -> Tried {
    let (pid, signal) = (target(arguments, 0)?, arguments.number::<i32>(1)?);
    let (near, far) = UnixStream::pair()?;
    let number = near.as_raw_fd();
    call!(libc::SYS_fcntl, number, libc::F_SETOWN, pid)?;
    call!(libc::SYS_fcntl, number, F_SETSIG, signal)?;
    call!(libc::SYS_fcntl, number, libc::F_SETFL, libc::O_ASYNC)?;
    std::io::Write::write_all(&mut &far, b"x")?;
    // Whether it arrived is not told to who sent it.
    Ok(format!("had signal {signal} sent to process {pid}"))
}

/// By way of a file that another opens (a lease), which sends to its holder's chosen owner.
pub(crate) fn by_lease(arguments: &Arguments<'_>) -> Tried {
    let (pid, signal) = (target(arguments, 0)?, arguments.number::<i32>(1)?);
    let path = arguments.text(2)?;
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)?;
    let told = lease(&file, pid, signal, path);
    std::fs::remove_file(path)?;
    told?;
    Ok(format!("had signal {signal} sent to process {pid}"))
}

fn lease(file: &File, pid: libc::pid_t, signal: i32, path: &str) -> Result<(), Errno> {
    let number = file.as_raw_fd();
    call!(libc::SYS_fcntl, number, libc::F_SETLEASE, libc::F_WRLCK)?;
    call!(libc::SYS_fcntl, number, libc::F_SETOWN, pid)?;
    call!(libc::SYS_fcntl, number, F_SETSIG, signal)?;
    // This fails as long as the lease is held, and the signal is sent.
    drop(
        File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path),
    );
    Ok(())
}

/// linux/fcntl.h
const F_SETSIG: i32 = 10;
