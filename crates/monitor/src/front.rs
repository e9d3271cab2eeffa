//! The front as the monitor sees it: a process, a socket, and what waits to be sent.
//!
//! Part of the monitor, as root. It trusts nothing that comes from the front: a message has five bytes and no descriptor, or the
//! front is given up. Sending never waits; a front that does not read until the bound is reached is given up too.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_sys::fdpass;
use hostel_sys::spawn::Child;
use hostel_wire::codec::Malformed;
use hostel_wire::front_monitor::{ToFront, ToMonitor};
use hostel_wire::limits;

/// Why a front is given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrontError {
    #[error("it does not read its messages")]
    Full,
    #[error("its socket failed")]
    Socket(#[source] io::Error),
    #[error("it has sent something that is not a message")]
    Malformed(#[source] Malformed),
    #[error("it has sent descriptors")]
    Descriptors,
    #[error("it has sent {0:?}, which it may not now")]
    Breach(ToMonitor),
    #[error("it has closed its socket")]
    Closed,
}

/// A running front.
#[derive(Debug)]
pub(crate) struct Front {
    /// The process.
    pub(crate) child: Child,
    /// When it was started.
    pub(crate) begun: Instant,
    /// Until when it must be ready, or have ended; then it is killed.
    pub(crate) deadline: Option<Instant>,
    /// Whether it is being killed: nothing is heard from it or told to it any more.
    pub(crate) is_given_up: bool,
    /// Tables that it was sent and has not taken yet.
    pub(crate) untaken: u32,
    socket: OwnedFd,
    outbox: VecDeque<(Vec<u8>, Vec<Rc<OwnedFd>>)>,
}

impl Front {
    /// A front that was just started, with nothing sent.
    pub(crate) fn new(child: Child, socket: OwnedFd, now: Instant) -> Self {
        Self {
            child,
            begun: now,
            deadline: Some(now + READY_WITHIN),
            is_given_up: false,
            untaken: 0,
            socket,
            outbox: VecDeque::new(),
        }
    }

    /// A front that an earlier program of this process has started, and that serves.
    pub(crate) fn resumed(child: Child, socket: OwnedFd, now: Instant) -> Self {
        Self {
            deadline: None,
            ..Self::new(child, socket, now)
        }
    }

    /// The socket, to be polled.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether something waits to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Send a message with its descriptors, now or when there is room.
    pub(crate) fn tell(&mut self, message: &ToFront, descriptors: &[&Rc<OwnedFd>]) {
        let descriptors = descriptors.iter().map(|one| Rc::clone(one)).collect();
        self.outbox.push_back((message.encode(), descriptors));
    }

    /// End it at once.
    pub(crate) fn kill(&mut self) {
        self.is_given_up = true;
        self.outbox.clear();
        self.child.kill();
    }

    /// Send what there is room for.
    pub(crate) fn flush(&mut self) -> Result<(), FrontError> {
        while let Some((bytes, descriptors)) = self.outbox.front() {
            let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(|one| one.as_fd()).collect();
            match fdpass::send(&self.socket, bytes, &borrowed) {
                Ok(()) => {
                    self.outbox.pop_front();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(FrontError::Socket(error)),
            }
        }
        if self.outbox.len() > OUTBOX_MAX {
            return Err(FrontError::Full);
        }
        Ok(())
    }

    /// The next message, `None` when there is none now.
    pub(crate) fn hear(&self) -> Result<Option<ToMonitor>, FrontError> {
        // One byte more than a message has, so that a longer one is seen to be one.
        let mut buffer = [0; ToMonitor::BYTES + 1];
        let received = match fdpass::receive(&self.socket, &mut buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            Err(error) => return Err(FrontError::Socket(error)),
        };
        if !received.descriptors.is_empty() {
            return Err(FrontError::Descriptors);
        }
        match buffer.get(..received.bytes) {
            Some([]) | None => Err(FrontError::Closed),
            Some(bytes) => ToMonitor::decode(bytes)
                .map(Some)
                .map_err(FrontError::Malformed),
        }
    }
}

/// How long a front may take until it is ready: it reads the table of at most `SITES_MAX` sites.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Messages that may wait: a whole table twice, and something for every site.
const OUTBOX_MAX: usize = 4 * limits::SITES_MAX;
