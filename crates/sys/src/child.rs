//! Start a program of this process's own user with exactly the descriptors that it is to have, and find them on its side.
//!
//! The keeper starts the PHP zygote with it, and [`become_program`] is how the program of a command is begun. It gives no privilege up (that is what the monitor's spawn does) and takes none.
//! It forks only while the process has one thread; all that the child needs is made before, and between fork and exec only
//! system calls are made.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, WaitOptions, waitpid};

use crate::process::thread_count;
use crate::signal::empty_set;

/// What to start.
#[derive(Debug)]
pub struct Program<'a> {
    /// Its absolute path.
    pub path: CString,
    /// Its arguments; the first is the name that it is shown by.
    pub arguments: Vec<CString>,
    /// Its whole environment, `NAME=value` each.
    pub environment: Vec<CString>,
    /// Its descriptors from 3 on. 0, 1 and 2 are the caller's; nothing else is inherited.
    pub descriptors: &'a [BorrowedFd<'a>],
}

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another thread could hold a lock that the child would wait for, for ever.
    #[error("this process has {0} threads and may fork with one only")]
    Threads(usize),
    /// Something that is prepared before the fork, or the fork itself.
    #[error("cannot {0}")]
    Prepare(&'static str, #[source] io::Error),
    /// A step in the child, the last of which is the exec itself.
    #[error("cannot {0} in the new process")]
    Child(&'static str, #[source] io::Error),
}

impl StartError {
    /// The kernel's number for what failed.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Threads(_) => libc::EAGAIN,
            Self::Prepare(_, error) | Self::Child(_, error) => {
                error.raw_os_error().unwrap_or(libc::EIO)
            }
        }
    }
}

/// Start a program. Its signal mask is empty and SIGPIPE has its default action, which a Rust program ignores.
///
/// Waits until the exec has succeeded or failed. Who calls this reaps the child when it ends.
///
/// # Errors
/// See [`StartError`]; no child is left then.
pub fn start(program: &Program<'_>) -> Result<Pid, StartError> {
    let prepare = |what| move |error: io::Error| StartError::Prepare(what, error);
    match thread_count().map_err(prepare("count threads"))? {
        1 => {}
        threads => return Err(StartError::Threads(threads)),
    }
    let arguments = pointers(&program.arguments);
    let environment = pointers(&program.environment);
    let count = RawFd::try_from(program.descriptors.len())
        .map_err(|_| prepare("count descriptors")(io::ErrorKind::InvalidInput.into()))?;
    // Copies above the places where they will stand, so that putting one in its place never covers another.
    let first_free = FIRST_DESCRIPTOR + count;
    let above = |fd| rustix::io::fcntl_dupfd_cloexec(fd, first_free).map_err(io::Error::from);
    let copies: Vec<OwnedFd> = program
        .descriptors
        .iter()
        .map(above)
        .collect::<Result<_, _>>()
        .map_err(prepare("copy descriptors"))?;
    let (report, low) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|error| prepare("make a pipe")(error.into()))?;
    let reporter = above(&low.as_fd()).map_err(prepare("copy descriptors"))?;
    drop(low);
    let plan = Plan {
        path: program.path.as_ptr(),
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
        copies: copies.as_slice(),
        first_free: first_free.cast_unsigned(),
        mask: empty_set(),
        reporter: reporter.as_raw_fd(),
    };
    // SAFETY: this process has one thread, so the child's copy of it holds no lock of another.
    match unsafe { libc::fork() } {
        -1 => Err(prepare("fork")(io::Error::last_os_error())),
        0 => plan.run(),
        child => {
            drop(reporter);
            let pid =
                Pid::from_raw(child).ok_or_else(|| prepare("fork")(io::ErrorKind::Other.into()))?;
            outcome(pid, &report)
        }
    }
}

/// Read what the child has to say: nothing, once its exec has closed the pipe; or a step's number and an errno.
fn outcome(pid: Pid, report: &OwnedFd) -> Result<Pid, StartError> {
    let mut record = [0; REPORT_BYTES];
    let read = loop {
        match rustix::io::read(report, &mut record) {
            Err(rustix::io::Errno::INTR) => {}
            outcome => break outcome.unwrap_or(0),
        }
    };
    if read < REPORT_BYTES {
        return Ok(pid);
    }
    while let Err(rustix::io::Errno::INTR) = waitpid(Some(pid), WaitOptions::empty()) {}
    let [step, a, b, c, d] = record;
    let errno = io::Error::from_raw_os_error(i32::from_ne_bytes([a, b, c, d]));
    let step = STEPS.get(usize::from(step)).copied();
    Err(StartError::Child(step.unwrap_or("start"), errno))
}

/// All that the child needs, made before the fork.
struct Plan<'a> {
    path: *const libc::c_char,
    arguments: *const *const libc::c_char,
    environment: *const *const libc::c_char,
    copies: &'a [OwnedFd],
    first_free: libc::c_uint,
    mask: libc::sigset_t,
    reporter: RawFd,
}

impl Plan<'_> {
    /// The child, from fork to exec. Nothing here allocates, locks or returns.
    fn run(&self) -> ! {
        // 0: the descriptors, each in its place; a copy made so is not close-on-exec.
        for (place, copy) in (FIRST_DESCRIPTOR..).zip(self.copies) {
            // SAFETY: both are descriptors; what stood at `place` belongs to a parent's value that is never used here.
            if unsafe { libc::dup2(copy.as_raw_fd(), place) } < 0 {
                self.fail(0);
            }
        }
        // 1: all others close at exec; the reporter must live until then.
        let flag = libc::CLOSE_RANGE_CLOEXEC;
        // SAFETY: sets a flag on descriptors and closes none.
        if unsafe {
            libc::syscall(
                libc::SYS_close_range,
                self.first_free,
                libc::c_uint::MAX,
                flag,
            )
        } < 0
        {
            self.fail(1);
        }
        // 2: signals as a new process expects them.
        // SAFETY: a valid set; the old mask is not asked for.
        if unsafe {
            libc::sigprocmask(
                libc::SIG_SETMASK,
                &raw const self.mask,
                std::ptr::null_mut(),
            )
        } < 0
        {
            self.fail(2);
        }
        // SAFETY: sets a default action; no handler of ours is concerned.
        if unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) } == libc::SIG_ERR {
            self.fail(2);
        }
        // 3: the program.
        // SAFETY: terminated strings and lists that end in null, all of them still alive in this copy of the parent.
        unsafe { libc::execve(self.path, self.arguments, self.environment) };
        self.fail(3)
    }

    fn fail(&self, step: u8) -> ! {
        // Neither of the two allocates.
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
        let [a, b, c, d] = errno.to_ne_bytes();
        let record = [step, a, b, c, d];
        // SAFETY: a valid buffer of this length. If it cannot be written, the parent has ended.
        unsafe { libc::write(self.reporter, record.as_ptr().cast(), record.len()) };
        // SAFETY: ends the process without running anything of the parent's.
        unsafe { libc::_exit(127) }
    }
}

/// Become another program, found by PATH where its name holds no `/`, with these words and this process's environment and directory.
/// Its signal mask is empty and SIGPIPE has its default action. Returns only if that failed, with why.
pub fn become_program(name: &OsStr, arguments: &[OsString]) -> io::Error {
    Command::new(name).args(arguments).exec()
}

/// Take over a descriptor that this process was started with, close-on-exec from now on. Each number can be taken once.
///
/// # Errors
/// `NotFound` when the process was not given it; `AlreadyExists` when it was taken before.
pub fn inherited_descriptor(number: u8) -> io::Result<OwnedFd> {
    let bit = 1_u64
        .checked_shl(number.into())
        .ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: asks about a number; that it may be no descriptor is what is asked.
    if unsafe { libc::fcntl(number.into(), libc::F_GETFD) } < 0 {
        let missing = format!("this program must be started with descriptor {number} open");
        return Err(io::Error::new(io::ErrorKind::NotFound, missing));
    }
    if TAKEN.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // SAFETY: it is open, and nobody in this process has it: programs take what they were started with, here, and once.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number.into()) };
    rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
    Ok(descriptor)
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    let ends = std::iter::once(std::ptr::null());
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain(ends)
        .collect()
}

/// Where a program's descriptors begin, after input, output and errors.
const FIRST_DESCRIPTOR: RawFd = 3;
/// A step's number and an errno.
const REPORT_BYTES: usize = 5;
/// The steps between fork and exec, as `Plan::run` numbers them.
const STEPS: [&str; 4] = [
    "place descriptors",
    "mark descriptors to be closed",
    "reset signals",
    "execute the program",
];
/// Which descriptors were taken.
static TAKEN: AtomicU64 = AtomicU64::new(0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_does_not_fork() {
        // The test harness runs each test in a thread of its own, so there are at least two.
        let program = Program {
            path: c"/bin/true".into(),
            arguments: vec![c"true".into()],
            environment: Vec::new(),
            descriptors: &[],
        };
        let holder = std::thread::spawn(std::thread::park);
        let outcome = start(&program);
        holder.thread().unpark();
        assert!(holder.join().is_ok());
        assert!(
            matches!(outcome, Err(StartError::Threads(2..))),
            "{outcome:?}"
        );
    }

    #[test]
    fn a_descriptor_that_is_not_there_cannot_be_taken() {
        let error = inherited_descriptor(63).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
