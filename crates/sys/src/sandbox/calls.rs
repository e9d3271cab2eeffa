//! The system calls that are denied, as data: which, with which arguments, what they answer, and why.
//!
//! Read by [`Filters`](super::Filters), which makes a seccomp filter of it. A list of what is denied, not of what is allowed: what a
//! site runs (PHP and its modules, git, node, ImageMagick, a database's client) is not known beforehand. It follows what
//! container hosts and systemd's groups (@mount, @module, @raw-io, @reboot, @swap, @clock, @debug, @obsolete) deny. What
//! can harm nobody but who calls it stays.
//!
//! - [`SITES`]: for every process of a site.
//! - [`SCRIPTS`]: the slot for what Hostel's own programs may do in a site, and a site's code may not. A worker puts it in place
//!   itself before its first script. A feature that needs, say, `userfaultfd` in the zygote moves that entry from `SITES` to
//!   `SCRIPTS`; whatever runs a site's code without being a worker has to call
//!   [`restrict_scripts`](super::restrict_scripts) as a worker does.

use libc::c_long;

/// System calls that are denied for one reason.
#[derive(Debug)]
pub struct Denied {
    /// Each with its name, as `SYS_…`.
    pub calls: &'static [(&'static str, c_long)],
    /// With which arguments.
    pub when: When,
    /// What the caller is told.
    pub answer: Answer,
    /// Why.
    pub reason: &'static str,
}

/// Which arguments make a system call a denied one.
#[derive(Debug)]
pub enum When {
    /// Any.
    Always,
    /// Those to which all comparisons of one of these lists apply.
    Any(&'static [&'static [Argument]]),
}

/// A comparison of an argument's lower 32 bits: all that the kernel looks at in those that are compared here.
#[derive(Debug)]
pub struct Argument {
    /// Which: 0 is the first.
    pub index: u8,
    /// Compared how.
    pub is: Is,
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy)]
pub enum Is {
    /// It is this.
    Equal(u32),
    /// It is anything but this.
    Not(u32),
    /// Of it, the bits of the first number are as in the second.
    Masked(u32, u32),
}

/// What a denied system call answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// EPERM, as for somebody without the privilege.
    NotPermitted,
    /// ENOSYS, as on a kernel that lacks it: libraries then take an older way.
    NotThere,
    /// Success, and nothing was done.
    AsIfDone,
}

impl Answer {
    /// The number that the caller finds in errno; 0 for success.
    pub fn errno(self) -> u32 {
        match self {
            Self::NotPermitted => libc::EPERM.cast_unsigned(),
            Self::NotThere => libc::ENOSYS.cast_unsigned(),
            Self::AsIfDone => 0,
        }
    }
}

macro_rules! calls {
    ($($call:ident)*) => { &[$((stringify!($call), libc::$call)),*] };
}

const fn denied(calls: &'static [(&'static str, c_long)], reason: &'static str) -> Denied {
    Denied {
        calls,
        when: When::Always,
        answer: Answer::NotPermitted,
        reason,
    }
}

const fn denied_when(
    calls: &'static [(&'static str, c_long)],
    arguments: &'static [&'static [Argument]],
    reason: &'static str,
) -> Denied {
    Denied {
        calls,
        when: When::Any(arguments),
        answer: Answer::NotPermitted,
        reason,
    }
}

const fn not_there(calls: &'static [(&'static str, c_long)], reason: &'static str) -> Denied {
    Denied {
        calls,
        when: When::Always,
        answer: Answer::NotThere,
        reason,
    }
}

const fn equal(index: u8, value: u32) -> Argument {
    Argument {
        index,
        is: Is::Equal(value),
    }
}

const fn not(index: u8, value: u32) -> Argument {
    Argument {
        index,
        is: Is::Not(value),
    }
}

const fn masked(index: u8, mask: u32, value: u32) -> Argument {
    Argument {
        index,
        is: Is::Masked(mask, value),
    }
}

/// A flag of clone's first argument.
const fn flag(flag: libc::c_int) -> Argument {
    masked(0, flag.cast_unsigned(), flag.cast_unsigned())
}

const fn bits(number: libc::c_int) -> u32 {
    number.cast_unsigned()
}

/// For every process of a site. Most of it needs a capability and fails anyway: denied here, the code behind it, with
/// whatever is wrong in it, is not even reached.
pub const SITES: &[Denied] = &[
    denied(
        calls![SYS_mount SYS_umount2 SYS_pivot_root SYS_chroot SYS_fsopen SYS_fsconfig SYS_fsmount SYS_fspick SYS_move_mount
            SYS_open_tree SYS_mount_setattr],
        "changes which files a process sees; the view is made once",
    ),
    not_there(
        // By number: the library does not name them all. They are the same on all processors.
        &[
            ("SYS_statmount", 457),
            ("SYS_listmount", 458),
            ("SYS_lsm_get_self_attr", 459),
            ("SYS_lsm_set_self_attr", 460),
            ("SYS_lsm_list_modules", 461),
        ],
        "new ways to learn of mounts and to set labels, which no program needs yet",
    ),
    denied(
        calls![SYS_unshare SYS_setns],
        "a namespace of one's own makes root of anybody within it, and opens the kernel's code for root",
    ),
    denied_when(
        calls![SYS_clone],
        &[
            &[flag(libc::CLONE_NEWUSER)],
            &[flag(libc::CLONE_NEWNS)],
            &[flag(libc::CLONE_NEWPID)],
            &[flag(libc::CLONE_NEWNET)],
            &[flag(libc::CLONE_NEWIPC)],
            &[flag(libc::CLONE_NEWUTS)],
            &[flag(libc::CLONE_NEWCGROUP)],
        ],
        "the same; a fork and a thread stay what they are",
    ),
    not_there(
        calls![SYS_clone3],
        "its flags lie in memory, where no filter sees them; libraries then use clone",
    ),
    denied(
        calls![SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_process_madvise SYS_pidfd_getfd SYS_kcmp],
        "looks into another process or changes it",
    ),
    denied(
        calls![SYS_bpf SYS_perf_event_open SYS_lookup_dcookie],
        "programs within the kernel and its measuring: a source of holes, of no use to a site",
    ),
    denied_when(
        calls![SYS_userfaultfd],
        &[&[masked(0, USERFAULTFD_USER_MODE_ONLY, 0)]],
        "lets a process hold the kernel in the middle of a copy, a tool of many attacks on it. One that only concerns its own code a worker \
         makes for itself, before its first script",
    ),
    not_there(
        calls![SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register],
        "makes system calls that no filter sees; libraries then use the usual ones",
    ),
    denied(
        calls![SYS_keyctl SYS_add_key SYS_request_key],
        "keys are not kept apart by namespaces, and their store has had many holes",
    ),
    denied(
        calls![SYS_init_module SYS_finit_module SYS_delete_module SYS_kexec_load SYS_kexec_file_load SYS_reboot SYS_swapon
            SYS_swapoff SYS_acct SYS_quotactl SYS_quotactl_fd SYS_sethostname SYS_setdomainname SYS_vhangup SYS_nfsservctl],
        "administers the machine",
    ),
    denied(
        calls![SYS_settimeofday SYS_clock_settime SYS_clock_adjtime SYS_adjtimex],
        "sets the machine's clock",
    ),
    denied(
        calls![SYS_syslog],
        "the kernel's log names addresses, devices and what other sites' processes did",
    ),
    denied(
        calls![SYS_open_by_handle_at SYS_name_to_handle_at],
        "opens a file without a path, and so past the view",
    ),
    denied(
        calls![SYS_fanotify_init SYS_fanotify_mark],
        "watches whole file systems",
    ),
    denied(
        calls![SYS_mbind SYS_set_mempolicy SYS_set_mempolicy_home_node SYS_migrate_pages SYS_move_pages],
        "tells where on the machine memory lies: other sites' share of it, and holes",
    ),
    denied(
        calls![SYS_vmsplice SYS_remap_file_pages],
        "shares pages of memory in ways that have led to writing into files that are read-only",
    ),
    denied_when(
        calls![SYS_personality],
        &[&[not(0, 0), not(0, u32::MAX)]],
        "switches protection of memory off, and paths of the kernel on that nobody else takes",
    ),
    denied_when(
        calls![SYS_ioctl],
        &[&[equal(1, TIOCSTI)], &[equal(1, TIOCLINUX)]],
        "types at the terminal of whoever started the server",
    ),
    denied_when(
        calls![SYS_ioctl],
        &[&[equal(1, FS_IOC_FSSETXATTR)], &[equal(1, FS_IOC_SETFLAGS)]],
        "the owner of a file may give it to another project, and so take it out of the quota that bounds the site's disk space",
    ),
    denied_when(
        calls![SYS_mknodat],
        &[
            &[masked(2, libc::S_IFMT, libc::S_IFBLK)],
            &[masked(2, libc::S_IFMT, libc::S_IFCHR)],
        ],
        "makes a device",
    ),
    #[cfg(target_arch = "x86_64")]
    denied_when(
        calls![SYS_mknod],
        &[
            &[masked(1, libc::S_IFMT, libc::S_IFBLK)],
            &[masked(1, libc::S_IFMT, libc::S_IFCHR)],
        ],
        "makes a device",
    ),
    #[cfg(target_arch = "x86_64")]
    denied(calls![SYS_iopl SYS_ioperm], "reaches the machine's ports"),
    #[cfg(target_arch = "x86_64")]
    denied(
        calls![SYS_modify_ldt SYS_uselib SYS_ustat SYS_sysfs SYS__sysctl],
        "old, hardly tested and used by nothing of today",
    ),
    denied_when(
        calls![SYS_socket],
        &[
            &[
                not(0, bits(libc::AF_UNIX)),
                not(0, bits(libc::AF_INET)),
                not(0, bits(libc::AF_INET6)),
                not(0, bits(libc::AF_NETLINK)),
            ],
            &[
                equal(0, bits(libc::AF_NETLINK)),
                not(2, bits(libc::NETLINK_ROUTE)),
            ],
            &[
                not(0, bits(libc::AF_NETLINK)),
                masked(1, SOCKET_TYPE, bits(libc::SOCK_RAW)),
            ],
            &[masked(1, SOCKET_TYPE, SOCK_PACKET)],
            &[
                not(0, bits(libc::AF_UNIX)),
                not(0, bits(libc::AF_NETLINK)),
                not(2, 0),
                not(2, bits(libc::IPPROTO_TCP)),
                not(2, bits(libc::IPPROTO_UDP)),
                not(2, bits(libc::IPPROTO_ICMP)),
                not(2, bits(libc::IPPROTO_ICMPV6)),
            ],
        ],
        "a site speaks TCP, UDP and Unix sockets; asking the routing table is what looking up a name does. Raw and packet sockets \
         forge, vsock leads to a hypervisor, and dozens of other families are code that nobody tests. MPTCP and SCTP would pass \
         rules for TCP",
    ),
    denied_when(
        calls![SYS_socketpair],
        &[&[not(0, bits(libc::AF_UNIX))]],
        "the same",
    ),
    Denied {
        calls: calls![SYS_setsockopt],
        when: When::Any(&[&[
            equal(1, bits(libc::SOL_SOCKET)),
            equal(2, bits(libc::SO_LINGER)),
        ]]),
        answer: Answer::AsIfDone,
        reason: "whoever closes such a socket last waits until its peer has read everything. Sent to the front by a worker, it would \
                 hold the front, and so all sites, even where the front takes no descriptor. A library that asks for it does not \
                 mind that closing is quick",
    },
];

/// For site code, from the moment before the first script: see the head of this file.
pub const SCRIPTS: &[Denied] = &[
    denied_when(
        calls![SYS_prctl],
        &[&[equal(0, bits(libc::PR_SET_DUMPABLE)), not(1, 0)]],
        "a worker is unreadable to others of its user, and a script must not undo that",
    ),
    denied(
        calls![SYS_userfaultfd],
        "a worker has made the one that it needs",
    ),
];

/// The first number of a system call that does not exist in a site, though newer kernels have it: what a call does that nobody knew
/// when this list was made, the list cannot say. Since Linux 5.1 the numbers are the same on all processors; the last one before
/// is `mseal`. Behind it are `open_tree_attr` and `file_setattr`, which would have to be denied.
pub(super) const UNKNOWN_SINCE: u32 = 463;
/// asm-generic/ioctls.h: put a character into a terminal's input.
const TIOCSTI: u32 = 0x5412;
/// The same for the console, and pasting.
const TIOCLINUX: u32 = 0x541c;
/// linux/fs.h: set a file's project, and whether what is made in a directory inherits it. The latter also by the older call.
const FS_IOC_FSSETXATTR: u32 = 0x401c_5820;
const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
/// linux/userfaultfd.h: page faults of the process's own code alone, never of the kernel's.
const USERFAULTFD_USER_MODE_ONLY: u32 = 1;
/// The oldest way to a packet socket, by its type instead of its family.
const SOCK_PACKET: u32 = 10;
/// Of a socket's type, without SOCK_CLOEXEC and SOCK_NONBLOCK.
const SOCKET_TYPE: u32 = 0xf;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_says_why() {
        for entry in [SITES, SCRIPTS].into_iter().flatten() {
            assert!(
                !entry.calls.is_empty() && entry.reason.len() > 7,
                "{entry:?}"
            );
            for (name, number) in entry.calls {
                assert!(name.starts_with("SYS_") && *number >= 0, "{name}");
            }
        }
    }
}
