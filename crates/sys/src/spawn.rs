//! From fork to exec: the one sequence by which a process with less privilege comes from the monitor.
//!
//! The parent half runs in the monitor as root, the child half as root too until step 16, in a copy of the monitor's memory.
//! The child trusts what the parent prepared and nothing else; it allocates nothing, takes no lock, calls the
//! kernel only, and follows no path that a site could have changed. The steps have the same numbers in `docs/spawn.md`.
//! A step that fails is reported as a record of fixed size up a close-on-exec pipe. It decides nothing: who runs what is the
//! plan's.

use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::cred::{Gid, Uid};
use crate::layers::{Layer, Layers};
use crate::process::thread_count;
use crate::rlimit::Limits;
use crate::sandbox::SandboxError;
use crate::sandbox::calls::SITES;
use crate::sandbox::landlock::Rules;
use crate::sandbox::seccomp::Filters;
use crate::signal::Ending;
use crate::view::View;

mod steps;

pub use steps::Step;

/// What to run, and as whom.
pub struct Plan<'a> {
    /// The program: the path inside of the view, or an open descriptor.
    pub program: Program<'a>,
    /// Its arguments, its own name first.
    pub arguments: &'a [CString],
    /// Its whole environment, as `NAME=value`.
    pub environment: &'a [CString],
    /// Its user.
    pub uid: Uid,
    /// Its only group.
    pub gid: Gid,
    /// What it finds on descriptors 0, 1, 2 and 3. It finds no others.
    pub descriptors: [BorrowedFd<'a>; 4],
    /// Bounds of the process itself; lowered to those of this process.
    pub limits: Limits,
    /// The control group in which it is born, an open directory; `None`: this process's.
    pub group: Option<BorrowedFd<'a>>,
    /// The sandbox's file system; with it come namespaces of its own. Without: the host's, for the front.
    pub view: Option<View>,
    /// The ports to which a process in a view may make TCP connections; `None` for all.
    pub tcp_ports: Option<Vec<u16>>,
    /// Which layers are put in place.
    pub layers: Layers,
}

/// Which program to exec.
#[derive(Debug, Clone, Copy)]
pub enum Program<'a> {
    /// By its path inside of the view.
    InView(&'a CStr),
    /// By descriptor, so that the directory that it is in may be closed to its user.
    Descriptor(BorrowedFd<'a>),
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFailed {
    /// Which one.
    pub step: Step,
    /// The kernel's answer.
    pub errno: i32,
    /// What it was done to, where a step has several things to do.
    pub what: Option<String>,
}

impl std::error::Error for StepFailed {}

impl fmt::Display for StepFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {} ({})", self.step as u32, self.step.in_words())?;
        if let Some(what) = &self.what {
            write!(f, " at {what}")?;
        }
        write!(f, ": {}", io::Error::from_raw_os_error(self.errno))
    }
}

/// Why no process was made.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// A fork copies the calling thread only: locks that others hold would never be released in the child.
    #[error("refusing to fork: the process has {0} threads, it must have exactly one")]
    Threads(usize),
    /// The pipe, copies of descriptors, or the look at /proc failed.
    #[error("cannot prepare the spawn")]
    Prepare(#[source] io::Error),
    /// The rules and filters for it could not be made.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The first step failed, the one that the parent does.
    #[error(transparent)]
    Step(StepFailed),
}

/// A process on its way to exec.
#[derive(Debug)]
pub struct Child {
    /// Its process id in this process's namespace.
    pub pid: u32,
    /// Readable when it has ended; signals and waiting go through it.
    pub pidfd: OwnedFd,
    /// The pipe of [`progress`](Self::progress), to be polled for reading.
    pub report: OwnedFd,
    mounts: Vec<CString>,
}

/// How far a child has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Not there yet.
    Pending,
    /// Exec happened, or the child ended before; its pidfd tells which.
    Started,
    /// A step failed and the child has ended.
    Failed(StepFailed),
}

impl Child {
    /// A process that reached exec as a child of an earlier program of this process.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub fn resumed(pid: u32, pidfd: OwnedFd) -> io::Result<Self> {
        // The other end is closed at once, as by an exec.
        let (report, _) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self {
            pid,
            pidfd,
            report,
            mounts: Vec::new(),
        })
    }

    /// Read the report without waiting.
    ///
    /// # Errors
    /// The pipe cannot be read, or holds something that is not a report.
    pub fn progress(&self) -> io::Result<Progress> {
        let mut record = [0; steps::RECORD_BYTES];
        match rustix::io::read(&self.report, &mut record) {
            Ok(0) => Ok(Progress::Started),
            Ok(steps::RECORD_BYTES) => self.decode(record).map(Progress::Failed),
            Ok(_) => Err(io::ErrorKind::InvalidData.into()),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Progress::Pending),
            Err(error) => Err(error.into()),
        }
    }

    /// End it at once. It may have ended already, which is what is wanted.
    pub fn kill(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// How it ended, `None` while it runs. Frees its process id; to be asked no more afterwards.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ended(&self) -> io::Result<Option<Ending>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let status = match waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
            Ok(Some(status)) => status,
            Ok(None) | Err(Errno::INTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let byte = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
        Ok(Some(match status.terminating_signal() {
            Some(signal) => Ending::Signalled(byte(signal)),
            None => Ending::Exited(byte(status.exit_status().unwrap_or(-1))),
        }))
    }

    fn decode(&self, record: [u8; steps::RECORD_BYTES]) -> io::Result<StepFailed> {
        let [step, errno, index] = steps::decode(record);
        let step = Step::ALL
            .into_iter()
            .find(|known| *known as u32 == step)
            .ok_or(io::ErrorKind::InvalidData)?;
        let what = match step {
            Step::AttachMounts => usize::try_from(index)
                .ok()
                .and_then(|index| self.mounts.get(index))
                .map(|target| format!("/{}", target.to_string_lossy())),
            _ => None,
        };
        let errno = errno.cast_signed();
        Ok(StepFailed { step, errno, what })
    }
}

/// Start the process of `plan`. Returns before it has reached exec: see [`Child::progress`].
///
/// # Errors
/// See [`SpawnError`].
pub fn spawn(plan: Plan<'_>) -> Result<Child, SpawnError> {
    let threads = thread_count().map_err(SpawnError::Prepare)?;
    if threads != 1 {
        return Err(SpawnError::Threads(threads));
    }
    let (report, reporter) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        .map_err(|error| SpawnError::Prepare(error.into()))?;
    let prepared = Prepared::new(&plan, reporter.as_fd())?;
    let flags = plan.view.as_ref().map_or(0, |_| namespaces(plan.layers));
    let group = plan.group.filter(|_| plan.layers.has(Layer::ControlGroup));
    let (pid, pidfd) = match clone(flags, group) {
        // SAFETY: this is the only thread of the child, and `run` keeps to what a child of a fork may do.
        Ok(None) => unsafe { steps::run(&prepared) },
        Ok(Some(child)) => child,
        Err(error) => {
            return Err(SpawnError::Step(StepFailed {
                step: Step::Clone,
                errno: error.raw_os_error().unwrap_or(0),
                what: None,
            }));
        }
    };
    let mounts = match plan.view {
        Some(view) => view.mounts.into_iter().map(|mount| mount.target).collect(),
        None => Vec::new(),
    };
    Ok(Child {
        pid,
        pidfd,
        report,
        mounts,
    })
}

/// Everything that the child needs, allocated before the fork.
pub(crate) struct Prepared<'a> {
    pub(crate) view: Option<&'a View>,
    pub(crate) limits: Limits,
    pub(crate) layers: Layers,
    /// Copies of the plan's descriptors, with numbers above all of their targets.
    pub(crate) descriptors: [OwnedFd; 4],
    pub(crate) reporter: OwnedFd,
    /// The program, where it is a descriptor.
    pub(crate) program: Option<OwnedFd>,
    /// The program's path; empty where it is a descriptor.
    pub(crate) path: &'a CStr,
    /// Pointers into the plan, with a null at the end.
    pub(crate) arguments: Vec<*const libc::c_char>,
    pub(crate) environment: Vec<*const libc::c_char>,
    /// What the variable in the environment points to; never looked at.
    #[cfg(feature = "controls")]
    _without: Option<CString>,
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    /// What the process can reach; its descriptor's number is above all targets too. The front restricts itself.
    pub(crate) landlock: Option<Rules>,
    /// What system calls it cannot make.
    pub(crate) filters: Option<Filters>,
}

impl<'a> Prepared<'a> {
    fn new(plan: &'a Plan<'_>, reporter: BorrowedFd<'_>) -> Result<Self, SpawnError> {
        let lift = |descriptor: BorrowedFd<'_>| lift(descriptor).map_err(SpawnError::Prepare);
        let [a, b, c, d] = plan.descriptors;
        let (program, path) = match plan.program {
            Program::InView(path) => (None, path),
            Program::Descriptor(descriptor) => (Some(lift(descriptor)?), c""),
        };
        let landlock = match landlock(plan)? {
            Some(rules) => Some(Rules {
                ruleset: lift(rules.ruleset.as_fd())?,
                ..rules
            }),
            None => None,
        };
        let environment = pointers(plan.environment);
        #[cfg(feature = "controls")]
        let (without, environment) = with_variable(plan.layers.variable(), environment);
        Ok(Self {
            view: plan.view.as_ref(),
            limits: plan.limits,
            layers: plan.layers,
            descriptors: [lift(a)?, lift(b)?, lift(c)?, lift(d)?],
            reporter: lift(reporter)?,
            program,
            path,
            arguments: pointers(plan.arguments),
            environment,
            #[cfg(feature = "controls")]
            _without: without,
            uid: plan.uid,
            gid: plan.gid,
            landlock,
            filters: filters(plan)?,
        })
    }
}

/// The rules for a process in a view.
fn landlock(plan: &Plan<'_>) -> Result<Option<Rules>, SandboxError> {
    match &plan.view {
        Some(view) if plan.layers.has(Layer::Landlock) => {
            Ok(Rules::new(view.files(), plan.tcp_ports.as_deref())?)
        }
        _ => Ok(None),
    }
}

/// The filters for a process in a view.
fn filters(plan: &Plan<'_>) -> Result<Option<Filters>, SandboxError> {
    match plan.view {
        Some(_) if plan.layers.has(Layer::SystemCalls) => Ok(Some(Filters::compile(SITES)?)),
        _ => Ok(None),
    }
}

/// Those of step 1. The mount namespace always, or the child would turn the host's file system over.
fn namespaces(layers: Layers) -> libc::c_int {
    [
        (Layer::ProcessNamespace, libc::CLONE_NEWPID),
        (Layer::IpcNamespace, libc::CLONE_NEWIPC),
        (Layer::OtherNamespaces, libc::CLONE_NEWUTS),
    ]
    .into_iter()
    .filter(|(layer, _)| layers.has(*layer))
    .fold(libc::CLONE_NEWNS, |flags, (_, flag)| flags | flag)
}

/// The environment with the variable that tells a program of a test what it is to do without.
#[cfg(feature = "controls")]
fn with_variable(
    variable: Option<CString>,
    mut environment: Vec<*const libc::c_char>,
) -> (Option<CString>, Vec<*const libc::c_char>) {
    if let Some(variable) = &variable {
        // The string stays where it is when its owner moves.
        environment.insert(0, variable.as_ptr());
    }
    (variable, environment)
}

/// A copy of a descriptor whose number is none of those that the child puts others on.
fn lift(descriptor: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(
        descriptor,
        steps::FIRST_FREE,
    )?)
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

/// Step 1. `None` in the child, the child's id and pidfd in the parent.
fn clone(flags: libc::c_int, group: Option<BorrowedFd<'_>>) -> io::Result<Option<(u32, OwnedFd)>> {
    let mut pidfd: RawFd = -1;
    let flags = u64::from((flags | libc::CLONE_PIDFD).cast_unsigned());
    let (flags, cgroup) = match group {
        // Born there, it is never counted or scheduled anywhere else.
        Some(group) => (flags | CLONE_INTO_CGROUP, group.as_raw_fd()),
        None => (flags, 0),
    };
    let settings = libc::clone_args {
        flags,
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: u64::from(cgroup.cast_unsigned()),
    };
    // SAFETY: 1. the settings are valid for their size; 2. without CLONE_VM and a stack this is a fork, and there is one thread.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const settings,
            size_of_val(&settings),
        )
    };
    match answer {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        pid => {
            // SAFETY: the kernel has just put a new descriptor there, and nothing else owns it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = u32::try_from(pid).map_err(|_| io::ErrorKind::InvalidData)?;
            Ok(Some((pid, pidfd)))
        }
    }
}

/// Linux 5.7; too large for the type that libc gives the others.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
