//! Mounting, by the old calls and the new, and out of the root directory.
//!
//! Nothing is left mounted: what could be is given a file system that does not exist, or a place that is no mount.

use std::fs::File;
use std::os::fd::AsRawFd;

use rustix::io::Errno;

use crate::arguments::Arguments;
use crate::call::{call, descriptor};
use crate::outcome::{Tried, WrongOnPurpose};

/// Mount a kind of file system that does not exist.
pub(crate) fn mount(_: &Arguments<'_>) -> Tried {
    let answer = call!(libc::SYS_mount, c"none", c"/", c"hostel-probe", 0, 0);
    answer.passed_with(&[Errno::NODEV], "mounted")
}

/// Unmount what is no mount.
pub(crate) fn unmount(_: &Arguments<'_>) -> Tried {
    let answer = call!(libc::SYS_umount2, c"/proc/self/", libc::UMOUNT_NOFOLLOW);
    answer.passed_with(&[Errno::INVAL], "unmounted")
}

/// A context for a new file system.
pub(crate) fn open_file_system(_: &Arguments<'_>) -> Tried {
    descriptor(call!(libc::SYS_fsopen, c"tmpfs", 0)?)?;
    Ok("may make a file system".to_owned())
}

/// A detached copy of the root's mounts.
pub(crate) fn open_tree(_: &Arguments<'_>) -> Tried {
    let copy = i64::from(libc::OPEN_TREE_CLONE);
    descriptor(call!(libc::SYS_open_tree, libc::AT_FDCWD, c"/", copy)?)?;
    Ok("has a copy of the mounts".to_owned())
}

/// Move a mount from nowhere to nowhere.
pub(crate) fn move_mount(_: &Arguments<'_>) -> Tried {
    let answer = call!(libc::SYS_move_mount, -1, c"", -1, c"", 0);
    answer.passed_with(&[Errno::NOENT, Errno::BADF], "moved")
}

/// Change nothing about a mount.
pub(crate) fn set_attributes(_: &Arguments<'_>) -> Tried {
    let nothing = [0_u8; 32];
    let size = i64::try_from(nothing.len()).unwrap_or(0);
    call!(
        libc::SYS_mount_setattr,
        libc::AT_FDCWD,
        c"/",
        0,
        &nothing[..],
        size
    )?;
    Ok("may change mounts".to_owned())
}

/// Another root for the whole namespace, to a directory that does not exist.
pub(crate) fn pivot_root(_: &Arguments<'_>) -> Tried {
    let missing = c"/hostel-probe-is-not-there";
    call!(libc::SYS_pivot_root, missing, missing).passed_with(&[Errno::NOENT], "changed")
}

/// The first step out of a chroot: one more chroot.
pub(crate) fn chroot(_: &Arguments<'_>) -> Tried {
    call!(libc::SYS_chroot, c"/")?;
    Ok("may change its root directory".to_owned())
}

/// Open the root of the file system that a path is on by its number, past every directory (the hole named Shocker).
pub(crate) fn open_by_handle(arguments: &Arguments<'_>) -> Tried {
    let directory = File::open(arguments.text(0)?)?;
    // struct file_handle: length, kind (inode and generation), inode 2 of any generation, which on ext4 is its root.
    let mut handle = [0_u8; 16];
    for (place, word) in handle.chunks_exact_mut(4).zip([8_u32, 1, 2, 0]) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    let flags = libc::O_PATH;
    let answer = call!(
        libc::SYS_open_by_handle_at,
        directory.as_raw_fd(),
        &handle[..],
        flags
    );
    if let Ok(opened) = answer {
        descriptor(opened)?;
    }
    // Not every file system understands such a number, but it is asked only of those who may.
    answer.passed_with(
        &[Errno::STALE, Errno::OPNOTSUPP, Errno::INVAL],
        "opened the root of the file system",
    )
}

/// The number under which a file can be opened without its path.
pub(crate) fn handle_of(arguments: &Arguments<'_>) -> Tried {
    let path = arguments.path(0)?;
    // struct file_handle with room for 8 bytes, which is a good deal on most file systems.
    let mut handle = [0_u8; 16];
    handle[..4].copy_from_slice(&8_u32.to_ne_bytes());
    let mut mount = [0_u8; 4];
    let answer = call!(
        libc::SYS_name_to_handle_at,
        libc::AT_FDCWD,
        path.as_c_str(),
        &mut handle[..],
        &mut mount[..],
        0
    );
    answer.passed_with(&[Errno::OVERFLOW, Errno::OPNOTSUPP], "has its number")
}
