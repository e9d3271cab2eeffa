//! The system calls that the front makes, each with its reason, and the filter that is made of them.
//!
//! A list of what is allowed: unlike a site's, everything that the front does is known. Found by tracing it through its whole life
//! and by reading what its C library does for threads and memory. Whatever is not listed answers ENOSYS, as on a kernel without it: libraries
//! then take an older way (clone3 → clone), and what is refused by mistake is an error in a log and no crash.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// A call that is allowed.
struct Allowed {
    calls: &'static [c_long],
    /// What its arguments must be: all comparisons of one of these lists. Empty: anything.
    when: &'static [&'static [Argument]],
    /// Why; for who reads.
    #[allow(dead_code, reason = "the list is documentation too")]
    reason: &'static str,
}

/// Of the argument of this number, the bits of the mask are these.
#[derive(Clone, Copy)]
struct Argument {
    index: u8,
    mask: u32,
    bits: u32,
}

/// The filter, for this process.
pub(super) fn filter() -> Result<BpfProgram, BackendError> {
    let mut rules = BTreeMap::<i64, Vec<SeccompRule>>::new();
    for allowed in ALLOWED {
        for call in allowed.calls {
            let entry = rules.entry(*call).or_default();
            for conditions in allowed.when {
                let conditions = conditions.iter().map(|argument| {
                    let (mask, bits) = (argument.mask.into(), argument.bits.into());
                    let operator = SeccompCmpOp::MaskedEq(mask);
                    SeccompCondition::new(argument.index, SeccompCmpArgLen::Dword, operator, bits)
                });
                entry.push(SeccompRule::new(conditions.collect::<Result<_, _>>()?)?);
            }
        }
    }
    // Only to itself: that is how a program ends by a signal of its own.
    let own = u64::from(std::process::id());
    let to_itself = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, own)?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![to_itself])?]);
    let not_there = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    SeccompFilter::new(rules, not_there, SeccompAction::Allow, TARGET)?.try_into()
}

const fn always(calls: &'static [c_long], reason: &'static str) -> Allowed {
    Allowed {
        calls,
        when: &[],
        reason,
    }
}

const fn only(
    calls: &'static [c_long],
    when: &'static [&'static [Argument]],
    reason: &'static str,
) -> Allowed {
    Allowed {
        calls,
        when,
        reason,
    }
}

const fn masked(index: u8, mask: libc::c_int, bits: libc::c_int) -> Argument {
    Argument {
        index,
        mask: mask.cast_unsigned(),
        bits: bits.cast_unsigned(),
    }
}

const fn equal(index: u8, value: libc::c_int) -> Argument {
    masked(index, -1, value)
}

const ALLOWED: &[Allowed] = &[
    only(
        &[libc::SYS_openat],
        // With O_PATH the kernel would ignore O_TMPFILE, and open any directory.
        &[&[masked(2, libc::O_TMPFILE | libc::O_PATH, libc::O_TMPFILE)]],
        "spill files: without a name, and nothing else",
    ),
    always(
        &[
            libc::SYS_read,
            libc::SYS_readv,
            libc::SYS_pread64,
            libc::SYS_preadv,
            libc::SYS_preadv2,
            libc::SYS_write,
            libc::SYS_writev,
            libc::SYS_pwrite64,
            libc::SYS_pwritev,
            libc::SYS_sendfile,
            libc::SYS_lseek,
            libc::SYS_ftruncate,
            libc::SYS_close,
            libc::SYS_fstat,
            libc::SYS_newfstatat,
            libc::SYS_statx,
        ],
        "files and sockets that it has; the last three also look at a descriptor, with an empty path",
    ),
    only(
        &[libc::SYS_fcntl],
        &[
            &[equal(1, libc::F_GETFD)],
            &[equal(1, libc::F_SETFD)],
            &[equal(1, libc::F_GETFL)],
            &[equal(1, libc::F_SETFL)],
            &[equal(1, libc::F_DUPFD_CLOEXEC)],
            &[equal(1, libc::F_ADD_SEALS)],
        ],
        "flags and copies of descriptors, the size of shared memory; neither locks, nor leases, nor an owner who is sent signals",
    ),
    only(
        &[libc::SYS_memfd_create],
        &[&[masked(1, !SHARED_MEMORY, 0)]],
        "memory that is shared with a worker; nothing is ever executed, neither by a program's start nor from memory",
    ),
    only(
        &[libc::SYS_ioctl],
        &[&[equal(1, FIONBIO)], &[equal(1, FIONREAD)]],
        "not to wait, and what is there to be read",
    ),
    always(
        &[
            libc::SYS_accept4,
            libc::SYS_recvfrom,
            libc::SYS_recvmsg,
            libc::SYS_sendto,
            libc::SYS_sendmsg,
            libc::SYS_shutdown,
            libc::SYS_getsockname,
            libc::SYS_getpeername,
            libc::SYS_getsockopt,
            libc::SYS_setsockopt,
        ],
        "clients, keepers, workers, the monitor: sockets that it was given or accepted",
    ),
    only(
        &[libc::SYS_socketpair],
        &[&[equal(0, libc::AF_UNIX)]],
        "the stream to a worker; no other socket is made, bound or connected",
    ),
    always(
        &[
            libc::SYS_epoll_create1,
            libc::SYS_epoll_ctl,
            libc::SYS_epoll_pwait,
            libc::SYS_eventfd2,
            libc::SYS_ppoll,
        ],
        "the event loop",
    ),
    #[cfg(target_arch = "x86_64")]
    always(
        &[libc::SYS_epoll_wait, libc::SYS_poll],
        "the same, as this architecture also has it",
    ),
    only(
        &[libc::SYS_clone],
        &[&[masked(
            0,
            NEW_PROCESS | libc::CLONE_THREAD,
            libc::CLONE_THREAD,
        )]],
        "threads that wait for the disk; neither processes nor namespaces",
    ),
    always(
        &[
            libc::SYS_set_robust_list,
            libc::SYS_rseq,
            libc::SYS_sigaltstack,
            libc::SYS_sched_getaffinity,
            libc::SYS_sched_yield,
            libc::SYS_set_tid_address,
            libc::SYS_futex,
            libc::SYS_membarrier,
            libc::SYS_gettid,
            libc::SYS_getpid,
            libc::SYS_exit,
            libc::SYS_exit_group,
        ],
        "the life of a thread, locks, the end",
    ),
    always(
        &[
            libc::SYS_getppid,
            libc::SYS_getuid,
            libc::SYS_geteuid,
            libc::SYS_getgid,
            libc::SYS_getegid,
        ],
        "who it is: libraries take for granted that these never fail",
    ),
    only(
        &[libc::SYS_prctl],
        &[&[equal(0, libc::PR_SET_NAME)]],
        "a thread's name",
    ),
    only(
        &[libc::SYS_mmap, libc::SYS_mprotect],
        &[&[masked(2, libc::PROT_EXEC, 0)]],
        "memory, of which none that is written is ever run",
    ),
    always(
        &[
            libc::SYS_brk,
            libc::SYS_munmap,
            libc::SYS_mremap,
            libc::SYS_madvise,
        ],
        "memory",
    ),
    always(
        &[
            libc::SYS_rt_sigaction,
            libc::SYS_rt_sigprocmask,
            libc::SYS_rt_sigreturn,
            libc::SYS_restart_syscall,
        ],
        "signals to itself, as at an overflow of the stack",
    ),
    always(
        &[
            libc::SYS_clock_gettime,
            libc::SYS_clock_nanosleep,
            libc::SYS_nanosleep,
            libc::SYS_gettimeofday,
            libc::SYS_getrandom,
            libc::SYS_getcpu,
        ],
        "time, where it is not read without a call, and random keys of hash tables",
    ),
];

/// Flags of memfd_create that shared memory needs.
const SHARED_MEMORY: libc::c_int =
    (libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | libc::MFD_NOEXEC_SEAL).cast_signed();
/// Flags of clone that make something else than a thread.
const NEW_PROCESS: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_PTRACE
    | libc::CLONE_VFORK;

#[expect(clippy::cast_possible_truncation, reason = "both are small numbers")]
const FIONBIO: libc::c_int = libc::FIONBIO as libc::c_int;
#[expect(clippy::cast_possible_truncation, reason = "both are small numbers")]
const FIONREAD: libc::c_int = libc::FIONREAD as libc::c_int;

#[cfg(target_arch = "x86_64")]
const TARGET: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const TARGET: TargetArch = TargetArch::aarch64;
#[cfg(target_arch = "riscv64")]
const TARGET: TargetArch = TargetArch::riscv64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_compiles_and_says_nothing_twice() {
        assert!(!filter().unwrap().is_empty());
        let mut calls: Vec<_> = ALLOWED.iter().flat_map(|allowed| allowed.calls).collect();
        let count = calls.len();
        calls.sort();
        calls.dedup();
        assert_eq!(calls.len(), count);
    }

    #[test]
    fn what_opens_starts_or_connects_is_not_on_it() {
        let listed = |call: c_long| {
            let on_it = |allowed: &&Allowed| allowed.calls.contains(&call);
            ALLOWED.iter().find(on_it)
        };
        for call in [
            libc::SYS_openat2,
            libc::SYS_open_by_handle_at,
            libc::SYS_linkat,
            libc::SYS_unlinkat,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_clone3,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_pidfd_send_signal,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_socket,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_connect,
            libc::SYS_io_uring_setup,
            libc::SYS_bpf,
            libc::SYS_prlimit64,
        ] {
            assert!(listed(call).is_none(), "call {call}");
        }
        for call in [
            libc::SYS_openat,
            libc::SYS_clone,
            libc::SYS_mmap,
            libc::SYS_memfd_create,
        ] {
            assert!(listed(call).is_some_and(|allowed| !allowed.when.is_empty()));
        }
    }
}
