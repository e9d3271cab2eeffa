//! The child's half of a spawn: what happens between fork and exec, and nothing else.
//!
//! Run by a copy of the monitor, as root until step 16. One straight line that allocates nothing, takes no lock, never panics and only calls
//! the kernel. `docs/spawn.md` gives each step's reason under the same number.

use std::convert::Infallible;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags, mount, mount_change,
    move_mount, unmount,
};
use rustix::process::{
    Signal, chdir, fchdir, pivot_root, set_parent_process_death_signal, setsid, umask,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities,
    set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::Prepared;
use crate::cred::CAPABILITIES_MAX;
use crate::layers::Layer;
use crate::rlimit;
use crate::sandbox::landlock;
use crate::view::View;

/// The steps of the sequence, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
#[expect(
    missing_docs,
    reason = "named by `in_words` and explained in docs/spawn.md"
)]
pub enum Step {
    Clone = 1,
    PrivateMounts = 2,
    AttachRoot = 3,
    AttachMounts = 4,
    MountProc = 5,
    PivotRoot = 6,
    DetachHost = 7,
    HideControlGroups = 8,
    NewSession = 9,
    ResetSignals = 10,
    LimitResources = 11,
    KeepDescriptors = 12,
    EmptyGroups = 13,
    EmptyBoundingSet = 14,
    ChangeGroup = 15,
    ChangeUser = 16,
    EmptyCapabilities = 17,
    NoNewPrivileges = 18,
    Landlock = 19,
    FilterSystemCalls = 20,
    EndWithParent = 21,
    Exec = 22,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 22] = [
        Self::Clone,
        Self::PrivateMounts,
        Self::AttachRoot,
        Self::AttachMounts,
        Self::MountProc,
        Self::PivotRoot,
        Self::DetachHost,
        Self::HideControlGroups,
        Self::NewSession,
        Self::ResetSignals,
        Self::LimitResources,
        Self::KeepDescriptors,
        Self::EmptyGroups,
        Self::EmptyBoundingSet,
        Self::ChangeGroup,
        Self::ChangeUser,
        Self::EmptyCapabilities,
        Self::NoNewPrivileges,
        Self::Landlock,
        Self::FilterSystemCalls,
        Self::EndWithParent,
        Self::Exec,
    ];

    /// What the step does, as in `docs/spawn.md`.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Clone => "make the process and its namespaces",
            Self::PrivateMounts => "cut the mounts off from the host's",
            Self::AttachRoot => "attach the root of the view",
            Self::AttachMounts => "attach the mounts of the view",
            Self::MountProc => "mount the sandbox's own /proc",
            Self::PivotRoot => "make the view the root",
            Self::DetachHost => "let go of the host's file system",
            Self::HideControlGroups => "hide the control groups above its own",
            Self::NewSession => "start a session, a keyring, set umask",
            Self::ResetSignals => "reset signals",
            Self::LimitResources => "limit resources",
            Self::KeepDescriptors => "keep the expected descriptors only",
            Self::EmptyGroups => "empty the supplementary groups",
            Self::EmptyBoundingSet => "empty the capability bounding set",
            Self::ChangeGroup => "change the group",
            Self::ChangeUser => "change the user",
            Self::EmptyCapabilities => "empty every other capability set",
            Self::NoNewPrivileges => "set no_new_privs",
            Self::Landlock => "restrict files, ports, sockets and signals",
            Self::FilterSystemCalls => "filter system calls",
            Self::EndWithParent => "end with the monitor",
            Self::Exec => "exec the program",
        }
    }
}

/// A step, the kernel's answer, and for a step with several things to do, which of them.
type Failed = (Step, Errno, u32);

/// The child's whole life before the program.
///
/// # Safety
/// To be called in the child of a fork that has one thread, with `prepared` made before the fork.
pub(super) unsafe fn run(prepared: &Prepared<'_>) -> ! {
    let Err((step, errno, index)) = descend(prepared);
    let record = encode([step as u32, errno.raw_os_error().cast_unsigned(), index]);
    // Until step 12 the pipe has its old number, afterwards its new one; a write to the other goes nowhere or fails.
    let reporter = if (step as u32) < Step::KeepDescriptors as u32 {
        prepared.reporter.as_fd()
    } else {
        // SAFETY: step 12 has put the pipe there, or left the number closed, in which case the write fails.
        unsafe { BorrowedFd::borrow_raw(REPORTER) }
    };
    // Nobody is left to tell if this fails; the monitor then sees a child that ended.
    let _ = rustix::io::write(reporter, &record);
    // SAFETY: ends the process at once, without anything of the copied monitor running.
    unsafe { libc::_exit(FAILED_STATUS) }
}

fn descend(prepared: &Prepared<'_>) -> Result<Infallible, Failed> {
    // 1 was the clone.
    if let Some(view) = prepared.view {
        // 2 to 7
        enter(view)?;
        // 8. Not with the clone: there, what stands at the top would be the monitor's group.
        if prepared.layers.has(Layer::OtherNamespaces) {
            own_control_groups().map_err(at(Step::HideControlGroups))?;
        }
    }
    // 9. A signal from a terminal must reach the monitor alone, and so must root's keys. Files of a site are not writable by
    // others by default.
    setsid().map_err(at(Step::NewSession))?;
    own_keyring().map_err(at(Step::NewSession))?;
    umask(Mode::from_raw_mode(0o022));
    // 10
    reset_signals().map_err(at(Step::ResetSignals))?;
    // 11
    let has = |layer| prepared.layers.has(layer);
    if has(Layer::ResourceLimits) {
        rlimit::apply(&prepared.limits).map_err(at(Step::LimitResources))?;
        if prepared.view.is_some() {
            go_first_without_memory().map_err(at(Step::LimitResources))?;
        }
    }
    // 12
    let kept = keep_descriptors(prepared).map_err(at(Step::KeepDescriptors))?;
    if has(Layer::User) {
        // 13
        set_thread_groups(&[]).map_err(at(Step::EmptyGroups))?;
    }
    if has(Layer::Capabilities) {
        // 14. Needs a capability that step 16 takes.
        empty_bounding_set().map_err(at(Step::EmptyBoundingSet))?;
    }
    if has(Layer::User) {
        // 15 and 16
        change_user(prepared)?;
    }
    if has(Layer::Capabilities) {
        // 17
        empty_capabilities().map_err(at(Step::EmptyCapabilities))?;
    }
    // 18
    if has(Layer::NoNewPrivileges) {
        set_no_new_privs(true).map_err(at(Step::NoNewPrivileges))?;
    }
    // 19. Needs step 18.
    if let (Some(rules), Some(number)) = (&prepared.landlock, kept.rules) {
        // SAFETY: step 12 has put the rules there.
        let ruleset = unsafe { BorrowedFd::borrow_raw(number) };
        landlock::install(ruleset, rules.flags).map_err(at(Step::Landlock))?;
    }
    // 20. Needs step 18, and is the last but for what it has to allow.
    if let Some(filters) = &prepared.filters {
        filters.install().map_err(at(Step::FilterSystemCalls))?;
    }
    // 21. After the change of user, which would clear it.
    end_with_monitor().map_err(at(Step::EndWithParent))?;
    // 22
    let errno = exec(prepared, kept.program);
    Err((Step::Exec, errno, 0))
}

/// Steps 15 and 16.
fn change_user(prepared: &Prepared<'_>) -> Result<(), Failed> {
    #[cfg(feature = "controls")]
    if !prepared.layers.has(Layer::Capabilities) {
        controls::keep_capabilities().map_err(at(Step::ChangeUser))?;
    }
    // 15. Before the user: afterwards it would not be allowed.
    let gid = rustix::process::Gid::from_raw(prepared.gid.0);
    set_thread_res_gid(gid, gid, gid).map_err(at(Step::ChangeGroup))?;
    // 16. The file system numbers follow.
    let uid = rustix::process::Uid::from_raw(prepared.uid.0);
    set_thread_res_uid(uid, uid, uid).map_err(at(Step::ChangeUser))?;
    #[cfg(feature = "controls")]
    if !prepared.layers.has(Layer::Capabilities) {
        controls::hand_capabilities_on().map_err(at(Step::ChangeUser))?;
    }
    Ok(())
}

/// Step 17. The change of user emptied three of them, but not the inheritable set.
fn empty_capabilities() -> Result<(), Errno> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    set_capabilities(None, sets)?;
    clear_ambient_capability_set()
}

/// Steps 2 to 7: from the host's file system into the view.
fn enter(view: &View) -> Result<(), Failed> {
    // 2. Or the host would see every mount that follows.
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change(c"/", private).map_err(at(Step::PrivateMounts))?;
    // 3
    let whole = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(&view.root, c"", CWD, view.mount_point.as_c_str(), whole)
        .map_err(at(Step::AttachRoot))?;
    fchdir(&view.root).map_err(at(Step::AttachRoot))?;
    // 4
    for (index, mount) in (0..).zip(&view.mounts) {
        move_mount(&mount.descriptor, c"", CWD, mount.target.as_c_str(), whole)
            .map_err(|errno| (Step::AttachMounts, errno, index))?;
    }
    // 5
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(c"proc", c"proc", c"proc", flags, None::<&CStr>).map_err(at(Step::MountProc))?;
    // 6. The old root comes to lie above the new one, from where step 7 takes it.
    pivot_root(c".", c".").map_err(at(Step::PivotRoot))?;
    // 7
    unmount(c".", UnmountFlags::DETACH).map_err(at(Step::DetachHost))?;
    chdir(c"/").map_err(at(Step::DetachHost))
}

/// Its control group becomes the top of those that it sees: /proc/self/cgroup would name the server's and other sites'.
fn own_control_groups() -> Result<(), Errno> {
    // SAFETY: this process has one thread, and none of its memory or descriptors are concerned.
    answered(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }.into())
}

/// Whoever has a session keyring may read the keys in it and add others: the monitor's would be root's keys for every site to
/// read, and a place where sites leave things for each other. As root, so that no site can use its quota of keys up and then
/// not be started.
fn own_keyring() -> Result<(), Errno> {
    let no_name = std::ptr::null::<libc::c_char>();
    // SAFETY: without a name nothing is read from memory.
    match unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, no_name) } {
        // A kernel without keys, or a container that keeps all within it from them.
        -1 => match errno() {
            Errno::NOSYS | Errno::PERM => Ok(()),
            errno => Err(errno),
        },
        _ => Ok(()),
    }
}

fn at(step: Step) -> impl Fn(Errno) -> Failed {
    move |errno| (step, errno, 0)
}

/// Exec keeps what is ignored (SIGPIPE is, in a Rust program) and what is blocked (the monitor blocks what it reads as events).
fn reset_signals() -> Result<(), Errno> {
    for signal in 1..=SIGNAL_MAX {
        // SAFETY: the default action is none of our code. Signals that have no other action answer with an error.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: fills the set that it is given.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: the set was filled; the old one is not asked for.
    let answer =
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
    answered(answer.into())
}

/// Where the whole host has no memory left, sites are ended before databases, the front and the monitor.
fn go_first_without_memory() -> Result<(), Errno> {
    let file = open(OOM_SCORE, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    match rustix::io::write(&file, SITE_OOM_SCORE) {
        // It may only be raised, and is higher already.
        Ok(_) | Err(Errno::ACCESS) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Where step 12 has put what the later steps need.
struct Kept {
    rules: Option<RawFd>,
    program: Option<RawFd>,
}

/// 0 to 3 as planned; the pipe, the rules and the program behind them until exec closes them; nothing else.
fn keep_descriptors(prepared: &Prepared<'_>) -> Result<Kept, Errno> {
    for (target, descriptor) in (0..).zip(&prepared.descriptors) {
        duplicate(descriptor.as_raw_fd(), target, 0)?;
    }
    duplicate(prepared.reporter.as_raw_fd(), REPORTER, libc::O_CLOEXEC)?;
    let mut next = REPORTER + 1;
    let mut keep = |descriptor: Option<RawFd>| match descriptor {
        Some(descriptor) => {
            duplicate(descriptor, next, libc::O_CLOEXEC)?;
            next += 1;
            Ok::<_, Errno>(Some(next - 1))
        }
        None => Ok(None),
    };
    let rules = prepared.landlock.as_ref();
    let kept = Kept {
        rules: keep(rules.map(|rules| rules.ruleset.as_raw_fd()))?,
        program: keep(prepared.program.as_ref().map(AsRawFd::as_raw_fd))?,
    };
    if prepared.layers.has(Layer::Descriptors) {
        // SAFETY: the descriptors that are closed belong to values that never run again: this process ends in exec or _exit.
        answered(unsafe { libc::syscall(libc::SYS_close_range, next, libc::c_uint::MAX, 0) })?;
    }
    Ok(kept)
}

fn duplicate(from: RawFd, to: RawFd, flags: libc::c_int) -> Result<(), Errno> {
    // SAFETY: `from` is open; what stood on `to` belongs to values that never run again.
    match unsafe { libc::dup3(from, to, flags) } {
        -1 => answered(-1),
        _ => Ok(()),
    }
}

fn empty_bounding_set() -> Result<(), Errno> {
    for capability in 0..CAPABILITIES_MAX {
        // SAFETY: takes a bit from this thread.
        let answer = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        match answered(answer.into()) {
            Ok(()) => {}
            Err(Errno::INVAL) if capability > 0 => break, // beyond the kernel's last one
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Be killed when the monitor ends, and notice if it already has: then nobody reads the report any more.
fn end_with_monitor() -> Result<(), Errno> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // SAFETY: step 12 has put the pipe there.
    let reporter = unsafe { BorrowedFd::borrow_raw(REPORTER) };
    let mut polled = [PollFd::from_borrowed_fd(reporter, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut polled, Some(&now))? {
        0 => Ok(()),
        _ => Err(Errno::PIPE),
    }
}

/// Only returns if it failed.
fn exec(prepared: &Prepared<'_>, program: Option<RawFd>) -> Errno {
    let (directory, flags) = match program {
        Some(program) => (program, libc::AT_EMPTY_PATH),
        None => (libc::AT_FDCWD, 0),
    };
    // SAFETY: the path is terminated; both lists end in a null and point to terminated strings that live.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            directory,
            prepared.path.as_ptr(),
            prepared.arguments.as_ptr(),
            prepared.environment.as_ptr(),
            flags,
        )
    };
    errno()
}

fn answered(answer: libc::c_long) -> Result<(), Errno> {
    match answer {
        0 => Ok(()),
        _ => Err(errno()),
    }
}

fn errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// The size of a report: three numbers of four bytes. Below the size that a pipe takes whole.
pub(super) const RECORD_BYTES: usize = 12;
/// The lowest number for descriptors that wait to be put in place.
pub(super) const FIRST_FREE: RawFd = 16;
/// Where the pipe stands from step 12 to exec, close-on-exec.
const REPORTER: RawFd = 4;
/// The exit status after a step that failed.
const FAILED_STATUS: libc::c_int = 125;
/// Of this process. Opened in the sandbox's own /proc.
const OOM_SCORE: &CStr = c"/proc/self/oom_score_adj";
/// As if it used a fifth of the host's memory more than it does.
const SITE_OOM_SCORE: &[u8] = b"200";
/// Linux has 64 signals.
const SIGNAL_MAX: libc::c_int = 64;

fn encode([a, b, c]: [u32; 3]) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    for (place, number) in record.chunks_exact_mut(4).zip([a, b, c]) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    record
}

pub(super) fn decode(record: [u8; RECORD_BYTES]) -> [u32; 3] {
    let mut numbers = [0; 3];
    for (number, bytes) in numbers.iter_mut().zip(record.chunks_exact(4)) {
        *number = bytes.try_into().map_or(0, u32::from_le_bytes);
    }
    numbers
}

/// What a process without a layer is given instead, in tests that show what the layer is for.
#[cfg(feature = "controls")]
mod controls {
    use rustix::io::Errno;
    use rustix::thread::{
        CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set,
        set_capabilities, set_keep_capabilities,
    };

    /// Across the change of user.
    pub(super) fn keep_capabilities() -> Result<(), Errno> {
        set_keep_capabilities(true)
    }

    /// To the program and all that it starts.
    pub(super) fn hand_capabilities_on() -> Result<(), Errno> {
        let permitted = capabilities(None)?.permitted;
        let sets = CapabilitySets {
            effective: permitted,
            permitted,
            inheritable: permitted,
        };
        set_capabilities(None, sets)?;
        for capability in CapabilitySet::all().iter() {
            if permitted.contains(capability) {
                configure_capability_in_ambient_set(capability, true)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_the_pipe() {
        assert_eq!(decode(encode([19, 2, 7])), [19, 2, 7]);
    }

    #[test]
    fn steps_are_numbered_from_one_without_gaps_as_in_the_document() {
        let document = include_str!("../../../../docs/spawn.md");
        for (index, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, index + 1);
            let heading = format!("{}. **{}**", index + 1, step.in_words());
            assert!(
                document.contains(&heading),
                "docs/spawn.md lacks '{heading}'"
            );
        }
        assert!(!document.contains(&format!("\n{}. ", Step::ALL.len() + 1)));
    }
}
