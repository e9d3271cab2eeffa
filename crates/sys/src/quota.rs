//! Project quotas: bounds on what is in a directory tree, whoever owns it, which ext4 and xfs hold where they are mounted with
//! `prjquota`.
//!
//! Used by the monitor as root to bound homes and temporary files, and by `hostel audit` and `check` to ask. A directory is given a
//! project's number, which what is made in it inherits. An owner could change the number of its own files: sites are
//! denied the calls for it (`sandbox`). It walks nothing: what was in a directory before stays uncounted.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::cred::Uid;

/// What of a site is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    /// Its home.
    Home,
    /// Its /tmp, /var/tmp, sessions and OPcache's files.
    Temporary,
}

/// The project of a site's tree: 1,000,000,000 (home) or 2,000,000,000 (temporary files) and the number of the site's user; `None`
/// for users of 1,000,000,000 and more. Sites that share a user share its projects.
pub fn project(tree: Tree, uid: Uid) -> Option<u32> {
    let first = match tree {
        Tree::Home => RANGE,
        Tree::Temporary => 2 * RANGE,
    };
    (uid.0 < RANGE).then(|| first + uid.0)
}

/// Whether the file system on which this is holds projects to their bounds. One that cannot be asked does not.
pub fn is_enforced(file: impl AsFd) -> bool {
    let mut state = State::default();
    let answer = control(file, Q_XGETQSTAT, 0, &mut state);
    answer.is_ok() && state.flags & PROJECTS_ENFORCED != 0
}

/// The same for a path, whose last component is not followed if it is a link.
pub fn is_enforced_at(path: &Path) -> bool {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).is_ok_and(is_enforced)
}

/// Hold a site's home to so many bytes, or to none any more, and its temporary files, in directories of one file system, together.
/// Returns whether the kernel bounds the latter: where it does not, for whatever reason, somebody else has to look after them.
/// Descriptors may be path-only.
///
/// # Errors
/// The home is to be bounded, there are quotas, and they could not be set; EPERM without CAP_FOWNER and CAP_SYS_ADMIN.
pub fn bound(
    uid: Uid,
    home: (BorrowedFd<'_>, Option<u64>),
    temporary: (&[BorrowedFd<'_>], u64),
) -> io::Result<bool> {
    hold(Tree::Home, uid, &[home.0], home.1)?;
    Ok(hold(Tree::Temporary, uid, temporary.0, Some(temporary.1)).unwrap_or(false))
}

/// Returns whether the kernel bounds it from now on.
fn hold(
    tree: Tree,
    uid: Uid,
    directories: &[BorrowedFd<'_>],
    bytes_max: Option<u64>,
) -> io::Result<bool> {
    let (Some(project), Some(first)) = (project(tree, uid), directories.first()) else {
        return Ok(false);
    };
    if !is_enforced(first) {
        return Ok(false);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    for directory in directories {
        let directory = openat(directory, ".", flags, Mode::empty())?;
        if bytes_max.is_some() {
            put_into(&directory, project)?;
        } else if project_of(&directory)? != Some(project) {
            return Ok(false);
        }
    }
    limit(first, project, bytes_max.unwrap_or(0))?;
    Ok(bytes_max.is_some())
}

/// The project of a directory; `None` where there is none that what is made in it would inherit.
///
/// # Errors
/// The file system has no projects, or the descriptor is a path only.
pub fn project_of(directory: impl AsFd) -> io::Result<Option<u32>> {
    let attributes = Attributes::of(&directory)?;
    let is_inherited = attributes.flags & INHERITED != 0 && attributes.project != 0;
    Ok(is_inherited.then_some(attributes.project))
}

/// Give a directory a project, which all that is made in it from now on inherits.
///
/// # Errors
/// The kernel's; EPERM without CAP_FOWNER, if somebody else owns it.
fn put_into(directory: impl AsFd, project: u32) -> io::Result<()> {
    let attributes = Attributes::of(&directory)?;
    if attributes.flags & INHERITED != 0 && attributes.project == project {
        return Ok(());
    }
    let changed = Attributes {
        flags: attributes.flags | INHERITED,
        project,
        ..attributes
    };
    let descriptor = directory.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open, and the kernel reads a structure of this size.
    match unsafe { libc::ioctl(descriptor, FS_IOC_FSSETXATTR, &raw const changed) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Bound a project on the file system of `file`, in bytes and in files: one for each 16 KiB, as ext4 has them, but not fewer
/// than ten thousand. 0 takes both bounds away.
///
/// # Errors
/// The kernel's; EPERM without CAP_SYS_ADMIN.
fn limit(file: impl AsFd, project: u32, bytes: u64) -> io::Result<()> {
    let files = match bytes {
        0 => 0,
        _ => (bytes / BYTES_PER_FILE).max(FILES_MIN),
    };
    let mut bounds = Bounds {
        block_hard: bytes.div_ceil(QUOTA_BLOCK),
        file_hard: files,
        valid: VALID_LIMITS,
        ..Bounds::default()
    };
    control(file, Q_SETQUOTA, project, &mut bounds)
}

/// What a project has on the file system of `file`, in bytes, and its bound, 0 for none.
///
/// # Errors
/// The kernel's; EPERM without CAP_SYS_ADMIN.
pub fn usage(file: impl AsFd, project: u32) -> io::Result<(u64, u64)> {
    let mut bounds = Bounds::default();
    control(file, Q_GETQUOTA, project, &mut bounds)?;
    Ok((bounds.bytes, bounds.block_hard.saturating_mul(QUOTA_BLOCK)))
}

fn control<T>(file: impl AsFd, command: u32, project: u32, data: &mut T) -> io::Result<()> {
    let command = libc::c_long::from((command << 8) | PROJECTS);
    let (file, data) = (file.as_fd().as_raw_fd(), std::ptr::from_mut(data));
    // SAFETY: the descriptor is open; each command comes with the structure that the kernel reads and fills for it.
    match unsafe { libc::syscall(libc::SYS_quotactl_fd, file, command, project, data) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// linux/fs.h: `struct fsxattr`.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    copy_extent_size: u32,
    padding: [u8; 8],
}

impl Attributes {
    fn of(file: impl AsFd) -> io::Result<Self> {
        let mut attributes = Self::default();
        let descriptor = file.as_fd().as_raw_fd();
        // SAFETY: the descriptor is open, and the kernel fills a structure of this size.
        match unsafe { libc::ioctl(descriptor, FS_IOC_FSGETXATTR, &raw mut attributes) } {
            0 => Ok(attributes),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// linux/quota.h: `struct if_dqblk`.
#[repr(C)]
#[derive(Debug, Default)]
struct Bounds {
    block_hard: u64,
    block_soft: u64,
    bytes: u64,
    file_hard: u64,
    file_soft: u64,
    files: u64,
    block_time: u64,
    file_time: u64,
    valid: u32,
}

/// linux/dqblk_xfs.h: `struct fs_quota_stat`.
#[repr(C)]
#[derive(Debug, Default)]
struct State {
    version: i8,
    flags: u16,
    padding: i8,
    users: [u64; 3],
    groups: [u64; 3],
    in_memory: u32,
    times: [i32; 3],
    warnings: [u16; 2],
}

/// Users' numbers from here on have no project.
const RANGE: u32 = 1_000_000_000;
const FILES_MIN: u64 = 10_000;
const BYTES_PER_FILE: u64 = 16 * 1024;
/// What the kernel counts a bound in.
const QUOTA_BLOCK: u64 = 1024;
const PROJECTS: u32 = 2;
const Q_GETQUOTA: u32 = 0x0080_0007;
const Q_SETQUOTA: u32 = 0x0080_0008;
const Q_XGETQSTAT: u32 = 0x5805;
/// Of [`Bounds::valid`]: both bounds, and nothing else.
const VALID_LIMITS: u32 = 1 | 4;
/// Of [`State::flags`].
const PROJECTS_ENFORCED: u16 = 1 << 5;
/// Of [`Attributes::flags`].
const INHERITED: u32 = 0x200;
const FS_IOC_FSGETXATTR: libc::c_ulong = 0x801c_581f;
const FS_IOC_FSSETXATTR: libc::c_ulong = 0x401c_5820;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_as_large_as_the_kernels() {
        assert_eq!(size_of::<Attributes>(), 28);
        assert_eq!(size_of::<Bounds>(), 72);
        assert_eq!(size_of::<State>(), 80);
    }

    #[test]
    fn each_user_has_projects_of_its_own() {
        assert_eq!(project(Tree::Home, Uid(1000)), Some(1_000_001_000));
        assert_eq!(project(Tree::Temporary, Uid(1000)), Some(2_000_001_000));
        assert_eq!(project(Tree::Home, Uid(999_999_999)), Some(1_999_999_999));
        assert_eq!(project(Tree::Temporary, Uid(RANGE)), None);
    }

    #[test]
    fn what_has_no_quotas_enforces_none() {
        let proc = std::fs::File::open("/proc").unwrap();
        assert!(!is_enforced(&proc));
        assert!(project_of(&proc).is_err());
        assert!(limit(&proc, 1_000_000_001, 1).is_err());
    }
}
