//! The directories of an instance, as docs/ARCHITECTURE.md lists them.
//!
//! Used by the monitor and by `hostel prove`, as root. `run`, `state` and `logs` must be root's alone; a site owns some directories in `state`, which
//! are opened here by descriptor and not looked into.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;

use hostel_config::Server;
use hostel_sys::cred::{Gid, Uid, User};
use hostel_sys::secure::{Directory, SecureError};
use rustix::fs::{AtFlags, unlinkat};

/// The directories of an instance, open.
#[derive(Debug)]
pub struct Directories {
    run: Directory,
    state: Directory,
    sites: Directory,
    spill: Rc<OwnedFd>,
    logs: Directory,
}

/// A site's own directories, each open, or why it is not to be used.
pub type SiteState = [Result<OwnedFd, SecureError>; 4];

impl Directories {
    /// Make and open them.
    ///
    /// # Errors
    /// One of them cannot be made, or somebody else than root could change what is in it.
    pub fn open(server: &Server) -> Result<Self, SecureError> {
        let run = Directory::open(&server.run)?;
        run.beneath(VIEW, Uid::ROOT, Gid(0), 0o700)?;
        let state = Directory::open(&server.state)?;
        let front = &server.user;
        let spill = state.beneath("spill", front.uid, front.gid, 0o700)?;
        Ok(Self {
            sites: state.beneath("sites", Uid::ROOT, Gid(0), 0o711)?,
            spill: Rc::new(spill.into_descriptor()),
            logs: Directory::open(&server.logs)?,
            run,
            state,
        })
    }

    /// Be the one instance with these directories, until this value ends.
    ///
    /// # Errors
    /// Another process holds the lock.
    pub fn lock(&self) -> Result<(), SecureError> {
        self.run.lock()
    }

    /// The directory in which the front may create unnamed files.
    pub fn spill(&self) -> &Rc<OwnedFd> {
        &self.spill
    }

    /// An empty directory on which a child attaches a view, inside its own mount namespace.
    pub fn mount_point(&self) -> PathBuf {
        self.run.path().join(VIEW)
    }

    /// Where the status socket stands.
    pub fn status_socket(&self) -> PathBuf {
        self.run.path().join(STATUS_SOCKET)
    }

    /// Where the control socket stands.
    pub fn control_socket(&self) -> PathBuf {
        self.run.path().join(CONTROL_SOCKET)
    }

    /// Open the server's own log for appending.
    ///
    /// # Errors
    /// It cannot be made, or is not root's.
    pub fn server_log(&self) -> Result<OwnedFd, SecureError> {
        self.logs.append_to("server.log", Gid(0))
    }

    /// Open a site's access log and error log for appending; its group may read them.
    ///
    /// # Errors
    /// They cannot be made, or are not root's.
    pub fn site_logs(&self, site: &str, gid: Gid) -> Result<[OwnedFd; 2], SecureError> {
        let directory = self.logs.beneath(site, Uid::ROOT, gid, 0o750)?;
        directory.set_group(gid)?;
        Ok([
            directory.append_to("access.log", gid)?,
            directory.append_to("error.log", gid)?,
        ])
    }

    /// Open the log of what runs beside the web for a site, for appending; its group may read it.
    ///
    /// # Errors
    /// It cannot be made, or is not root's.
    pub fn jobs_log(&self, site: &str, gid: Gid) -> Result<OwnedFd, SecureError> {
        let directory = self.logs.beneath(site, Uid::ROOT, gid, 0o750)?;
        directory.set_group(gid)?;
        directory.append_to("jobs.log", gid)
    }

    /// Make and open a site's own directories: for /tmp, /var/tmp, sessions and OPcache's files.
    ///
    /// # Errors
    /// One of them cannot be made, or is another user's; or what they stand in.
    pub fn site_state(&self, site: &str, user: &User) -> Result<SiteState, SecureError> {
        let directory = self.sites.beneath(site, Uid::ROOT, Gid(0), 0o711)?;
        let own = |name| directory.beneath(name, user.uid, user.gid, 0o700);
        Ok(["tmp", "var-tmp", "sessions", "opcache"]
            .map(|name| own(name).map(Directory::into_descriptor)))
    }

    /// Where the mail broker queues: its own.
    ///
    /// # Errors
    /// It cannot be made, or is another user's.
    pub fn mail_queue(&self, broker: &User) -> Result<OwnedFd, SecureError> {
        let queue = self.state.beneath("mail", broker.uid, broker.gid, 0o700)?;
        Ok(queue.into_descriptor())
    }

    /// The mail broker's log, opened for appending.
    ///
    /// # Errors
    /// It cannot be made, or is not root's.
    pub fn mail_log(&self) -> Result<OwnedFd, SecureError> {
        self.logs.append_to("mail.log", Gid(0))
    }

    /// Where the directories of the sites' sockets stand. Only the broker comes through; a site has its own in its view.
    ///
    /// # Errors
    /// It cannot be made, or is not root's.
    pub fn mail_sockets(&self, broker: &User) -> Result<Directory, SecureError> {
        let sockets = self.run.beneath(MAIL, Uid::ROOT, broker.gid, 0o750)?;
        sockets.set_group(broker.gid)?;
        Ok(sockets)
    }

    /// The directory in which the broker makes a site's socket.
    ///
    /// # Errors
    /// It cannot be made, or is another user's.
    pub fn mail_socket(&self, site: &str, broker: &User) -> Result<OwnedFd, SecureError> {
        let sockets = self.mail_sockets(broker)?;
        let own = sockets.beneath(site, broker.uid, broker.gid, 0o711)?;
        Ok(own.into_descriptor())
    }

    /// Leave nothing in `run`.
    pub fn remove_run_files(&self) {
        // What cannot be removed now is replaced at the next start.
        for socket in [STATUS_SOCKET, CONTROL_SOCKET] {
            let _ = unlinkat(&self.run, socket, AtFlags::empty());
        }
        let _ = unlinkat(&self.run, VIEW, AtFlags::REMOVEDIR);
        let _ = unlinkat(&self.run, JOBS, AtFlags::empty());
    }
}

const VIEW: &str = "view";
const MAIL: &str = "mail";
const JOBS: &str = "jobs.json";
const STATUS_SOCKET: &str = "status.sock";
const CONTROL_SOCKET: &str = "control.sock";
