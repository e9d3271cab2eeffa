//! The resolver as the firewall sees it: a process of nobody's that answers questions in records of one size.
//!
//! Part of `hostel-firewall`, as root. It is started when there is a name to ask for, and again when it has died. Whatever it says that is
//! not a record ends it. It is never waited for.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use hostel_sys::cred::User;
use hostel_sys::fdpass::{message_pair, receive, send};
use hostel_sys::layers::Layers;
use hostel_sys::rlimit::Limits;
use hostel_sys::spawn::{Child, Plan, Program, SpawnError, spawn};
use hostel_wire::codec::Malformed;
use hostel_wire::firewall_resolver::{Answer, Question};
use rustix::fs::{Mode, OFlags, open};

/// Why there is no resolver, or no longer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolverError {
    #[error("cannot open hostel-resolver beside this program")]
    Program(#[source] io::Error),
    #[error("there is no user '{UNPRIVILEGED}' to run it as")]
    User,
    #[error("cannot make its socket")]
    Socket(#[source] io::Error),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("its socket failed")]
    Speak(#[source] io::Error),
    #[error("it has sent something that is not an answer")]
    Malformed(#[source] Malformed),
    #[error("it has sent descriptors")]
    Descriptors,
    #[error("it has ended")]
    Ended,
}

/// A running resolver. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Resolver {
    child: Child,
    socket: OwnedFd,
}

impl Resolver {
    /// Start one.
    pub(crate) fn start() -> Result<Self, ResolverError> {
        let user = User::by_name(UNPRIVILEGED).ok().flatten();
        let user = user.ok_or(ResolverError::User)?;
        let path = std::env::current_exe().map_err(ResolverError::Program)?;
        let path = path.with_file_name("hostel-resolver");
        let program = open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| ResolverError::Program(error.into()))?;
        let (socket, far) = message_pair(true).map_err(ResolverError::Socket)?;
        let null = File::options().read(true).write(true).open("/dev/null");
        let null = null.map_err(ResolverError::Socket)?;
        let child = spawn(Plan {
            program: Program::Descriptor(program.as_fd()),
            arguments: &[c"hostel-resolver".into()],
            environment: &[c"PATH=/usr/bin:/bin".into()],
            uid: user.uid,
            gid: user.gid,
            descriptors: [null.as_fd(), null.as_fd(), null.as_fd(), far.as_fd()],
            limits: Limits {
                open_files: OPEN_FILES,
                processes: None,
                data_bytes: Some(DATA_BYTES),
            },
            group: None,
            view: None,
            tcp_ports: None,
            layers: Layers::ALL,
        })?;
        Ok(Self { child, socket })
    }

    /// Its socket, to be polled.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Ask it.
    pub(crate) fn ask(&self, question: &Question) -> Result<(), ResolverError> {
        send(&self.socket, &question.encode(), &[]).map_err(ResolverError::Speak)
    }

    /// The next part of an answer, `None` when there is none now.
    pub(crate) fn hear(&self) -> Result<Option<Answer>, ResolverError> {
        // One byte more than an answer has, so that a longer one is seen to be one.
        let mut buffer = [0; Answer::BYTES + 1];
        let received = match receive(&self.socket, &mut buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(ResolverError::Speak(error)),
        };
        if !received.descriptors.is_empty() {
            return Err(ResolverError::Descriptors);
        }
        match buffer.get(..received.bytes) {
            Some([]) | None => Err(ResolverError::Ended),
            Some(bytes) => Answer::decode(bytes)
                .map(Some)
                .map_err(ResolverError::Malformed),
        }
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.child.kill();
        // A killed process ends soon, unless the kernel hangs; then it is not waited for.
        let begun = Instant::now();
        while matches!(self.child.ended(), Ok(None)) && begun.elapsed() < END_WITHIN {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Debian's user for what shall own nothing.
const UNPRIVILEGED: &str = "nobody";
/// A socket for each question, and few others.
const OPEN_FILES: u64 = 256;
/// Its heap: answers are small.
const DATA_BYTES: u64 = 64 << 20;
const END_WITHIN: Duration = Duration::from_secs(1);
