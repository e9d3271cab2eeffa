//! The way from `/` to a file, walked by hand: who else can write the directories on it, and whose the links on it are.
//!
//! Run by keeper and worker, as the site's user in the site's view, about paths that somebody else may change meanwhile. Whoever can
//! write a directory can put a link or a renamed file of the site's own there, and so choose what visitors are shown and
//! which script runs: that the file belongs to the site does not help. Each step is a descriptor, so what was judged is what is used.
//! Judged is home and what is beneath it: the view has nothing else that another user can write. It reads no file.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, fstatfs, getxattr, openat, readlinkat};
use rustix::io::Errno;

use crate::beneath;
use crate::cred::{Gid, Uid};

/// Whose the directories and links on a way may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The site's user. Root may own and write everything too.
    pub user: Uid,
    /// Its group.
    pub group: Gid,
    /// Whether no other site's user is in that group.
    pub group_is_own: bool,
    /// Whether everybody else is trusted as the user is: nothing is judged then.
    pub trusts_all: bool,
}

/// Somebody else who can write a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The directory.
    pub directory: PathBuf,
    /// By what he can.
    pub by: By,
}

/// What lets somebody else write a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// It is his.
    Owner(u32),
    /// Everybody may.
    Everybody,
    /// Its group may.
    Group(u32),
    /// An access control list names him.
    ListedUser(u32),
    /// An access control list names his group.
    ListedGroup(u32),
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.directory.display();
        match self.by {
            By::Owner(uid) => write!(
                f,
                "{path} belongs to user {uid} (hint: chown it to the site's user)"
            ),
            By::Everybody => write!(
                f,
                "{path} can be written by everybody (hint: chmod o-w {path})"
            ),
            By::Group(gid) => write!(
                f,
                "{path} can be written by group {gid}, which is not the site's alone (hint: chmod g-w {path})"
            ),
            By::ListedUser(uid) => write!(
                f,
                "an ACL of {path} lets user {uid} write (hint: setfacl -x u:{uid} {path})"
            ),
            By::ListedGroup(gid) => write!(
                f,
                "an ACL of {path} lets group {gid} write (hint: setfacl -x g:{gid} {path})"
            ),
        }
    }
}

/// Where a way ended.
#[derive(Debug)]
pub struct End {
    /// A handle (O_PATH) on what is there: a directory, a file, or the like.
    pub handle: OwnedFd,
    /// The first directory on the way, itself included, that somebody else can reach and write.
    pub foreign: Option<Foreign>,
}

/// Ways of one site.
#[derive(Debug)]
pub struct Ways {
    owner: Owner,
    home: (u64, u64),
}

/// A directory that the way has reached.
struct Level {
    directory: OwnedFd,
    is_in_home: bool,
    /// Whether others can reach it: they may search all directories from home on.
    is_open: bool,
    foreign: Option<Foreign>,
}

impl Ways {
    /// Ways of the site that has this home.
    ///
    /// # Errors
    /// Home cannot be looked at.
    pub fn new(home: &[u8], owner: Owner) -> io::Result<Self> {
        let handle = beneath::look_at(home, beneath::Links::Followed)?;
        let status = fstat(&handle)?;
        Ok(Self {
            owner,
            home: (status.st_dev, status.st_ino),
        })
    }

    /// Walk an absolute path to its end, through symbolic links that belong to the site's user or root.
    ///
    /// # Errors
    /// The kernel's, ENOENT, ENOTDIR, EACCES and ELOOP above all; EACCES too for a link of somebody else's within home.
    pub fn walk(&self, path: &[u8]) -> io::Result<End> {
        let top = openat(CWD, "/", HANDLE, Mode::empty())?;
        let mut levels = vec![Rc::new(self.level(top, None)?)];
        let mut names = components(path);
        let mut links = 0;
        // Who can write a directory can exchange a link in it.
        let mut passed = None;
        while let Some(name) = names.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    levels.truncate(levels.len().saturating_sub(1).max(1));
                    continue;
                }
                _ => {}
            }
            let Some(here) = levels.last().map(Rc::clone) else {
                return Err(Errno::NOENT.into());
            };
            let next = openat(
                &here.directory,
                OsStr::from_bytes(&name),
                HANDLE,
                Mode::empty(),
            )?;
            let status = fstat(&next)?;
            match FileType::from_raw_mode(status.st_mode) {
                FileType::Symlink => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Errno::LOOP.into());
                    }
                    if here.is_in_home && !self.owner.is_trusted(status.st_uid) {
                        return Err(Errno::ACCESS.into());
                    }
                    if fstatfs(&next)?.f_type == libc::PROC_SUPER_MAGIC {
                        // One of the magic ones leads out of the view: the kernel says so.
                        beneath::look(&here.directory, &name, beneath::Links::Followed)?;
                    }
                    let target = readlinkat(&next, "", Vec::new())?.into_bytes();
                    passed = passed.or_else(|| here.foreign.clone());
                    if target.starts_with(b"/") {
                        levels.truncate(1);
                    }
                    names.extend(components(&target));
                    if names.len() > NAMES_MAX {
                        return Err(Errno::NAMETOOLONG.into());
                    }
                }
                FileType::Directory => {
                    levels.push(Rc::new(self.level(next, Some((&status, &here)))?));
                }
                _ if names.is_empty() => {
                    return Ok(End {
                        handle: next,
                        foreign: passed.or_else(|| here.foreign.clone()),
                    });
                }
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
        let last = levels.pop().and_then(Rc::into_inner).ok_or(Errno::NOENT)?;
        Ok(End {
            handle: last.directory,
            foreign: passed.or(last.foreign),
        })
    }

    fn level(&self, directory: OwnedFd, beneath: Option<(&Stat, &Level)>) -> io::Result<Level> {
        let (mut is_in_home, mut is_open, mut foreign) = (false, true, None);
        if let Some((status, above)) = beneath {
            is_in_home = above.is_in_home || (status.st_dev, status.st_ino) == self.home;
            foreign.clone_from(&above.foreign);
            if is_in_home && !self.owner.trusts_all {
                let access = self.owner.foreign_access(&directory, status)?;
                is_open = above.is_open && access.search;
                if foreign.is_none() && is_open {
                    let place = || beneath::place(&directory);
                    let found = access.write.map(|by| Ok::<_, io::Error>((place()?, by)));
                    foreign = found
                        .transpose()?
                        .map(|(directory, by)| Foreign { directory, by });
                }
            }
        }
        Ok(Level {
            directory,
            is_in_home,
            is_open,
            foreign,
        })
    }
}

/// What others than the owner may do with a directory.
#[derive(Debug, Default, PartialEq, Eq)]
struct Access {
    search: bool,
    write: Option<By>,
}

impl Access {
    /// Somebody has these bits.
    fn add(&mut self, bits: u32, by: By) {
        self.search |= bits & SEARCH != 0;
        if bits & WRITE != 0 {
            self.write.get_or_insert(by);
        }
    }
}

impl Owner {
    fn is_trusted(&self, uid: u32) -> bool {
        self.trusts_all || uid == self.user.0 || uid == Uid::ROOT.0
    }

    fn is_trusted_group(&self, gid: u32) -> bool {
        gid == 0 || (gid == self.group.0 && self.group_is_own)
    }

    fn foreign_access(&self, directory: &OwnedFd, status: &Stat) -> io::Result<Access> {
        let mut access = Access::default();
        if !self.is_trusted(status.st_uid) {
            access.add(SEARCH | WRITE, By::Owner(status.st_uid));
        }
        access.add(status.st_mode, By::Everybody);
        let list = access_control_list(directory)?;
        // With a list, the group's bits in the mode are the mask of all that are named.
        let group = match &list {
            Some(list) => list.group & list.mask,
            None => status.st_mode >> 3,
        };
        if !self.is_trusted_group(status.st_gid) {
            access.add(group, By::Group(status.st_gid));
        }
        if let Some(list) = &list {
            for (uid, bits) in &list.users {
                if !self.is_trusted(*uid) {
                    access.add(bits & list.mask, By::ListedUser(*uid));
                }
            }
            for (gid, bits) in &list.groups {
                if !self.is_trusted_group(*gid) {
                    access.add(bits & list.mask, By::ListedGroup(*gid));
                }
            }
        }
        Ok(access)
    }
}

/// A POSIX access control list, without what the mode says too.
#[derive(Debug, Default, PartialEq, Eq)]
struct List {
    users: Vec<(u32, u32)>,
    groups: Vec<(u32, u32)>,
    group: u32,
    mask: u32,
}

fn access_control_list(directory: &OwnedFd) -> io::Result<Option<List>> {
    let path = format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd());
    let mut bytes = vec![0; LIST_BYTES_MAX];
    match getxattr(path, "system.posix_acl_access", &mut bytes[..]) {
        Ok(length) => {
            bytes.truncate(length);
            // What cannot be read must not pass for harmless.
            parse(&bytes).map(Some).ok_or(Errno::IO.into())
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// As linux/posix_acl_xattr.h has it: a version, then entries of tag, permissions and id.
fn parse(bytes: &[u8]) -> Option<List> {
    let (version, entries) = bytes.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != 2 || entries.len() % 8 != 0 {
        return None;
    }
    let mut list = List {
        mask: SEARCH | WRITE,
        ..List::default()
    };
    for entry in entries.chunks_exact(8) {
        let short = |at: usize| Some(u16::from_le_bytes(*entry.get(at..)?.first_chunk()?));
        let id = u32::from_le_bytes(*entry.last_chunk()?);
        let (tag, bits) = (short(0)?, short(2)?.into());
        match tag {
            0x02 => list.users.push((id, bits)),
            0x04 => list.group = bits,
            0x08 => list.groups.push((id, bits)),
            0x10 => list.mask = bits,
            // The owner and others, whom the mode has too.
            0x01 | 0x20 => {}
            _ => return None,
        }
    }
    Some(list)
}

/// The names of a path, the last one first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = path
        .split(|byte| *byte == b'/')
        .map(<[u8]>::to_vec)
        .collect();
    // A slash at the end asks for a directory.
    if names.len() > 1 && names.last().is_some_and(Vec::is_empty) {
        names.pop();
        names.push(b".".to_vec());
    }
    names.reverse();
    names
}

const HANDLE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const SEARCH: u32 = 1;
const WRITE: u32 = 2;
/// As many links as the kernel follows.
const LINKS_MAX: u32 = 40;
/// Names that wait to be walked: as many as a path and a link's target can have.
const NAMES_MAX: usize = 8192;
/// A list of 500 entries; file systems keep fewer.
const LIST_BYTES_MAX: usize = 4096;

#[cfg(test)]
#[path = "way_tests.rs"]
mod tests;
