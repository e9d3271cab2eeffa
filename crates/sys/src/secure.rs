//! Directories that root alone can change, and what stands in them: made where missing, refused where somebody else could write.
//!
//! Used by the monitor as root. Everything beneath such a directory is reached by descriptor and never through a symbolic
//! link, so that no path can change between a look and its use. A directory may belong to a user; it is opened
//! then, and nothing in it is looked at.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    FileType, FlockOperation, Mode, OFlags, fchmod, fchown, flock, fstat, mkdir, mkdirat, open,
    openat,
};
use rustix::io::Errno;

use crate::cred::{Gid, Uid};

/// Why a directory or file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecureError {
    /// The kernel refused something.
    #[error("cannot {action} {}", path.display())]
    Failed {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// It belongs to somebody else.
    #[error("{} belongs to user {owner}, not to {expected} (hint: chown it, or move it away)", path.display())]
    Owner {
        /// What.
        path: PathBuf,
        /// Whom it belongs to.
        owner: u32,
        /// Whom it should belong to.
        expected: Uid,
    },
    /// Others than root can change what is in it.
    #[error("{} can be written by others (mode {mode:04o}; hint: chmod go-w)", path.display())]
    Writable {
        /// What.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is a pipe, a device, or the like.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// What.
        path: PathBuf,
    },
    /// Another process holds its lock.
    #[error("another instance runs with {} (hint: stop it first, or give this one its own)", path.display())]
    InUse {
        /// What.
        path: PathBuf,
    },
}

/// An open directory and its path, for messages.
#[derive(Debug)]
pub struct Directory {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// A directory of root's that others cannot write, made with its parents where it is missing.
    ///
    /// # Errors
    /// See [`SecureError`].
    pub fn open(path: &Path) -> Result<Self, SecureError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failed("make", parent, error))?;
        }
        match mkdir(path, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed("make", path, error)),
        }
        let descriptor =
            open(path, DIRECTORY, Mode::empty()).map_err(|error| failed("open", path, error))?;
        let directory = Self {
            descriptor,
            path: path.to_owned(),
        };
        directory.check(Uid::ROOT)?;
        Ok(directory)
    }

    /// A directory in this one that belongs to `uid`, made with group and mode where it is missing.
    ///
    /// # Errors
    /// See [`SecureError`].
    pub fn beneath(&self, name: &str, uid: Uid, gid: Gid, mode: u32) -> Result<Self, SecureError> {
        let path = self.path.join(name);
        let is_new = match mkdirat(&self.descriptor, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(failed("make", &path, error)),
        };
        let descriptor = openat(&self.descriptor, name, DIRECTORY, Mode::empty())
            .map_err(|error| failed("open", &path, error))?;
        let directory = Self { descriptor, path };
        if is_new || directory.was_left_by_its_maker(uid) {
            give(&directory.descriptor, uid, gid, mode)
                .map_err(|error| failed("set owner and mode of", &directory.path, error))?;
        }
        directory.check(uid)?;
        Ok(directory)
    }

    /// Whether it is what somebody who was killed between making it and giving it away has left: root's own, which nobody else can write, and empty.
    fn was_left_by_its_maker(&self, uid: Uid) -> bool {
        let is_roots = fstat(&self.descriptor)
            .is_ok_and(|status| status.st_uid == 0 && status.st_mode & 0o022 == 0);
        let mut entries = rustix::fs::Dir::read_from(&self.descriptor)
            .into_iter()
            .flatten();
        let is_dot = |name: &std::ffi::CStr| name == c"." || name == c"..";
        uid != Uid::ROOT
            && is_roots
            && entries.all(|entry| entry.is_ok_and(|entry| is_dot(entry.file_name())))
    }

    /// Give a directory of root's to this group.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_group(&self, gid: Gid) -> Result<(), SecureError> {
        let gid = rustix::fs::Gid::from_raw(gid.0);
        fchown(&self.descriptor, None, Some(gid))
            .map_err(|error| failed("change the group of", &self.path, error))
    }

    /// A regular file of root's in this directory, opened for appending; made where it is missing; readable by the group.
    ///
    /// # Errors
    /// See [`SecureError`].
    pub fn append_to(&self, name: &str, gid: Gid) -> Result<OwnedFd, SecureError> {
        let path = self.path.join(name);
        let flags = OFlags::WRONLY
            | OFlags::APPEND
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::CLOEXEC;
        let file = openat(&self.descriptor, name, flags, Mode::from_raw_mode(0o640))
            .map_err(|error| failed("open", &path, error))?;
        let status = fstat(&file).map_err(|error| failed("look at", &path, error))?;
        if !FileType::from_raw_mode(status.st_mode).is_file() {
            return Err(SecureError::NotAFile { path });
        }
        give(&file, Uid::ROOT, gid, 0o640)
            .map_err(|error| failed("set owner and mode of", &path, error))?;
        Ok(file)
    }

    /// Lock this directory against other processes that do the same, for as long as it is open.
    ///
    /// # Errors
    /// `InUse` when another process has the lock.
    pub fn lock(&self) -> Result<(), SecureError> {
        match flock(&self.descriptor, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(()),
            Err(Errno::WOULDBLOCK) => Err(SecureError::InUse {
                path: self.path.clone(),
            }),
            Err(error) => Err(failed("lock", &self.path, error)),
        }
    }

    /// Its path, for messages and for what takes paths only.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The descriptor alone.
    pub fn into_descriptor(self) -> OwnedFd {
        self.descriptor
    }

    /// Who owns it, and that root's have no other writers. What a user does with the mode of its own is its own affair.
    fn check(&self, expected: Uid) -> Result<(), SecureError> {
        let status =
            fstat(&self.descriptor).map_err(|error| failed("look at", &self.path, error))?;
        let path = self.path.clone();
        if status.st_uid != expected.0 {
            return Err(SecureError::Owner {
                path,
                owner: status.st_uid,
                expected,
            });
        }
        if expected == Uid::ROOT && status.st_mode & 0o022 != 0 {
            let mode = status.st_mode & 0o7777;
            return Err(SecureError::Writable { path, mode });
        }
        Ok(())
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The mode is set while the file is root's own, which needs no right over files of others.
fn give(file: impl AsFd, uid: Uid, gid: Gid, mode: u32) -> Result<(), Errno> {
    let (root, user) = (Uid::ROOT.0, uid.0);
    let gid = Some(rustix::fs::Gid::from_raw(gid.0));
    fchown(&file, Some(rustix::fs::Uid::from_raw(root)), gid)?;
    fchmod(&file, Mode::from_raw_mode(mode))?;
    if user == root {
        return Ok(());
    }
    fchown(&file, Some(rustix::fs::Uid::from_raw(user)), None)
}

fn failed(action: &'static str, path: &Path, source: impl Into<io::Error>) -> SecureError {
    SecureError::Failed {
        action,
        path: path.to_owned(),
        source: source.into(),
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
