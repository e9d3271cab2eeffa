//! The directories of an instance: made where they are missing, refused where somebody else could change them.
//!
//! Part of the monitor, as root. `run`, `state` and `logs` must be root's alone; all beneath them is reached by descriptor and never
//! through a symbolic link. A site owns some directories in `state`; they are opened here and nothing in them is looked at. The
//! table is in docs/ARCHITECTURE.md.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use hostel_config::Server;
use hostel_sys::cred::{Gid, Uid, User};
use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, Stat, fchmod, fchown, flock, fstat, mkdirat, open,
    openat, unlinkat,
};
use rustix::io::Errno;

/// Why a directory or log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    #[error("cannot {action} {}", path.display())]
    Failed {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "{} belongs to user {owner}, not to {expected} (hint: chown it, or move it away)", path.display()
    )]
    Owner {
        path: PathBuf,
        owner: u32,
        expected: Uid,
    },
    #[error("{} can be written by others (mode {mode:04o}; hint: chmod go-w)", path.display())]
    Writable { path: PathBuf, mode: u32 },
    #[error("{} is not a regular file", path.display())]
    NotAFile { path: PathBuf },
    #[error("another instance runs with {} (hint: stop it first, or give this one its own 'run')", path.display())]
    InUse { path: PathBuf },
}

/// The directories of an instance, open.
#[derive(Debug)]
pub(crate) struct Directories {
    run: OwnedFd,
    run_path: PathBuf,
    sites: Place,
    spill: OwnedFd,
    logs: Place,
}

/// A directory and its path, for messages.
#[derive(Debug)]
struct Place {
    descriptor: OwnedFd,
    path: PathBuf,
}

/// A site's own directories, in the order in which the view has them.
#[derive(Debug)]
pub(crate) struct OwnDirectories {
    pub(crate) temporary: OwnedFd,
    pub(crate) var_temporary: OwnedFd,
    pub(crate) sessions: OwnedFd,
    pub(crate) opcache: OwnedFd,
}

impl Directories {
    /// Make and open them. The lock on `run` is held until this value ends.
    pub(crate) fn open(server: &Server) -> Result<Self, DirectoryError> {
        let run = Place::open(&server.run)?;
        match flock(&run.descriptor, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(DirectoryError::InUse { path: run.path }),
            Err(error) => return Err(failed("lock", &run.path, error)),
        }
        run.beneath(VIEW, Owner::Root, 0o700)?;
        let state = Place::open(&server.state)?;
        let front = Owner::User(&server.user);
        Ok(Self {
            run: run.descriptor,
            run_path: run.path,
            sites: state.beneath("sites", Owner::Root, 0o711)?,
            spill: state.beneath("spill", front, 0o700)?.descriptor,
            logs: Place::open(&server.logs)?,
        })
    }

    /// The directory in which the front may create unnamed files.
    pub(crate) fn spill(&self) -> &OwnedFd {
        &self.spill
    }

    /// An empty directory on which a child attaches a view, inside its own mount namespace.
    pub(crate) fn mount_point(&self) -> PathBuf {
        self.run_path.join(VIEW)
    }

    /// Where the status socket stands.
    pub(crate) fn status_socket(&self) -> PathBuf {
        self.run_path.join(STATUS_SOCKET)
    }

    /// Open the server's own log for appending.
    pub(crate) fn server_log(&self) -> Result<OwnedFd, DirectoryError> {
        self.logs.log_file("server.log", Gid(0))
    }

    /// Open a site's access log and error log for appending.
    pub(crate) fn site_logs(&self, site: &str, gid: Gid) -> Result<[OwnedFd; 2], DirectoryError> {
        let directory = self.logs.beneath(site, Owner::Root, 0o750)?;
        fchown(
            &directory.descriptor,
            None,
            Some(rustix::fs::Gid::from_raw(gid.0)),
        )
        .map_err(|error| failed("change the group of", &directory.path, error))?;
        Ok([
            directory.log_file("access.log", gid)?,
            directory.log_file("error.log", gid)?,
        ])
    }

    /// Make and open a site's own directories.
    pub(crate) fn site_state(
        &self,
        site: &str,
        user: &User,
    ) -> Result<OwnDirectories, DirectoryError> {
        let directory = self.sites.beneath(site, Owner::Root, 0o711)?;
        let own = |name| {
            directory
                .beneath(name, Owner::User(user), 0o700)
                .map(|place| place.descriptor)
        };
        Ok(OwnDirectories {
            temporary: own("tmp")?,
            var_temporary: own("var-tmp")?,
            sessions: own("sessions")?,
            opcache: own("opcache")?,
        })
    }

    /// Leave nothing in `run`.
    pub(crate) fn remove_run_files(&self) {
        // What cannot be removed now is replaced at the next start.
        let _ = unlinkat(&self.run, STATUS_SOCKET, AtFlags::empty());
        let _ = unlinkat(&self.run, VIEW, AtFlags::REMOVEDIR);
    }
}

/// Whose a directory is.
#[derive(Debug, Clone, Copy)]
enum Owner<'a> {
    Root,
    User(&'a User),
}

impl Place {
    /// A directory of the configuration, made with its parents where it is missing.
    fn open(path: &Path) -> Result<Self, DirectoryError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failed("make", parent, error))?;
        }
        match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed("make", path, error)),
        }
        let descriptor =
            open(path, DIRECTORY, Mode::empty()).map_err(|error| failed("open", path, error))?;
        let place = Self {
            descriptor,
            path: path.to_owned(),
        };
        place.check(Uid::ROOT)?;
        Ok(place)
    }

    /// A directory in this one, made with owner and mode where it is missing.
    fn beneath(&self, name: &str, owner: Owner<'_>, mode: u32) -> Result<Self, DirectoryError> {
        let path = self.path.join(name);
        let (uid, gid) = match owner {
            Owner::Root => (Uid::ROOT, Gid(0)),
            Owner::User(user) => (user.uid, user.gid),
        };
        let is_new = match mkdirat(&self.descriptor, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(failed("make", &path, error)),
        };
        let descriptor = openat(&self.descriptor, name, DIRECTORY, Mode::empty())
            .map_err(|error| failed("open", &path, error))?;
        let place = Self { descriptor, path };
        if is_new {
            give(&place.descriptor, uid, gid, mode)
                .map_err(|error| failed("set owner and mode of", &place.path, error))?;
        }
        place.check(uid)?;
        Ok(place)
    }

    /// Who owns it, and that root's have no other writers. What a site does with the mode of its own is its own affair.
    fn check(&self, expected: Uid) -> Result<(), DirectoryError> {
        let status = self.status()?;
        if status.st_uid != expected.0 {
            return Err(DirectoryError::Owner {
                path: self.path.clone(),
                owner: status.st_uid,
                expected,
            });
        }
        if expected == Uid::ROOT && status.st_mode & 0o022 != 0 {
            return Err(DirectoryError::Writable {
                path: self.path.clone(),
                mode: status.st_mode & 0o7777,
            });
        }
        Ok(())
    }

    fn status(&self) -> Result<Stat, DirectoryError> {
        fstat(&self.descriptor).map_err(|error| failed("look at", &self.path, error))
    }

    /// A log in this directory, opened for appending; readable by the group.
    fn log_file(&self, name: &str, gid: Gid) -> Result<OwnedFd, DirectoryError> {
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
        if !rustix::fs::FileType::from_raw_mode(status.st_mode).is_file() {
            return Err(DirectoryError::NotAFile { path });
        }
        give(&file, Uid::ROOT, gid, 0o640)
            .map_err(|error| failed("set owner and mode of", &path, error))?;
        Ok(file)
    }
}

fn give(file: impl AsFd, uid: Uid, gid: Gid, mode: u32) -> Result<(), Errno> {
    fchown(
        &file,
        Some(rustix::fs::Uid::from_raw(uid.0)),
        Some(rustix::fs::Gid::from_raw(gid.0)),
    )?;
    // After the change of owner, which takes bits away.
    fchmod(&file, Mode::from_raw_mode(mode))
}

fn failed(action: &'static str, path: &Path, source: impl Into<io::Error>) -> DirectoryError {
    DirectoryError::Failed {
        action,
        path: path.to_owned(),
        source: source.into(),
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const VIEW: &str = "view";
const STATUS_SOCKET: &str = "status.sock";
