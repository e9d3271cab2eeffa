//! Landlock: the kernel's own rules for which files, ports, sockets and signals a process and all that it starts can reach.
//!
//! A site's ruleset is made by the monitor, from descriptors, and put in place by the child of the spawn; a worker adds a layer of its
//! own. It says again what the view and the user say already, so that a hole in one of them is not enough. Used are
//! the rights of the newest interface that was tested, as far as the kernel has them; see [`Features`](super::Features).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    RestrictSelfAttr, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::SandboxError;
use crate::mount::Access;

/// A ruleset, made by one process and put in place by another.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) ruleset: OwnedFd,
    pub(crate) flags: libc::c_uint,
}

impl Rules {
    /// Rules for files: all that is beneath each descriptor, with what may be done there; nothing elsewhere. TCP connections
    /// to these ports only, where ports are given. No abstract socket and no process outside can be reached.
    ///
    /// `None` where the kernel has no Landlock that is of use.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn new<'a>(
        files: impl IntoIterator<Item = (BorrowedFd<'a>, Allowed)>,
        tcp_ports: Option<&[u16]>,
    ) -> Result<Option<Self>, RulesetError> {
        let Some(abi) = abi() else {
            return Ok(None);
        };
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(TESTED))?
            .scope(Scope::from_all(TESTED))?;
        if tcp_ports.is_some() {
            ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
        }
        let mut created = ruleset.create()?;
        for (descriptor, allowed) in files {
            created = created.add_rule(PathBeneath::new(descriptor, allowed.rights()))?;
        }
        for port in tcp_ports.unwrap_or_default() {
            created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        let flags = if abi >= LOG_SINCE { LOG_NOTHING } else { 0 };
        Ok(Option::<OwnedFd>::from(created).map(|ruleset| Self { ruleset, flags }))
    }
}

/// What may be done with the files beneath a rule's directory, or with its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Read, list, execute.
    Read,
    /// Besides: write, make, rename, remove everything but devices.
    Write,
    /// Read and write, for a device.
    Device,
    /// Besides: set, for a terminal.
    Terminal,
}

impl Allowed {
    fn rights(self) -> BitFlags<AccessFs> {
        let read = AccessFs::from_read(TESTED);
        match self {
            Self::Read => read,
            Self::Write => {
                read | make_bitflags!(AccessFs::{
                    WriteFile | Truncate | Refer | RemoveDir | RemoveFile | MakeDir | MakeReg | MakeSock | MakeFifo | MakeSym
                })
            }
            Self::Device => make_bitflags!(AccessFs::{ReadFile | WriteFile}),
            Self::Terminal => make_bitflags!(AccessFs::{ReadFile | WriteFile | IoctlDev}),
        }
    }
}

impl From<Access> for Allowed {
    fn from(access: Access) -> Self {
        match access {
            Access::Write => Self::Write,
            Access::Read | Access::ReadData => Self::Read,
            Access::Device => Self::Device,
            Access::Terminal => Self::Terminal,
            #[cfg(feature = "controls")]
            Access::Host => Self::Read,
        }
    }
}

/// One layer more for this process and all that it starts: it can no longer trace, read or (from interface 6 on) signal processes
/// that are not its own descendants. Files are as before.
///
/// # Errors
/// The kernel's. A kernel without Landlock is none.
pub(super) fn restrict_to_own_processes() -> Result<(), SandboxError> {
    if abi().is_none() {
        return Ok(());
    }
    // Some right has to be handled, and nobody can make a device in any case. Each layer forbids moving files between directories
    // unless a rule allows it, whatever else the layer says.
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| SandboxError::Root(errno.into()))?;
    let created = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::MakeBlock | AccessFs::Refer)?
        .scope(Scope::Signal)?
        .create()?
        .add_rule(PathBeneath::new(root, AccessFs::Refer))?;
    created
        .log_same_exec(false)?
        .log_subdomains(false)?
        .restrict_self()?;
    Ok(())
}

/// The version of the kernel's interface; `None` without it, or with the first version, in which no directory's files can be
/// moved to another one.
pub(super) fn abi() -> Option<u32> {
    let version: libc::c_uint = 1;
    let no_rules = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag nothing is read from memory and nothing is made.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            no_rules,
            0_usize,
            version,
        )
    };
    u32::try_from(answer)
        .ok()
        .filter(|abi| *abi >= OF_USE_SINCE)
}

/// Put a ruleset in place for this thread and all that it starts. Needs no_new_privs. Allocates nothing and takes no lock.
pub(crate) fn install(ruleset: BorrowedFd<'_>, flags: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: takes a descriptor and a number.
    let answer =
        unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), flags) };
    match answer {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

/// The newest interface whose rights are used: those of later ones would deny what was never tried.
const TESTED: ABI = ABI::V7;
/// Since when files can be moved between directories.
const OF_USE_SINCE: u32 = 2;
/// Since when it says what is logged.
const LOG_SINCE: u32 = 7;
/// LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF and LOG_SUBDOMAINS_OFF of linux/landlock.h: a site must not be able to fill the
/// machine's audit log.
const LOG_NOTHING: libc::c_uint = 1 | 4;
