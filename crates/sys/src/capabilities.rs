//! The capabilities that the monitor keeps of root's, each with its reason; all others are given up for good at its start.
//!
//! Run by the monitor, once, before it reads its configuration; the command line asks what a machine's root lacks. What stays is in
//! force, in all sets but the inheritable and the ambient one, for the monitor and whatever it starts as root. Root without
//! capabilities still owns root's files; but it loads no module, traces nobody, reaches no device and no raw socket. Giving
//! up the rest is for `spawn`, in each child.

use std::fmt;
use std::io;

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_no_new_privs,
};

use crate::cred::CAPABILITIES_MAX;

/// A capability that the monitor uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// Its name as manuals have it.
    pub name: &'static str,
    /// What it is used for.
    pub reason: &'static str,
    /// Whether Hostel runs without it, with less.
    pub is_optional: bool,
    set: CapabilitySet,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.reason)
    }
}

const fn needed(name: &'static str, set: CapabilitySet, reason: &'static str) -> Capability {
    Capability {
        name,
        reason,
        is_optional: false,
        set,
    }
}

const fn useful(name: &'static str, set: CapabilitySet, reason: &'static str) -> Capability {
    Capability {
        is_optional: true,
        ..needed(name, set, reason)
    }
}

/// All that the monitor keeps.
pub const MONITOR: &[Capability] = &[
    needed(
        "CAP_SYS_ADMIN",
        CapabilitySet::SYS_ADMIN,
        "namespaces, mounts and pivot_root of a site's sandbox",
    ),
    needed(
        "CAP_SETUID",
        CapabilitySet::SETUID,
        "each process becomes its own user before exec",
    ),
    needed(
        "CAP_SETGID",
        CapabilitySet::SETGID,
        "the same for its group, and supplementary groups are emptied",
    ),
    needed(
        "CAP_SETPCAP",
        CapabilitySet::SETPCAP,
        "bounding sets are emptied, this one and each child's",
    ),
    needed(
        "CAP_CHOWN",
        CapabilitySet::CHOWN,
        "a site's own directories and its logs get its user and group",
    ),
    needed(
        "CAP_DAC_READ_SEARCH",
        CapabilitySet::DAC_READ_SEARCH,
        "directories of sites and of the front are opened though they are closed to others; nothing is written in them",
    ),
    needed(
        "CAP_KILL",
        CapabilitySet::KILL,
        "front and keepers are killed when they do not end",
    ),
    useful(
        "CAP_FOWNER",
        CapabilitySet::FOWNER,
        "homes and temporary directories, which are their site's, are put under a disk quota",
    ),
    useful(
        "CAP_NET_BIND_SERVICE",
        CapabilitySet::NET_BIND_SERVICE,
        "ports below 1024; given up once they are open",
    ),
    useful(
        "CAP_NET_ADMIN",
        CapabilitySet::NET_ADMIN,
        "nft sets the rules of what each site may connect to",
    ),
];

/// Why capabilities were not given up.
#[derive(Debug, thiserror::Error)]
pub enum LowerError {
    /// Some of those that are needed are missing.
    #[error("root lacks {} (hint: a container must give them to its root)", in_words(.0))]
    Lacking(Vec<Capability>),
    /// The kernel refused.
    #[error("cannot give up root's other capabilities")]
    Refused(#[from] io::Error),
}

/// A list as /proc shows sets, one bit each.
pub fn mask(list: &[Capability]) -> u64 {
    all_of(list).bits()
}

/// Which of the list this process does not have.
///
/// # Errors
/// The kernel does not tell.
pub fn lacking(list: &[Capability]) -> io::Result<Vec<Capability>> {
    let present = capabilities(None)?.effective;
    let is_missing = |capability: &&Capability| !present.contains(capability.set);
    Ok(list.iter().filter(is_missing).copied().collect())
}

/// Keep the list, give up everything else, and whatever a program could add. Returns which optional ones were missing.
///
/// # Errors
/// See [`LowerError`].
pub fn lower_to(list: &[Capability]) -> Result<Vec<Capability>, LowerError> {
    let lacking = lacking(list)?;
    if lacking.iter().any(|capability| !capability.is_optional) {
        return Err(LowerError::Lacking(lacking));
    }
    let all = |set: CapabilitySet, capability: &Capability| set | capability.set;
    let kept = list.iter().fold(CapabilitySet::empty(), all);
    keep(kept - all_of(&lacking)).map_err(io::Error::from)?;
    set_no_new_privs(true).map_err(io::Error::from)?;
    Ok(lacking)
}

/// Give up one more, whose work is done.
///
/// # Errors
/// The kernel's.
pub fn give_up(name: &str) -> io::Result<()> {
    let named = MONITOR.iter().filter(|capability| capability.name == name);
    let given_up: Vec<Capability> = named.copied().collect();
    Ok(keep(capabilities(None)?.permitted - all_of(&given_up))?)
}

/// The bounding set first: that needs one of those that may be given up.
fn keep(kept: CapabilitySet) -> Result<(), Errno> {
    for number in 0..CAPABILITIES_MAX {
        if kept.bits() & (1 << number) != 0 {
            continue;
        }
        // SAFETY: takes a bit from this thread.
        match unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) } {
            0 => {}
            _ if number > 0 && errno() == Errno::INVAL => break, // beyond the kernel's last one
            _ => return Err(errno()),
        }
    }
    clear_ambient_capability_set()?;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)
}

fn all_of(list: &[Capability]) -> CapabilitySet {
    let sets = list.iter().map(|capability| capability.set);
    sets.fold(CapabilitySet::empty(), |all, one| all | one)
}

fn errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn in_words(list: &[Capability]) -> String {
    let words: Vec<String> = list.iter().map(ToString::to_string).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_is_gone_and_the_rest_stays() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root has capabilities to give up");
            return;
        }
        // Capabilities are a thread's.
        let thread = std::thread::spawn(|| {
            let missing = lower_to(MONITOR).unwrap();
            let sets = capabilities(None).unwrap();
            let kept = all_of(MONITOR) - all_of(&missing);
            assert_eq!((sets.effective, sets.permitted), (kept, kept));
            assert!(sets.inheritable.is_empty());
            let all: Vec<&str> = MONITOR.iter().map(|capability| capability.name).collect();
            for name in all {
                give_up(name).unwrap_or_else(|error| panic!("{name}: {error}"));
                if name == "CAP_SETPCAP" {
                    break; // without it the bounding set stays as it is
                }
            }
            let error = lower_to(MONITOR).unwrap_err().to_string();
            assert!(
                error.contains("CAP_SYS_ADMIN (namespaces") && error.contains("CAP_SETGID"),
                "{error}"
            );
            let lacking = lacking(MONITOR).unwrap();
            assert!(lacking.iter().any(|one| one.name == "CAP_SETUID"));
            assert!(!lacking.iter().any(|one| one.name == "CAP_CHOWN"));
        });
        thread.join().unwrap();
    }
}
