//! Mounts that hang nowhere yet: made by descriptor, filled, and attached later.
//!
//! Used by [`view`](crate::view) in the monitor, as root. It trusts its callers' paths and descriptors; it changes nothing
//! that anybody sees until the child of a spawn attaches what was made here inside its own mount namespace.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, open_tree,
};

use crate::cred::{Gid, Uid};

/// What may be done through a mount. No mount of a view lets set-user-id programs work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read, write and run; no devices.
    Write,
    /// Read and run; no devices.
    Read,
    /// Read only, no programs, no devices.
    ReadData,
    /// A device.
    Device,
    /// Terminals, which are read, written and set.
    Terminal,
    /// All that the host has: what stands in for a view where a test leaves it out.
    #[cfg(feature = "controls")]
    Host,
}

impl Access {
    fn attributes(self) -> MountAttrFlags {
        let (read_only, no_exec, no_dev) = (
            MountAttrFlags::MOUNT_ATTR_RDONLY,
            MountAttrFlags::MOUNT_ATTR_NOEXEC,
            MountAttrFlags::MOUNT_ATTR_NODEV,
        );
        let more = match self {
            Self::Write => no_dev,
            Self::Read => read_only | no_dev,
            Self::ReadData => read_only | no_exec | no_dev,
            Self::Device => read_only | no_exec,
            Self::Terminal => no_exec,
            #[cfg(feature = "controls")]
            Self::Host => return MountAttrFlags::empty(),
        };
        MountAttrFlags::MOUNT_ATTR_NOSUID | more
    }
}

/// Whether what is mounted beneath a directory comes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// This file system only.
    One,
    /// Whatever the administrator mounted beneath it too.
    All,
}

/// A second mount of the file or directory at `path` of the host, symbolic links followed. For paths that root alone controls.
pub(crate) fn copy_path(path: &Path, access: Access, depth: Depth) -> io::Result<OwnedFd> {
    let mount = open_tree(CWD, path, tree_flags(depth))?;
    set_attributes(&mount, access.attributes(), depth)?;
    Ok(mount)
}

/// A second mount of the file or directory that `descriptor` is.
pub(crate) fn copy_descriptor(
    descriptor: impl AsFd,
    access: Access,
    depth: Depth,
) -> io::Result<OwnedFd> {
    let flags = tree_flags(depth) | OpenTreeFlags::AT_EMPTY_PATH;
    let mount = open_tree(descriptor, c"", flags)?;
    set_attributes(&mount, access.attributes(), depth)?;
    Ok(mount)
}

/// An empty file system in memory, of `bytes` and `inodes` at most, its top directory owned by `owner` with `mode` (octal).
pub(crate) fn memory(
    bytes: u64,
    inodes: u64,
    owner: (Uid, Gid),
    mode: &CStr,
) -> io::Result<OwnedFd> {
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let set = |key: &CStr, value: u64| {
        fsconfig_set_string(context.as_fd(), key, value.to_string().as_str())
    };
    set(c"size", bytes)?;
    set(c"nr_inodes", inodes)?;
    set(c"uid", owner.0.0.into())?;
    set(c"gid", owner.1.0.into())?;
    fsconfig_set_string(context.as_fd(), c"mode", mode)?;
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Ok(fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// A file system of terminals, for one terminal that belongs to `owner`; none but root can make another one in it.
pub(crate) fn terminals(owner: (Uid, Gid)) -> io::Result<OwnedFd> {
    let context = fsopen(c"devpts", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let set = |key: &CStr, value: &str| fsconfig_set_string(context.as_fd(), key, value);
    set(c"uid", owner.0.0.to_string().as_str())?;
    set(c"gid", owner.1.0.to_string().as_str())?;
    set(c"mode", "0600")?;
    set(c"ptmxmode", "0600")?;
    set(c"max", "1")?;
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Ok(fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// From now on nothing can be written through this mount.
pub(crate) fn make_read_only(mount: impl AsFd) -> io::Result<()> {
    set_attributes(mount, MountAttrFlags::MOUNT_ATTR_RDONLY, Depth::One)
}

fn tree_flags(depth: Depth) -> OpenTreeFlags {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    match depth {
        Depth::One => flags,
        Depth::All => flags | OpenTreeFlags::AT_RECURSIVE,
    }
}

/// Add attributes, and cut the mount off from others that the host has of the same thing: without that, something that is
/// mounted or unmounted there would appear or vanish here.
fn set_attributes(mount: impl AsFd, attributes: MountAttrFlags, depth: Depth) -> io::Result<()> {
    let settings = libc::mount_attr {
        attr_set: attributes.bits().into(),
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: 0,
    };
    let depth = match depth {
        Depth::One => 0,
        Depth::All => libc::AT_RECURSIVE,
    };
    // SAFETY: the descriptor is open, the path is a terminated string and the settings are valid for their size.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | depth,
            &raw const settings,
            size_of_val(&settings),
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
