//! The two barriers that the kernel puts between a process and itself: Landlock and seccomp.
//!
//! The monitor prepares them for a site, the child of the spawn puts them in place, and each worker adds to them before its first script.
//! What they deny, they deny for good and for whatever is started. Users, namespaces and the view are the first barrier
//! and stand elsewhere, as does the front's own sandbox.
//!
//! - [`calls`]: the denied system calls, as data. `seccomp`: filters of them. `landlock`: rules for files, ports, sockets, signals.

use std::fmt;

use crate::cred::Dropped;
use crate::layers::{Layer, Layers};

pub mod calls;
pub(crate) mod landlock;
pub(crate) mod seccomp;

/// Why a process could not be put behind these barriers.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The rules for files, ports, sockets and signals.
    #[error("cannot make Landlock's rules")]
    Landlock(#[from] ::landlock::RulesetError),
    /// The root of the file system, for one of the rules.
    #[error("cannot open / for Landlock's rules")]
    Root(#[source] std::io::Error),
    /// The list of denied system calls is wrong.
    #[error("cannot make the filter of system calls")]
    Compile(#[from] seccompiler::BackendError),
    /// The kernel refused a filter.
    #[error("cannot filter system calls (hint: a kernel with CONFIG_SECCOMP_FILTER is needed)")]
    Install(#[source] std::io::Error),
}

/// The last act of a process before it runs code of a site's: a layer of Landlock, so that it reaches no process of the site but its
/// own descendants, and the filter of [`calls::SCRIPTS`].
///
/// # Errors
/// See [`SandboxError`]; the process has to end then.
pub fn restrict_scripts(_: &Dropped) -> Result<(), SandboxError> {
    let layers = Layers::of_process();
    if layers.has(Layer::WorkerLandlock) {
        landlock::restrict_to_own_processes()?;
    }
    if layers.has(Layer::SystemCalls) {
        let filters = seccomp::Filters::compile(calls::SCRIPTS)?;
        filters
            .install()
            .map_err(|errno| SandboxError::Install(errno.into()))?;
    }
    Ok(())
}

/// What this kernel has of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// The version of Landlock's interface; `None` where it is missing, switched off, or too old to be of use.
    pub landlock_abi: Option<u32>,
    /// Whether system calls can be filtered. Without, no site is started.
    pub seccomp: bool,
}

/// Ask the kernel. Changes nothing and needs no privilege.
pub fn features() -> Features {
    Features {
        landlock_abi: landlock::abi(),
        seccomp: seccomp::is_there(),
    }
}

/// Something that this kernel cannot stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lack {
    /// What is missing.
    pub feature: &'static str,
    /// The first kernel that has it.
    pub kernel: &'static str,
    /// What it means for sites.
    pub consequence: &'static str,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this kernel lacks {} ({}): {}",
            self.feature, self.kernel, self.consequence
        )
    }
}

impl Features {
    /// What of Landlock is missing, most important first. That is no error: sites run, behind fewer barriers.
    pub fn weaknesses(self) -> impl Iterator<Item = &'static Lack> {
        let abi = self.landlock_abi.unwrap_or(0);
        LANDLOCK
            .iter()
            .filter(move |(since, _)| abi < *since)
            .map(|(_, lack)| lack)
    }
}

/// By the version of the interface that brought it.
const LANDLOCK: [(u32, Lack); 5] = [
    (
        2,
        Lack {
            feature: "Landlock",
            kernel: "Linux 5.19 and `landlock` in the boot parameter lsm=",
            consequence: "a site's files are guarded by its view and its user alone, and its workers can trace what their user may",
        },
    ),
    (
        3,
        Lack {
            feature: "Landlock's rule for truncating",
            kernel: "Linux 6.2",
            consequence: "truncating is guarded by the view and the user alone",
        },
    ),
    (
        4,
        Lack {
            feature: "Landlock's rules for TCP ports",
            kernel: "Linux 6.7",
            consequence: "egress is guarded by the firewall alone",
        },
    ),
    (
        5,
        Lack {
            feature: "Landlock's rule for devices",
            kernel: "Linux 6.10",
            consequence: "ioctl on /dev/null and its like is guarded by the kernel's own checks alone",
        },
    ),
    (
        6,
        Lack {
            feature: "Landlock's scopes",
            kernel: "Linux 6.12",
            consequence: "two sites that both want to can meet at an abstract Unix socket, and a worker can send signals to others of its site",
        },
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_a_kernel_has_the_more_it_lacks() {
        let weaknesses = |landlock_abi| {
            let features = Features {
                landlock_abi,
                seccomp: true,
            };
            features.weaknesses().count()
        };
        assert_eq!(weaknesses(Some(7)), 0);
        assert_eq!(weaknesses(Some(2)), 4);
        assert_eq!(weaknesses(None), 5);
        let text = LANDLOCK[4].1.to_string();
        assert!(
            text.contains("Linux 6.12") && text.contains("abstract"),
            "{text}"
        );
    }
}
