//! The front's own sandbox: it makes unnamed files in its spill directory, and opens, runs and starts nothing else.
//!
//! Put in place by the front itself, once the monitor has given it that directory and before it takes a byte from the network; threads
//! that come later inherit it. Landlock closes all files but those beneath the directory, in which none can be given a name,
//! and TCP ports, abstract sockets and signals. The filter of [`calls`] allows by name what the front does and
//! nothing besides, so that whoever takes it over finds little of the kernel to attack. It does not
//! limit what goes through descriptors that the front has: sites' sockets and files, logs, clients.

use std::io;
use std::os::fd::BorrowedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};

use crate::cred::Dropped;
use crate::process::thread_count;

mod calls;

/// Why the sandbox is not in place. The only right answer is to end.
#[derive(Debug, thiserror::Error)]
pub enum FrontSandboxError {
    /// A thread that is there already would stay outside.
    #[error("cannot close the sandbox: the process has {0} threads, it must have exactly one")]
    Threads(usize),
    /// Threads cannot be counted.
    #[error("cannot count the process's threads in /proc/self/task: {0}")]
    Count(io::Error),
    /// The rules for files, ports and signals.
    #[error("cannot put Landlock's rules in place: {0}")]
    Landlock(#[from] RulesetError),
    /// The list of system calls is wrong.
    #[error("cannot make the filter of system calls: {0}")]
    Compile(#[from] seccompiler::BackendError),
    /// The kernel refused the filter.
    #[error(
        "cannot filter system calls: {0} (hint: a kernel with CONFIG_SECCOMP_FILTER is needed)"
    )]
    Install(#[from] seccompiler::Error),
}

/// What of Landlock's rules the kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforced {
    /// All.
    Whole,
    /// Those for files, but not all of ports, abstract sockets and signals; the filter closes these.
    Partly,
    /// None. The filter holds: nothing can be opened but unnamed files, in any directory that the front's user may write.
    Not,
}

/// Close the sandbox around this process, for good. `spill` is the directory in which it may make unnamed files.
///
/// # Errors
/// See [`FrontSandboxError`].
pub fn enter(spill: BorrowedFd<'_>, _: &Dropped) -> Result<Enforced, FrontSandboxError> {
    match thread_count().map_err(FrontSandboxError::Count)? {
        1 => {}
        count => return Err(FrontSandboxError::Threads(count)),
    }
    let enforced = restrict_files(spill)?;
    seccompiler::apply_filter(&calls::filter()?)?;
    Ok(enforced)
}

/// Landlock's part. Making a file without a name asks for no right to make one, and giving it one would.
fn restrict_files(spill: BorrowedFd<'_>) -> Result<Enforced, RulesetError> {
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(TESTED))?
        .handle_access(AccessNet::from_all(TESTED))?
        .scope(Scope::from_all(TESTED))?
        .create()?
        .add_rule(PathBeneath::new(spill, SPILL))?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Enforced::Whole,
        RulesetStatus::PartiallyEnforced => Enforced::Partly,
        RulesetStatus::NotEnforced => Enforced::Not,
    })
}

/// The newest interface whose rights were tried.
const TESTED: ABI = ABI::V7;
/// What may be done with files beneath the spill directory: neither made by name, nor listed, nor removed.
const SPILL: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | WriteFile});

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::{AsFd, AsRawFd};
    use std::path::PathBuf;

    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};
    use rustix::io::Errno;
    use rustix::net::{
        AddressFamily, SocketAddrUnix, SocketType, bind, connect, socket, socket_with,
    };

    use super::*;

    /// Run it on a thread of its own: both barriers hold for the thread that puts them up, and so end with it.
    fn alone(test: impl FnOnce() + Send + 'static) {
        std::thread::spawn(test).join().unwrap();
    }

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("hostel-{name}-{}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn unnamed(directory: &File) -> Result<File, Errno> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        Ok(openat(directory, ".", flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    #[test]
    fn landlock_leaves_unnamed_files_and_no_others() {
        let directory = Directory::new("front-landlock");
        let path = directory.0.clone();
        std::fs::write(path.join("there"), "x").unwrap();
        alone(move || {
            let spill = File::open(&path).unwrap();
            let elsewhere = File::open(std::env::temp_dir()).unwrap();
            let read = OFlags::RDONLY | OFlags::CLOEXEC;
            let write = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            if restrict_files(spill.as_fd()).unwrap() == Enforced::Not {
                eprintln!("skipped: this kernel has no Landlock");
                return;
            }
            let file = unnamed(&spill).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"spilled", 0).unwrap();
            // Neither a name for it, nor a file with one, nor a look at what is there by listing it.
            let number = format!("/proc/self/fd/{}", file.as_raw_fd());
            let named = linkat(
                CWD,
                number.as_str(),
                &spill,
                "name",
                AtFlags::SYMLINK_FOLLOW,
            );
            assert_eq!(named, Err(Errno::ACCESS));
            for name in ["new", "/dev/null", "/etc/passwd", "/proc/self/status"] {
                let made = openat(&spill, name, write, Mode::RUSR);
                assert_eq!(made.err(), Some(Errno::ACCESS), "{name}");
            }
            for name in ["/etc/passwd", "/proc/self/maps", "/usr/bin/env", "."] {
                let opened = openat(&spill, name, read, Mode::empty());
                assert_eq!(opened.err(), Some(Errno::ACCESS), "{name}");
            }
            assert_eq!(unnamed(&elsewhere).err(), Some(Errno::ACCESS));
            let removed = rustix::fs::unlinkat(&spill, "there", AtFlags::empty());
            assert_eq!(removed, Err(Errno::ACCESS));
            if restricts_tcp() {
                let denied = Some(std::io::ErrorKind::PermissionDenied);
                let connected = std::net::TcpStream::connect(address);
                assert_eq!(connected.err().map(|error| error.kind()), denied);
                let bound = std::net::TcpListener::bind("127.0.0.1:0");
                assert_eq!(bound.err().map(|error| error.kind()), denied);
            }
        });
    }

    /// Whether the kernel has the rules for TCP: without them an empty set of rules of only these is refused.
    fn restricts_tcp() -> bool {
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessNet::BindTcp)
            .is_ok()
    }

    #[test]
    fn the_filter_leaves_nothing_but_what_is_listed() {
        let directory = Directory::new("front-filter");
        let path = directory.0.clone();
        alone(move || {
            let spill = File::open(&path).unwrap();
            let internet = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            let address: std::net::SocketAddr = "127.0.0.1:1".parse().unwrap();
            let unix = SocketAddrUnix::new_abstract_name(b"hostel-test").unwrap();
            let program = calls::filter().unwrap();
            rustix::thread::set_no_new_privs(true).unwrap();
            seccompiler::apply_filter(&program).unwrap();

            let file = unnamed(&spill).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"spilled", 0).unwrap();
            assert_eq!(file.metadata().unwrap().len(), 7);
            let thread = std::thread::spawn(|| std::thread::sleep(std::time::Duration::ZERO));
            thread.join().unwrap();

            let none = Some(Errno::NOSYS);
            let read = OFlags::RDONLY | OFlags::CLOEXEC;
            for name in ["/etc/passwd", "/dev/null", "/proc/self/status", "."] {
                let opened = openat(&spill, name, read, Mode::empty());
                assert_eq!(opened.err(), none, "{name}");
            }
            let handle = OFlags::TMPFILE | OFlags::PATH;
            for name in ["/", ".", "/proc/self"] {
                let opened = openat(&spill, name, handle, Mode::empty());
                assert_eq!(opened.err(), none, "{name}");
            }
            let made = openat(&spill, "new", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR);
            assert_eq!(made.err(), none);
            let stream = socket_with(
                AddressFamily::INET,
                SocketType::STREAM,
                rustix::net::SocketFlags::CLOEXEC,
                None,
            );
            assert_eq!(stream.err(), none);
            assert_eq!(connect(&internet, &address), Err(Errno::NOSYS));
            assert_eq!(bind(&internet, &address), Err(Errno::NOSYS));
            assert_eq!(bind(&internet, &unix), Err(Errno::NOSYS));
            let spawned = std::process::Command::new("/bin/true").spawn();
            assert!(spawned.is_err());
            let init = rustix::process::Pid::INIT;
            let killed = rustix::process::test_kill_process(init);
            assert_eq!(killed, Err(Errno::NOSYS));
            for call in [
                #[cfg(target_arch = "x86_64")]
                libc::SYS_fork,
                #[cfg(target_arch = "x86_64")]
                libc::SYS_vfork,
                libc::SYS_clone3,
                libc::SYS_execve,
                libc::SYS_ptrace,
                libc::SYS_unshare,
                libc::SYS_io_uring_setup,
                libc::SYS_bpf,
            ] {
                // SAFETY: none of these is carried out; with these arguments none would do anything but fail.
                let answer = unsafe { libc::syscall(call, 0, 0, 0, 0, 0) };
                assert_eq!((answer, last()), (-1, libc::ENOSYS), "call {call}");
            }
            shared_memory_is_no_program();
            // SAFETY: not carried out, as above: a clone that is a fork, and memory to be run.
            let forked = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
            assert_eq!((forked, last()), (-1, libc::ENOSYS));
            let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            // SAFETY: asks for new memory, which nothing else uses; it is refused.
            let memory =
                unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
            assert_eq!((memory, last()), (libc::MAP_FAILED, libc::ENOSYS));
        });
    }

    fn shared_memory_is_no_program() {
        // Memory for a worker, but none that could be executed.
        let (near, _far) = crate::fdpass::stream_pair(true).unwrap();
        assert!(crate::ring::FrontEnd::share(&near).is_ok());
        let name = c"program".as_ptr();
        // SAFETY: not carried out, as above.
        let program = unsafe { libc::syscall(libc::SYS_memfd_create, name, libc::MFD_EXEC) };
        assert_eq!((program, last()), (-1, libc::ENOSYS));
    }

    fn last() -> libc::c_int {
        std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
    }
}
