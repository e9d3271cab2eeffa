//! The site's PHP: started when the first worker is asked for, asked to fork workers, given up when it breaks its word.
//!
//! Run by the keeper as the same user as PHP, which is hostile once a script has run. Whatever it says is checked for form; what
//! it says wrongly harms its own site. Workers are numbered anew towards the zygote, since a new front counts from the beginning
//! while workers of the last one may still be ending. No script is run and nothing is read from workers here.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use hostel_sys::child::{self, Program};
use hostel_sys::cred::Dropped;
use hostel_sys::fdpass;
use hostel_sys::signal::Ending;
use hostel_wire::front_keeper::KeeperToFront;
use hostel_wire::keeper_zygote::{Death, FromZygote, ToZygote, WorkerId};
use hostel_wire::limits;
use hostel_wire::monitor_keeper::SiteSettings;
use hostel_wire::view;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::outbox::Outbox;
use crate::stderr::say;

/// The site's PHP, running or not.
#[derive(Debug)]
pub(crate) struct Php {
    settings: SiteSettings,
    zygote: Option<Zygote>,
    /// The number of the last worker, towards the zygote.
    last: u32,
}

#[derive(Debug)]
struct Zygote {
    pid: Pid,
    /// None once it was given up: then it only has to be reaped.
    socket: Option<OwnedFd>,
    /// When it is killed, having closed its socket: a process that ends closes it a little before.
    kill_at: Option<Instant>,
    outbox: Outbox,
    ready: bool,
    /// Whether the front that is there now has asked for a worker, and so knows that PHP runs.
    is_asked: bool,
    /// Workers that are to be forked once PHP has started.
    waiting: VecDeque<(WorkerId, OwnedFd)>,
    /// By the number that the zygote knows.
    workers: BTreeMap<WorkerId, Worker>,
}

#[derive(Debug)]
struct Worker {
    /// The number that the front knows, while that front is there.
    front: Option<WorkerId>,
    /// What the zygote said of it.
    pid: Option<Pid>,
}

impl Php {
    /// PHP with these settings, not started yet.
    pub(crate) fn new(settings: SiteSettings) -> Self {
        Self {
            settings,
            zygote: None,
            last: 0,
        }
    }

    /// The zygote's process id, while it has one.
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.zygote.as_ref().map(|zygote| zygote.pid)
    }

    /// The socket to poll, and whether something waits to be sent.
    pub(crate) fn socket(&self) -> Option<(&OwnedFd, bool)> {
        let zygote = self.zygote.as_ref()?;
        Some((zygote.socket.as_ref()?, !zygote.outbox.is_empty()))
    }

    /// Have a worker forked; start PHP first where it does not run. Returns what the front is to be told at once.
    pub(crate) fn start_worker(
        &mut self,
        front: WorkerId,
        socket: OwnedFd,
        dropped: &Dropped,
    ) -> Option<KeeperToFront> {
        let zygote = match &mut self.zygote {
            Some(zygote) => zygote,
            none => match Zygote::start(&self.settings, dropped) {
                Ok(zygote) => none.insert(zygote),
                Err(error) => {
                    say(&format!("cannot start PHP: {error}"));
                    return Some(KeeperToFront::WorkerFailed(front, error.errno()));
                }
            },
        };
        zygote.is_asked = true;
        // Its end is on its way to the front: the worker is one of those that will not come.
        zygote.socket.as_ref()?;
        if zygote.workers.len() >= WORKERS_MAX {
            let errno = Errno::AGAIN.raw_os_error();
            return Some(KeeperToFront::WorkerFailed(front, errno));
        }
        self.last = self.last.wrapping_add(1);
        let worker = WorkerId(self.last);
        let entry = Worker {
            front: Some(front),
            pid: None,
        };
        zygote.workers.insert(worker, entry);
        zygote.waiting.push_back((worker, socket));
        zygote.fork_waiting();
        None
    }

    /// Have a worker killed. Unknown numbers are of workers that have ended meanwhile.
    pub(crate) fn kill_worker(&mut self, front: WorkerId) -> Option<KeeperToFront> {
        let zygote = self.zygote.as_mut()?;
        let mut workers = zygote.workers.iter();
        let worker = *workers.find(|(_, worker)| worker.front == Some(front))?.0;
        let waiting = zygote.waiting.len();
        zygote.waiting.retain(|(waiting, _)| *waiting != worker);
        if zygote.waiting.len() < waiting {
            zygote.workers.remove(&worker);
            let errno = Errno::CANCELED.raw_os_error();
            return Some(KeeperToFront::WorkerFailed(front, errno));
        }
        zygote.outbox.push(ToZygote::Kill(worker).encode(), None);
        None
    }

    /// The front is another one: the last one's workers end, and nobody is told.
    pub(crate) fn give_up_workers(&mut self) {
        let Some(zygote) = &mut self.zygote else {
            return;
        };
        zygote.is_asked = false;
        while let Some((worker, _)) = zygote.waiting.pop_front() {
            zygote.workers.remove(&worker);
        }
        for (worker, entry) in &mut zygote.workers {
            if entry.front.take().is_some() {
                zygote.outbox.push(ToZygote::Kill(*worker).encode(), None);
            }
        }
    }

    /// Send what waits. A zygote that does not read for so long that messages pile up is given up.
    pub(crate) fn flush(&mut self) {
        let Some(zygote) = &mut self.zygote else {
            return;
        };
        let Some(socket) = &zygote.socket else {
            return;
        };
        match zygote.outbox.flush(socket) {
            Ok(()) if zygote.outbox.len() > UNREAD_MAX => zygote.give_up("does not read"),
            Ok(()) => {}
            // A peer that is gone is noticed where messages are received, after the last one.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => zygote.give_up(&format!("cannot be written to: {error}")),
        }
    }

    /// Take one message. The outer `None`: there is none (more); the inner: it does not concern the front.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Option<Option<KeeperToFront>> {
        let zygote = self.zygote.as_mut()?;
        let received = match fdpass::receive(zygote.socket.as_ref()?, buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return None,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                zygote.hung_up();
                return None;
            }
            Err(error) => {
                zygote.give_up(&format!("cannot be read from: {error}"));
                return None;
            }
        };
        if received.bytes == 0 {
            zygote.hung_up();
            return None;
        }
        if !received.descriptors.is_empty() {
            zygote.give_up("sent a descriptor");
            return None;
        }
        match FromZygote::decode(buffer.get(..received.bytes)?) {
            Ok(message) => Some(zygote.hear(message)),
            Err(malformed) => {
                zygote.give_up(&format!("sent nonsense: {malformed}"));
                None
            }
        }
    }

    /// The zygote hung up while nothing was to be read from it.
    pub(crate) fn hung_up(&mut self) {
        if let Some(zygote) = &mut self.zygote {
            zygote.hung_up();
        }
    }

    /// When [`Php::kill_overdue`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.zygote.as_ref()?.kill_at
    }

    /// Kill a zygote that has closed its socket and does not end.
    pub(crate) fn kill_overdue(&mut self) {
        if let Some(zygote) = &mut self.zygote
            && zygote.kill_at.is_some_and(|at| at <= Instant::now())
        {
            say("PHP has closed its socket and does not end; it is ended");
            zygote.kill();
        }
    }

    /// A child was reaped. If it was the zygote, its workers are killed, and the front is to be told where it knows of PHP.
    pub(crate) fn ended(&mut self, pid: Pid, ending: Ending) -> Option<KeeperToFront> {
        let zygote = self.zygote.take_if(|zygote| zygote.pid == pid)?;
        for pid in zygote.workers.values().filter_map(|worker| worker.pid) {
            // Process 1 is immune, others are of this site in any case, and one that has ended already is what is wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
        let death = match ending {
            Ending::Exited(status) => Death::Exited(status),
            Ending::Signalled(signal) => Death::Signalled(signal),
        };
        // To a front that has asked for no worker there was no PHP.
        zygote.is_asked.then_some(KeeperToFront::PhpDown(death))
    }
}

impl Zygote {
    fn start(settings: &SiteSettings, _: &Dropped) -> Result<Self, ZygoteError> {
        let (near, far) = fdpass::message_pair(false).map_err(ZygoteError::Socket)?;
        // The keeper's end alone does not wait; the flag belongs to an end, not to the pair.
        rustix::io::ioctl_fionbio(&near, true)
            .map_err(|error| ZygoteError::Socket(error.into()))?;
        let text = |text: String| CString::new(text).map_err(|_| ZygoteError::Nul);
        #[cfg_attr(
            not(feature = "controls"),
            expect(unused_mut, reason = "two variables")
        )]
        let mut environment = vec![
            text(format!("HOME={}", settings.home))?,
            text(format!("USER={}", settings.user))?,
        ];
        #[cfg(feature = "controls")]
        environment.extend(hostel_sys::layers::Layers::of_process().variable());
        let program = Program {
            path: text(format!("{}/{PROGRAM}", view::PROGRAMS))?,
            arguments: vec![text(PROGRAM.to_owned())?],
            environment,
            descriptors: &[far.as_fd()],
        };
        let pid = child::start(&program)?;
        let mut outbox = Outbox::default();
        let settings = Box::new(settings.clone());
        outbox.push(ToZygote::Settings(settings).encode(), None);
        Ok(Self {
            pid,
            socket: Some(near),
            kill_at: None,
            outbox,
            ready: false,
            is_asked: false,
            waiting: VecDeque::new(),
            workers: BTreeMap::new(),
        })
    }

    fn fork_waiting(&mut self) {
        if !self.ready {
            return;
        }
        while let Some((worker, socket)) = self.waiting.pop_front() {
            self.outbox
                .push(ToZygote::Fork(worker).encode(), Some(socket));
        }
    }

    fn hear(&mut self, message: FromZygote) -> Option<KeeperToFront> {
        match message {
            FromZygote::Ready => {
                self.ready = true;
                self.fork_waiting();
                None
            }
            FromZygote::Forked(worker, pid) => {
                let Some(entry) = self.workers.get_mut(&worker) else {
                    self.give_up("forked a worker that nobody asked for");
                    return None;
                };
                entry.pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
                entry
                    .front
                    .map(|front| KeeperToFront::WorkerStarted(front, pid))
            }
            FromZygote::ForkFailed(worker, errno) => {
                let front = self.forget(worker)?;
                Some(KeeperToFront::WorkerFailed(front, errno))
            }
            FromZygote::Died(worker, death) => {
                let front = self.forget(worker)?;
                Some(KeeperToFront::WorkerDied(front, death))
            }
        }
    }

    /// A worker is no more. Returns the front's number for it.
    fn forget(&mut self, worker: WorkerId) -> Option<WorkerId> {
        match self.workers.remove(&worker) {
            Some(entry) => entry.front,
            None => {
                self.give_up("spoke of a worker that does not exist");
                None
            }
        }
    }

    /// It broke its word: nothing more is expected of it but its end.
    fn give_up(&mut self, why: &str) {
        say(&format!("PHP {why}; it is ended"));
        // In this order, so that it does not end by itself first and look honest.
        self.kill();
        self.close();
    }

    /// It has closed its socket, as it does when it ends: how it ends by itself is worth a short wait.
    fn hung_up(&mut self) {
        self.close();
        self.kill_at = Some(Instant::now() + ENDING_MAX);
    }

    fn close(&mut self) {
        self.socket = None;
        self.waiting.clear();
        self.outbox = Outbox::default();
    }

    fn kill(&mut self) {
        self.kill_at = None;
        // It is this process's child and not reaped, so the number is its own. If it has ended, all is well.
        let _ = kill_process(self.pid, Signal::KILL);
    }
}

/// Why PHP could not be started.
#[derive(Debug, thiserror::Error)]
enum ZygoteError {
    #[error("no socket: {0}")]
    Socket(io::Error),
    #[error("home or user has a NUL in its name")]
    Nul,
    #[error(transparent)]
    Start(#[from] child::StartError),
}

impl ZygoteError {
    fn errno(&self) -> i32 {
        match self {
            Self::Socket(error) => error.raw_os_error().unwrap_or(Errno::IO.raw_os_error()),
            Self::Nul => Errno::INVAL.raw_os_error(),
            Self::Start(error) => error.errno(),
        }
    }
}

/// The program, in the view's directory of programs.
const PROGRAM: &str = "hostel-php";
/// How long a zygote may take to end after it has closed its socket.
const ENDING_MAX: Duration = Duration::from_secs(1);
/// Workers at one time, those of an earlier front that are ending included.
const WORKERS_MAX: usize = 2 * limits::WORKERS_MAX as usize;
/// Messages that may wait for a zygote: one to fork and one to kill for each worker.
const UNREAD_MAX: usize = 2 * WORKERS_MAX;
