//! The mail broker's own sandbox: it reads the system's files, writes beneath its two directories, and connects to its server.
//!
//! Put in place by the broker itself, before it listens to any site; threads that come later inherit it. Landlock leaves it the few directories
//! that looking up a name and trusting a certificate need, and the ports of the server and of DNS. It starts nothing: what a site cannot
//! call, it cannot either.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::cred::Dropped;
use crate::process::thread_count;
use crate::sandbox::SandboxError;
use crate::sandbox::calls::SITES;
use crate::sandbox::landlock::{self, Allowed, Rules};
use crate::sandbox::seccomp::Filters;

/// Close the sandbox around this process, for good. `written` are the directories in which it may make and remove files.
///
/// # Errors
/// See [`SandboxError`]; a thread that is there already would stay outside, which is one too.
pub fn enter(
    written: &[BorrowedFd<'_>],
    tcp_ports: &[u16],
    _: &Dropped,
) -> Result<(), SandboxError> {
    match thread_count() {
        Ok(1) => {}
        Ok(_) => {
            return Err(SandboxError::Install(
                std::io::ErrorKind::ResourceBusy.into(),
            ));
        }
        Err(error) => return Err(SandboxError::Install(error)),
    }
    let read: Vec<OwnedFd> = READ.iter().filter_map(|path| open(path)).collect();
    let files = read.iter().map(|file| (file.as_fd(), Allowed::Read));
    let written = written.iter().map(|file| (*file, Allowed::Write));
    let failed = |errno: rustix::io::Errno| SandboxError::Install(errno.into());
    if let Some(rules) = Rules::new(files.chain(written), Some(tcp_ports))? {
        landlock::install(rules.ruleset.as_fd(), rules.flags).map_err(failed)?;
    }
    Filters::compile(SITES)?.install().map_err(failed)
}

/// `None` where the host has no such place, which then cannot be read either.
fn open(path: &str) -> Option<OwnedFd> {
    rustix::fs::open(
        Path::new(path),
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .ok()
}

/// Libraries, name service, certificates; where resolv.conf leads to on hosts with systemd's or NetworkManager's resolver.
const READ: [&str; 8] = [
    "/usr",
    "/lib",
    "/lib64",
    "/etc",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/dev/urandom",
];
