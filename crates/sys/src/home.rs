//! A site's home, opened so that nobody can have put something else in its place.
//!
//! Run by the monitor as root, and by the command line's check. It trusts root's directories only: every directory above a
//! home must belong to root and be closed to other writers, and none may be a symbolic link. What is inside of a home is
//! never looked at here: that is for the site's own processes, after the drop.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, ResolveFlags, fchmod, fchown, fstat, fsync, mkdirat, open,
    openat, openat2, renameat_with, unlinkat,
};

use crate::cred::{Gid, Uid};

/// Why a home is refused, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// It is not an absolute path without `.` and `..`.
    #[error("home {home}: must be an absolute path without '.' or '..'")]
    NotAbsolute {
        /// The home as configured.
        home: PathBuf,
    },
    /// It is, holds or lies in a directory of the system or of the server.
    #[error(
        "home {home}: {other} is the system's or the server's own; hint: give the site a directory of its own, such as /srv/NAME"
    )]
    Reserved {
        /// The home as configured.
        home: PathBuf,
        /// The directory that it collides with.
        other: PathBuf,
    },
    /// A directory on the way could not be opened.
    #[error("home {home}: cannot open {directory}{}", link_hint(source))]
    Open {
        /// The home as configured.
        home: PathBuf,
        /// The directory at which it ended.
        directory: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It could not be made.
    #[error("home {home}: cannot be made")]
    Make {
        /// The home as configured.
        home: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It could not be given another name.
    #[error("home {home}: cannot be renamed to {}", new_name.display())]
    Rename {
        /// The home as configured.
        home: PathBuf,
        /// The name that it was to have.
        new_name: OsString,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It could not be removed.
    #[error("home {home}: cannot be removed")]
    Remove {
        /// The home as configured.
        home: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A directory above it belongs to somebody else than root, who could put another one in its place.
    #[error(
        "home {home}: {directory} above it belongs to user {owner}, not to root; hint: chown root {directory}, or choose another home"
    )]
    ForeignParent {
        /// The home as configured.
        home: PathBuf,
        /// The directory above.
        directory: PathBuf,
        /// Who owns it.
        owner: u32,
    },
    /// A directory above it can be written by others than root.
    #[error(
        "home {home}: {directory} above it can be written by others than root (mode {mode:04o}); hint: chmod go-w {directory}"
    )]
    OpenParent {
        /// The home as configured.
        home: PathBuf,
        /// The directory above.
        directory: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It belongs to somebody else than the site's user or root.
    #[error("home {home}: belongs to user {owner}, not to the site's user {uid} or root")]
    ForeignHome {
        /// The home as configured.
        home: PathBuf,
        /// Who owns it.
        owner: u32,
        /// The site's user.
        uid: Uid,
    },
}

impl HomeError {
    /// Whether nothing but the home itself is missing.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Open { home, directory, source }
            if home == directory && source.kind() == io::ErrorKind::NotFound)
    }
}

fn link_hint(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::ELOOP) => {
            ": it is a symbolic link; hint: write the path that the link leads to as home"
        }
        Some(libc::ENOENT) => ": it does not exist; hint: create it first",
        _ => "",
    }
}

/// Open the home of the site whose user is `uid`, to be mounted by descriptor (O_PATH, close-on-exec).
///
/// `reserved` are further directories that a home may not be, hold or lie in: the server's state, logs, configuration.
///
/// # Errors
/// See [`HomeError`]; each says which directory and what to do.
pub fn open_home(home: &Path, uid: Uid, reserved: &[&Path]) -> Result<OwnedFd, HomeError> {
    let (parent, name) = open_parent(home, reserved)?;
    open_in(home, &parent, name, uid)
}

/// Open the directory in which a home is or is to be, with the home's name in it: root's, and nobody else can write it.
///
/// # Errors
/// See [`HomeError`]; that the home is not there is none.
pub fn open_parent<'h>(
    home: &'h Path,
    reserved: &[&Path],
) -> Result<(OwnedFd, &'h OsStr), HomeError> {
    let names = names(home)?;
    not_reserved(home, reserved)?;
    let Some((last, above)) = names.split_last() else {
        let home = home.to_owned();
        return Err(HomeError::NotAbsolute { home });
    };
    let mut path = PathBuf::from("/");
    let mut directory = open(c"/", DIRECTORY, Mode::empty())
        .map_err(|error| cannot_open(home, &path, error.into()))?;
    for name in above {
        check_parent(home, &path, &directory)?;
        path.push(name);
        directory = openat2(&directory, *name, DIRECTORY, Mode::empty(), RESOLVE)
            .map_err(|error| cannot_open(home, &path, error.into()))?;
    }
    check_parent(home, &path, &directory)?;
    Ok((directory, last))
}

/// Make a home that is not there, closed to all but its user. It appears under its name all at once, with its owner: who is
/// killed on the way leaves a hidden empty directory of root's beside it, which the next call removes.
///
/// # Errors
/// The kernel's; that there is something of this name is one.
pub fn make_home(home: &Path, uid: Uid, gid: Gid, reserved: &[&Path]) -> Result<(), HomeError> {
    let (parent, name) = open_parent(home, reserved)?;
    let failed = |errno: rustix::io::Errno| HomeError::Make {
        home: home.to_owned(),
        source: errno.into(),
    };
    let mut draft = OsString::from(".");
    draft.push(name);
    draft.push(".hostel-new");
    match unlinkat(&parent, &draft, AtFlags::REMOVEDIR) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(errno) => return Err(failed(errno)),
    }
    mkdirat(&parent, &draft, Mode::RWXU).map_err(failed)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(&parent, &draft, flags, Mode::empty()).map_err(failed)?;
    // The mode while it is root's own: what the caller's mask took away is given.
    fchmod(&made, Mode::RWXU).map_err(failed)?;
    let (uid, gid) = (
        rustix::fs::Uid::from_raw(uid.0),
        rustix::fs::Gid::from_raw(gid.0),
    );
    fchown(&made, Some(uid), Some(gid)).map_err(failed)?;
    renameat_with(&parent, &draft, &parent, name, RenameFlags::NOREPLACE).map_err(failed)?;
    fsync(&made).map_err(failed)
}

/// Take bits from the mode of a home, and nothing of what is in it.
///
/// # Errors
/// The kernel's, and those of [`open_home`].
pub fn close_home(home: &Path, uid: Uid, bits: u32, reserved: &[&Path]) -> Result<(), HomeError> {
    let (parent, name) = open_parent(home, reserved)?;
    let seen = open_in(home, &parent, name, uid)?;
    let changed = || {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(&seen, c".", flags, Mode::empty())?;
        let mode = fstat(&opened)?.st_mode & 0o7777;
        fchmod(&opened, Mode::from_raw_mode(mode & !bits))
    };
    changed().map_err(|errno| cannot_open(home, home, errno.into()))
}

/// Remove an empty home. Whether there was one.
///
/// # Errors
/// The kernel's, `ENOTEMPTY` above all, and those of [`open_home`].
pub fn remove_home(home: &Path, uid: Uid, reserved: &[&Path]) -> Result<bool, HomeError> {
    let (parent, name) = open_parent(home, reserved)?;
    match open_in(home, &parent, name, uid) {
        Ok(_) => {}
        Err(error) if error.is_missing() => return Ok(false),
        Err(error) => return Err(error),
    }
    // Nobody but root could have put something else there meanwhile.
    unlinkat(&parent, name, AtFlags::REMOVEDIR).map_err(|errno| HomeError::Remove {
        home: home.to_owned(),
        source: errno.into(),
    })?;
    Ok(true)
}

/// Give a home another name in its directory, where nothing has that name. Whether there was a home.
///
/// # Errors
/// The kernel's (`EEXIST`; `EBUSY` or `EXDEV` where a file system is mounted at it), and those of [`open_home`].
pub fn rename_home(
    home: &Path,
    new_name: &OsStr,
    uid: Uid,
    reserved: &[&Path],
) -> Result<bool, HomeError> {
    let (parent, name) = open_parent(home, reserved)?;
    match open_in(home, &parent, name, uid) {
        Ok(_) => {}
        Err(error) if error.is_missing() => return Ok(false),
        Err(error) => return Err(error),
    }
    let renamed = renameat_with(&parent, name, &parent, new_name, RenameFlags::NOREPLACE);
    renamed
        .and_then(|()| {
            openat(
                &parent,
                c".",
                OFlags::RDONLY | OFlags::CLOEXEC,
                Mode::empty(),
            )
        })
        .and_then(fsync)
        .map_err(|errno| HomeError::Rename {
            home: home.to_owned(),
            new_name: new_name.to_owned(),
            source: errno.into(),
        })?;
    Ok(true)
}

/// Make a home root's and closed to everybody else, with all that is in it: it is no site's any more.
///
/// # Errors
/// The kernel's, and those of [`open_home`].
pub fn take_home(home: &Path, uid: Uid, reserved: &[&Path]) -> Result<(), HomeError> {
    let (parent, name) = open_parent(home, reserved)?;
    let seen = open_in(home, &parent, name, uid)?;
    let taken = || {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(&seen, c".", flags, Mode::empty())?;
        let root = (rustix::fs::Uid::ROOT, rustix::fs::Gid::ROOT);
        fchown(&opened, Some(root.0), Some(root.1))?;
        fchmod(&opened, Mode::RWXU)
    };
    taken().map_err(|errno| cannot_open(home, home, errno.into()))
}

/// Who owns a home and its mode, `None` where it is not there.
///
/// # Errors
/// Those of [`open_parent`].
pub fn look_at_home(home: &Path, reserved: &[&Path]) -> Result<Option<(Uid, Gid, u32)>, HomeError> {
    let (parent, name) = open_parent(home, reserved)?;
    let opened = match openat2(&parent, name, DIRECTORY, Mode::empty(), RESOLVE) {
        Ok(opened) => opened,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(cannot_open(home, home, errno.into())),
    };
    let status = fstat(&opened).map_err(|errno| cannot_open(home, home, errno.into()))?;
    Ok(Some((
        Uid(status.st_uid),
        Gid(status.st_gid),
        status.st_mode & 0o7777,
    )))
}

fn open_in(home: &Path, parent: &OwnedFd, name: &OsStr, uid: Uid) -> Result<OwnedFd, HomeError> {
    let opened = openat2(parent, name, DIRECTORY, Mode::empty(), RESOLVE)
        .map_err(|error| cannot_open(home, home, error.into()))?;
    let owner = fstat(&opened)
        .map_err(|error| cannot_open(home, home, error.into()))?
        .st_uid;
    if owner != uid.0 && owner != 0 {
        let home = home.to_owned();
        return Err(HomeError::ForeignHome { home, owner, uid });
    }
    Ok(opened)
}

fn cannot_open(home: &Path, directory: &Path, source: io::Error) -> HomeError {
    HomeError::Open {
        home: home.to_owned(),
        directory: directory.to_owned(),
        source,
    }
}

/// Whether a home may be at this path, by the path alone: nothing is looked at. [`open_home`] does it too.
///
/// # Errors
/// [`HomeError::NotAbsolute`] and [`HomeError::Reserved`].
pub fn check_place(home: &Path, reserved: &[&Path]) -> Result<(), HomeError> {
    names(home)?;
    not_reserved(home, reserved)
}

fn names(home: &Path) -> Result<Vec<&OsStr>, HomeError> {
    let refused = || HomeError::NotAbsolute {
        home: home.to_owned(),
    };
    let mut components = home.components();
    if components.next() != Some(Component::RootDir) {
        return Err(refused());
    }
    components
        .map(|component| match component {
            Component::Normal(name) => Ok(name),
            Component::Prefix(_)
            | Component::RootDir
            | Component::CurDir
            | Component::ParentDir => Err(refused()),
        })
        .collect()
}

fn not_reserved(home: &Path, reserved: &[&Path]) -> Result<(), HomeError> {
    let collides = |other: &Path| home.starts_with(other) || other.starts_with(home);
    let within = CLOSED.iter().map(Path::new).chain(reserved.iter().copied());
    let itself = ABOVE_HOMES.iter().map(Path::new);
    match within
        .filter(|other| collides(other))
        .chain(itself.filter(|other| other.starts_with(home)))
        .next()
    {
        None => Ok(()),
        Some(other) => Err(HomeError::Reserved {
            home: home.to_owned(),
            other: other.to_owned(),
        }),
    }
}

fn check_parent(home: &Path, path: &Path, directory: &OwnedFd) -> Result<(), HomeError> {
    let status = fstat(directory).map_err(|error| HomeError::Open {
        home: home.to_owned(),
        directory: path.to_owned(),
        source: error.into(),
    })?;
    if status.st_uid != 0 {
        return Err(HomeError::ForeignParent {
            home: home.to_owned(),
            directory: path.to_owned(),
            owner: status.st_uid,
        });
    }
    // Where an access control list lets further users write, the group's bits show its mask: they cover it.
    if status.st_mode & 0o022 != 0 {
        return Err(HomeError::OpenParent {
            home: home.to_owned(),
            directory: path.to_owned(),
            mode: status.st_mode & 0o7777,
        });
    }
    Ok(())
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const RESOLVE: ResolveFlags = ResolveFlags::NO_SYMLINKS.union(ResolveFlags::BENEATH);
/// No home is one of these, above one or beneath one: they are the system's, or the view has something else there.
const CLOSED: [&str; 17] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr",
    "/var/lib/php",
    "/var/run",
    "/var/tmp",
];
/// No home is one of these or above one, but it may be beneath one.
const ABOVE_HOMES: [&str; 9] = [
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/srv",
    "/var/cache",
    "/var/lib",
    "/var/log",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(home: &str) -> String {
        open_home(Path::new(home), Uid(1000), &[Path::new("/var/lib/hostel")])
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn directories_of_the_system_and_above_them_are_no_homes() {
        for home in [
            "/",
            "/usr",
            "/usr/local/site",
            "/etc",
            "/proc",
            "/proc/1/cwd",
            "/dev",
            "/run",
            "/tmp",
            "/tmp/x",
            "/var",
            "/var/lib",
            "/var/tmp",
            "/home",
            "/srv",
            "/root",
            "/var/lib/hostel",
            "/var/lib/hostel/sites/a",
            "/var/lib/php",
        ] {
            let message = refused(home);
            assert!(
                message.contains("system's or the server's own"),
                "{home}: {message}"
            );
        }
    }

    #[test]
    fn a_home_is_an_absolute_path() {
        for home in ["srv/blog", "", "/srv/../etc", "./srv"] {
            assert!(refused(home).contains("absolute path"), "{home}");
        }
    }

    #[test]
    fn a_home_that_is_not_there_says_so() {
        let message = refused("/srv/hostel-no-such-home");
        assert!(message.contains("does not exist"), "{message}");
    }
}
