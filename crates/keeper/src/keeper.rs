//! The keeper's one loop: monitor, front, zygote, children.
//!
//! Run as process 1 of a site. It waits in poll and nowhere else, so no peer can hold it: sockets do not block, answers wait in
//! an [`Outbox`], and while the front does not read its answers nothing more is asked of anybody for it. Why the monitor's
//! end of file ends all: this process is the namespace. What a path is stands in `files`, what PHP does in `zygote`.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hostel_sys::cred::Dropped;
use hostel_sys::fdpass::{self, Received};
use hostel_sys::signal::{self, Reaped, Signals};
use hostel_wire::codec::Malformed;
use hostel_wire::front_keeper::{FrontToKeeper, KeeperToFront};
use hostel_wire::limits;
use hostel_wire::monitor_keeper::{SiteSettings, ToKeeper};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, kill_process};

use crate::files::{Files, HomeError};
use crate::outbox::Outbox;
use crate::processes::{self, Process};
use crate::stderr::say;
use crate::sweeper::Sweeper;
use crate::zygote::Php;

/// Why the keeper cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    #[error("cannot wait for messages")]
    Poll(#[source] io::Error),
    #[error("cannot read from the monitor's socket")]
    Monitor(#[source] io::Error),
    #[error("the monitor has sent something that is not a message")]
    Malformed(#[source] Malformed),
    #[error("the monitor's messages came in a wrong order")]
    Order,
    #[error("cannot reap children")]
    Reap(#[source] io::Error),
    #[error("cannot serve the site")]
    Home(#[from] HomeError),
}

/// Process 1 of a site.
#[derive(Debug)]
pub(crate) struct Keeper {
    monitor: OwnedFd,
    signals: Signals,
    dropped: Dropped,
    files: Files,
    php: Php,
    front: Option<Front>,
    buffer: Vec<u8>,
    census: Instant,
    sweeper: Sweeper,
}

/// The link to the front that is there now.
#[derive(Debug)]
struct Front {
    socket: OwnedFd,
    outbox: Outbox,
}

/// Whether to go on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Turn,
    End,
}

/// What poll has found.
#[derive(Debug, Default)]
struct Ready {
    monitor: bool,
    signals: bool,
    front: bool,
    zygote: bool,
    zygote_hung_up: bool,
}

impl Keeper {
    /// Take the settings, which are the first message.
    pub(crate) fn new(
        monitor: OwnedFd,
        signals: Signals,
        dropped: Dropped,
    ) -> Result<Self, KeeperError> {
        let mut buffer = vec![0; limits::MESSAGE_BYTES_MAX];
        rustix::io::ioctl_fionbio(&monitor, false)
            .map_err(|error| KeeperError::Monitor(error.into()))?;
        let settings = match receive_from_monitor(&monitor, &mut buffer)? {
            Some((ToKeeper::Settings(settings), _)) => *settings,
            Some(_) => return Err(KeeperError::Order),
            None => return Err(KeeperError::Monitor(io::ErrorKind::UnexpectedEof.into())),
        };
        rustix::io::ioctl_fionbio(&monitor, true)
            .map_err(|error| KeeperError::Monitor(error.into()))?;
        Self::with_settings(monitor, signals, dropped, settings, buffer)
    }

    fn with_settings(
        monitor: OwnedFd,
        signals: Signals,
        dropped: Dropped,
        settings: SiteSettings,
        buffer: Vec<u8>,
    ) -> Result<Self, KeeperError> {
        let sweeper = Sweeper::new(settings.temporary_bytes_max);
        Ok(Self {
            files: Files::new(&settings, &dropped)?,
            php: Php::new(settings),
            monitor,
            signals,
            dropped,
            front: None,
            buffer,
            census: Instant::now() + CENSUS_EVERY,
            sweeper,
        })
    }

    /// Until the monitor is gone or says stop, or the front has sent the site to sleep.
    pub(crate) fn run(mut self) -> Result<(), KeeperError> {
        loop {
            let ready = self.wait()?;
            if ready.monitor && self.hear_monitor()? == Next::End {
                return Ok(());
            }
            if ready.signals {
                self.reap()?;
            }
            if ready.zygote {
                self.hear_zygote();
            } else if ready.zygote_hung_up {
                self.php.hung_up();
            }
            if ready.front && self.hear_front() == Next::End {
                return Ok(());
            }
            self.php.kill_overdue();
            self.php.flush();
            self.flush_front();
            self.sweeper.start_if_due(&self.dropped);
            if Instant::now() >= self.census {
                self.census = Instant::now() + CENSUS_EVERY;
                self.end_overdue();
            }
        }
    }

    /// Wait until somebody has something to say, or room for what waits.
    fn wait(&self) -> Result<Ready, KeeperError> {
        // While the front does not read, nothing that would be answered to it is taken.
        let room = self
            .front
            .as_ref()
            .is_none_or(|front| !front.outbox.is_full());
        let wanted = |unsent: bool| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, room);
            flags.set(PollFlags::OUT, unsent);
            flags
        };
        let mut polled = Vec::with_capacity(4);
        polled.push(PollFd::new(&self.monitor, PollFlags::IN));
        polled.push(PollFd::new(&self.signals, PollFlags::IN));
        if let Some(front) = &self.front {
            let flags = wanted(!front.outbox.is_empty());
            polled.push(PollFd::new(&front.socket, flags));
        }
        if let Some((socket, unsent)) = self.php.socket() {
            polled.push(PollFd::new(socket, wanted(unsent)));
        }
        let regular = self.census.min(self.sweeper.due());
        let until = self.php.deadline().map_or(regular, |at| at.min(regular));
        let timeout = timespec(until.saturating_duration_since(Instant::now()));
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(KeeperError::Poll(error.into())),
        }
        let mut found = polled.iter().map(PollFd::revents);
        let mut next = || found.next().unwrap_or(PollFlags::empty());
        let mut ready = Ready {
            monitor: !next().is_empty(),
            signals: !next().is_empty(),
            ..Ready::default()
        };
        if self.front.is_some() {
            ready.front = !next().is_empty();
        }
        if self.php.socket().is_some() {
            let zygote = next();
            ready.zygote = zygote.contains(PollFlags::IN);
            ready.zygote_hung_up = zygote.intersects(PollFlags::HUP | PollFlags::ERR);
        }
        Ok(ready)
    }

    fn hear_monitor(&mut self) -> Result<Next, KeeperError> {
        let (message, descriptor) = match receive_from_monitor(&self.monitor, &mut self.buffer) {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(Next::End),
            Err(KeeperError::Monitor(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Next::Turn);
            }
            Err(error) => return Err(error),
        };
        match message {
            ToKeeper::Settings(_) => Err(KeeperError::Order),
            ToKeeper::Front => {
                let socket = descriptor.ok_or(KeeperError::Order)?;
                rustix::io::ioctl_fionbio(&socket, true)
                    .map_err(|error| KeeperError::Monitor(error.into()))?;
                self.php.give_up_workers();
                self.front = Some(Front {
                    socket,
                    outbox: Outbox::default(),
                });
                self.tell_front(KeeperToFront::Ready, None);
                Ok(Next::Turn)
            }
            ToKeeper::Stop { seconds } => {
                self.stop(Duration::from_secs(seconds.into()))?;
                Ok(Next::End)
            }
        }
    }

    /// Take questions as long as there is room for their answers, and for so many that the others have their turn.
    fn hear_front(&mut self) -> Next {
        for _ in 0..MESSAGES_PER_TURN {
            let Some(front) = self.front.as_ref().filter(|front| !front.outbox.is_full()) else {
                break;
            };
            let (message, descriptor) = match receive_from_front(&front.socket, &mut self.buffer) {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => {
                    self.lose_front(&error);
                    break;
                }
            };
            if self.answer(message, descriptor) == Next::End {
                return Next::End;
            }
        }
        Next::Turn
    }

    fn answer(&mut self, message: FrontToKeeper, descriptor: Option<OwnedFd>) -> Next {
        match message {
            FrontToKeeper::Resolve {
                ticket,
                path,
                known,
            } => {
                let (resolution, file) = self.files.resolve(&path, known);
                self.tell_front(KeeperToFront::Resolved { ticket, resolution }, file);
            }
            FrontToKeeper::StartWorker(worker) => {
                let Some(socket) = descriptor else {
                    return Next::Turn;
                };
                if let Some(news) = self.php.start_worker(worker, socket, &self.dropped) {
                    self.tell_front(news, None);
                }
            }
            FrontToKeeper::KillWorker(worker) => {
                if let Some(news) = self.php.kill_worker(worker) {
                    self.tell_front(news, None);
                }
            }
            FrontToKeeper::Retire => match self.others() {
                Ok(others) if others.is_empty() => return Next::End,
                Ok(others) => {
                    let processes = u32::try_from(others.len()).unwrap_or(u32::MAX);
                    self.tell_front(KeeperToFront::Busy { processes }, None);
                }
                Err(error) => {
                    say(&format!("cannot list the site's processes: {error}"));
                    return Next::End;
                }
            },
        }
        Next::Turn
    }

    fn hear_zygote(&mut self) {
        for _ in 0..MESSAGES_PER_TURN {
            if self
                .front
                .as_ref()
                .is_some_and(|front| front.outbox.is_full())
            {
                break;
            }
            let Some(heard) = self.php.receive(&mut self.buffer) else {
                break;
            };
            if let Some(news) = heard {
                self.tell_front(news, None);
            }
        }
    }

    /// Take all children that have ended: the zygote, and whatever lost its own parent.
    fn reap(&mut self) -> Result<(), KeeperError> {
        while let Ok(Some(_)) = self.signals.take() {}
        while let Reaped::Child(pid, ending) = signal::reap().map_err(KeeperError::Reap)? {
            self.sweeper.ended(pid);
            if let Some(news) = self.php.ended(pid, ending) {
                self.tell_front(news, None);
            }
        }
        Ok(())
    }

    fn tell_front(&mut self, message: KeeperToFront, descriptor: Option<OwnedFd>) {
        if let Some(front) = &mut self.front {
            front.outbox.push(message.encode(), descriptor);
        }
    }

    fn flush_front(&mut self) {
        if let Some(front) = &mut self.front
            && let Err(error) = front.outbox.flush(&front.socket)
        {
            self.lose_front(&FrontError::from_socket(error));
        }
    }

    /// The front is gone, which its workers notice by themselves; the monitor will send another one. PHP stays warm.
    fn lose_front(&mut self, error: &FrontError) {
        self.front = None;
        match error {
            FrontError::Closed => {}
            FrontError::Socket(_) | FrontError::Malformed(_) | FrontError::Descriptors => {
                say(&format!("front given up: {error}"));
            }
        }
    }

    /// What runs in the site besides PHP and what this process itself has started.
    fn others(&self) -> io::Result<Vec<Process>> {
        let mut others = processes::others(self.php.pid())?;
        others.retain(|process| Some(process.pid) != self.sweeper.pid());
        Ok(others)
    }

    /// End processes that have run in the site for longer than any may.
    fn end_overdue(&self) {
        let others = self.others().unwrap_or_default();
        for process in others {
            if let Some(signal) = process.overdue() {
                let (pid, hours) = (process.pid, process.age.as_secs() / 3600);
                say(&format!(
                    "process {pid} has run for {hours} hours and is ended"
                ));
                // It may have ended by itself; then all is well.
                let _ = kill_process(pid, signal);
            }
        }
    }

    /// Ask everything in the site to end, and wait for it, no longer than this. The rest ends with this process.
    fn stop(&self, patience: Duration) -> Result<(), KeeperError> {
        let deadline = Instant::now() + patience;
        signal::signal_all_others(Signal::TERM).map_err(KeeperError::Reap)?;
        loop {
            while let Ok(Some(_)) = self.signals.take() {}
            loop {
                match signal::reap().map_err(KeeperError::Reap)? {
                    Reaped::Child(..) => {}
                    Reaped::NoneEnded => break,
                    Reaped::NoChildren => return Ok(()),
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let mut polled = [
                PollFd::new(&self.signals, PollFlags::IN),
                // The monitor's end alone: whatever else it may have to say is too late.
                PollFd::new(&self.monitor, PollFlags::empty()),
            ];
            match poll(&mut polled, Some(&timespec(left))) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(KeeperError::Poll(error.into())),
            }
            let [_, monitor] = polled;
            if !monitor.revents().is_empty() {
                return Ok(());
            }
        }
    }
}

/// Why a front is given up.
#[derive(Debug, thiserror::Error)]
enum FrontError {
    #[error("it has closed its socket")]
    Closed,
    #[error("its socket is broken: {0}")]
    Socket(io::Error),
    #[error("it sent something that is not a message: {0}")]
    Malformed(#[from] Malformed),
    #[error("it sent a wrong number of descriptors")]
    Descriptors,
}

impl FrontError {
    fn from_socket(error: io::Error) -> Self {
        match error.kind() {
            // The peer's end, with and without messages that it had not read.
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Socket(error),
        }
    }
}

/// The next message of the front, `None` when there is none (more).
fn receive_from_front(
    socket: &OwnedFd,
    buffer: &mut [u8],
) -> Result<Option<(FrontToKeeper, Option<OwnedFd>)>, FrontError> {
    let received = match fdpass::receive(socket, buffer) {
        Ok(received) => received,
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => return Ok(None),
            _ => return Err(FrontError::from_socket(error)),
        },
    };
    if received.bytes == 0 {
        return Err(FrontError::Closed);
    }
    let message = FrontToKeeper::decode(filled(buffer, &received))?;
    if received.descriptors.len() != message.descriptors() {
        return Err(FrontError::Descriptors);
    }
    Ok(Some((message, received.descriptors.into_iter().next())))
}

/// The next message of the monitor, `None` at its end.
fn receive_from_monitor(
    socket: &OwnedFd,
    buffer: &mut [u8],
) -> Result<Option<(ToKeeper, Option<OwnedFd>)>, KeeperError> {
    let received = loop {
        match fdpass::receive(socket, buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            outcome => break outcome.map_err(KeeperError::Monitor)?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let message = ToKeeper::decode(filled(buffer, &received)).map_err(KeeperError::Malformed)?;
    if received.descriptors.len() != message.descriptors() {
        return Err(KeeperError::Order);
    }
    Ok(Some((message, received.descriptors.into_iter().next())))
}

fn filled<'a>(buffer: &'a [u8], received: &Received) -> &'a [u8] {
    buffer.get(..received.bytes).unwrap_or_default()
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// How often processes besides PHP's are looked at.
const CENSUS_EVERY: Duration = Duration::from_secs(300);
/// Messages of one peer that are taken before the others have their turn.
const MESSAGES_PER_TURN: usize = limits::LOOKUPS_MAX;
