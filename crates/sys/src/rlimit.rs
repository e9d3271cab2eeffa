//! The bounds that the kernel puts on each process or user by itself (setrlimit).
//!
//! Applied by the child of a spawn, as root, before it gives its privileges up; nothing in a sandbox can raise them again. They
//! are only ever lowered: root in a container may lack the right to raise one (CAP_SYS_RESOURCE). They do not bound a site as a
//! whole: what control groups bound, when there are any, is left to those (`cgroup`).

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The bounds that differ from process to process. The others are the same for all: see `apply`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most descriptors that one process may open.
    pub open_files: u64,
    /// The most processes and threads of its user, in all sandboxes and outside of them; `None` where a control group
    /// counts those of the sandbox.
    pub processes: Option<u64>,
    /// The most bytes that one process may map privately and write to: its heap. `None` where a control group counts all memory.
    /// The whole address space is not bounded, since OPcache's shared memory and what is merely reserved would count; so this
    /// leaves out what processes share with each other.
    pub data_bytes: Option<u64>,
}

/// Lower every bound, soft and hard. Keeps to what the child of a fork may do.
pub(crate) fn apply(limits: &Limits) -> Result<(), Errno> {
    lower(Resource::Nofile, limits.open_files)?;
    if let Some(processes) = limits.processes {
        lower(Resource::Nproc, processes)?;
    }
    if let Some(bytes) = limits.data_bytes {
        lower(Resource::Data, bytes)?;
    }
    for (resource, max) in FOR_ALL {
        lower(resource, max)?;
    }
    Ok(())
}

fn lower(resource: Resource, max: u64) -> Result<(), Errno> {
    let present = getrlimit(resource).maximum;
    let max = Some(present.map_or(max, |present| present.min(max)));
    let limit = Rlimit {
        current: max,
        maximum: max,
    };
    setrlimit(resource, limit)
}

/// What holds for everything that is spawned.
const FOR_ALL: [(Resource, u64); 6] = [
    // A core file would hold a visitor's data, and fill the disk.
    (Resource::Core, 0),
    // Locked memory cannot be taken back; so much is what keys in memory need (libsodium).
    (Resource::Memlock, 64 << 10),
    // Counted per user, not per sandbox; the kernel's own default.
    (Resource::Msgqueue, 819_200),
    // Queued signals and timers: kernel memory of the user's.
    (Resource::Sigpending, 1024),
    // Neither before others' processes by a real-time schedule, nor by a better nice value.
    (Resource::Rtprio, 0),
    (Resource::Nice, 0),
];
