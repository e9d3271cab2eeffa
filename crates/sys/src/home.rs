//! A site's home, opened so that nobody can have put something else in its place.
//!
//! Run by the monitor as root, and by the command line's check. It trusts root's directories only: every directory above a
//! home must belong to root and be closed to other writers, and none may be a symbolic link. What is inside of a home is
//! never looked at here: that is for the site's own processes, after the drop.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, fstat, open, openat2};

use crate::cred::Uid;

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
    let names = names(home)?;
    not_reserved(home, reserved)?;
    let cannot_open = |directory: &Path, source: io::Error| HomeError::Open {
        home: home.to_owned(),
        directory: directory.to_owned(),
        source,
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut path = PathBuf::from("/");
    let mut directory =
        open(c"/", flags, Mode::empty()).map_err(|e| cannot_open(&path, e.into()))?;
    for name in names {
        check_parent(home, &path, &directory)?;
        path.push(name);
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
        directory = openat2(&directory, name, flags, Mode::empty(), resolve)
            .map_err(|e| cannot_open(&path, e.into()))?;
    }
    let owner = fstat(&directory)
        .map_err(|e| cannot_open(home, e.into()))?
        .st_uid;
    if owner != uid.0 && owner != 0 {
        let home = home.to_owned();
        return Err(HomeError::ForeignHome { home, owner, uid });
    }
    Ok(directory)
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
