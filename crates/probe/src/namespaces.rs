//! Namespaces of one's own, and those of others.

use std::fs::File;
use std::os::fd::AsRawFd;

use rustix::io::Errno;

use crate::arguments::Arguments;
use crate::call::{call, end, ended, errno};
use crate::outcome::{Outcome, Tried};

/// Leave a namespace for a new one.
pub(crate) fn unshare(arguments: &Arguments<'_>) -> Tried {
    let (flag, name) = kind(arguments)?;
    call!(libc::SYS_unshare, flag)?;
    Ok(format!("is in a new {name} namespace"))
}

/// A child in a new namespace, by clone.
pub(crate) fn clone(arguments: &Arguments<'_>) -> Tried {
    let (flag, name) = kind(arguments)?;
    // SAFETY: without a stack and CLONE_VM this is a fork; there is one thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flag | libc::SIGCHLD, 0, 0, 0, 0) };
    child(pid, name)
}

/// A child in a new namespace, by clone3, whose flags no filter can see.
pub(crate) fn clone3(arguments: &Arguments<'_>) -> Tried {
    let (flag, name) = kind(arguments)?;
    // flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls
    let mut settings = [0_u64; 8];
    settings[0] = u64::from(flag.cast_unsigned());
    settings[4] = u64::from(libc::SIGCHLD.cast_unsigned());
    // SAFETY: 1. the settings are valid for their size; 2. without a stack and CLONE_VM this is a fork; there is one thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, settings.as_ptr(), size_of_val(&settings)) };
    child(pid, name)
}

fn child(pid: libc::c_long, name: &str) -> Tried {
    match libc::pid_t::try_from(pid) {
        Ok(-1) => Err(errno().into()),
        Ok(0) => end(0),
        Ok(pid) => {
            ended(pid)?;
            Ok(format!("had a child in a new {name} namespace"))
        }
        Err(error) => Err(Outcome::Impossible(error.to_string())),
    }
}

/// Enter the namespace of a file such as /proc/1/ns/mnt.
pub(crate) fn enter(arguments: &Arguments<'_>) -> Tried {
    let path = arguments.text(0)?;
    let file = File::open(path)?;
    call!(libc::SYS_setns, file.as_raw_fd(), 0)?;
    Ok(format!("is in {path}"))
}

/// The way by which most holes in the kernel are reached: root in a user namespace, and there a mount.
pub(crate) fn user_root(_: &Arguments<'_>) -> Tried {
    // SAFETY: both only ask.
    let (uid, gid) = (unsafe { libc::getuid() }, unsafe { libc::getgid() });
    call!(libc::SYS_unshare, libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    // In the new namespace's own copy of the mounts, which ends with this program.
    call!(libc::SYS_mount, c"none", c"/tmp", c"tmpfs", 0, 0)?;
    Ok("is root in a user namespace and has mounted a file system".to_owned())
}

fn kind<'a>(arguments: &'a Arguments<'_>) -> Result<(i32, &'a str), Outcome> {
    let name = arguments.text(0)?;
    let flag = match name {
        "user" => libc::CLONE_NEWUSER,
        "mount" => libc::CLONE_NEWNS,
        "pid" => libc::CLONE_NEWPID,
        "network" => libc::CLONE_NEWNET,
        "ipc" => libc::CLONE_NEWIPC,
        "uts" => libc::CLONE_NEWUTS,
        "cgroup" => libc::CLONE_NEWCGROUP,
        _ => return Err(Errno::INVAL.into()),
    };
    Ok((flag, name))
}
