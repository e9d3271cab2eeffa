//! The link to one site's keeper: messages out, messages in, and the site's standard error.
//!
//! One task per site that is awake. The keeper runs as the site's user and is as hostile as the site: a message that does not fit, a
//! descriptor too many or too few, an answer to no question, and the keeper is given up. Sending never waits: what the socket does
//! not take is sent later, in order.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hostel_sys::fdpass;
use hostel_wire::codec::Malformed;
use hostel_wire::front_keeper::{FrontToKeeper, KeeperToFront};
use hostel_wire::limits;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::Notify;

use crate::lookup::BadDescriptor;
use crate::sites::Site;
use crate::wake::Step;

/// The front's end of the link to one keeper.
pub struct Keeper {
    /// A socket of whole messages; the runtime has no type of its own for it.
    socket: UnixStream,
    outbox: RefCell<VecDeque<(Vec<u8>, Option<OwnedFd>)>>,
    /// The keeper's process id as the host sees it.
    pub pid: u32,
    is_ready: Cell<bool>,
    is_closed: Cell<bool>,
    closing: Notify,
}

/// Why a keeper is given up.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// It has closed its socket.
    #[error("it has closed its socket")]
    Closed,
    /// The socket failed.
    #[error("its socket failed: {0}")]
    Socket(#[from] io::Error),
    /// Bytes that are no message.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// Descriptors that a message may not have, or none where it must.
    #[error("a message came with {0} descriptors")]
    Descriptors(usize),
    /// A descriptor that is not what it must be.
    #[error("{0}")]
    BadDescriptor(#[from] BadDescriptor),
    /// A message that makes no sense now.
    #[error("it sent {0}")]
    Unexpected(&'static str),
    /// It does not read what it is sent.
    #[error("it does not read its messages")]
    Deaf,
}

impl Keeper {
    /// Take the front's end of the socket.
    ///
    /// # Errors
    /// The descriptor is no socket that can be waited for.
    pub fn new(socket: OwnedFd, pid: u32) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self {
            socket: UnixStream::from_std(socket.into())?,
            outbox: RefCell::default(),
            pid,
            is_ready: Cell::new(false),
            is_closed: Cell::new(false),
            closing: Notify::new(),
        })
    }

    /// Send a message, now or as soon as the socket takes it.
    ///
    /// # Errors
    /// The keeper is gone, or too much waits for it.
    pub fn send(
        &self,
        message: &FrontToKeeper,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), KeeperError> {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.len() >= OUTBOX_MAX {
            return Err(KeeperError::Deaf);
        }
        outbox.push_back((message.encode(), descriptor));
        drop(outbox);
        self.flush()
    }

    /// Send what waits, as far as the socket takes it.
    ///
    /// # Errors
    /// The keeper is gone.
    pub fn flush(&self) -> Result<(), KeeperError> {
        let mut outbox = self.outbox.borrow_mut();
        while let Some((bytes, descriptor)) = outbox.front() {
            let sent = match descriptor {
                Some(descriptor) => fdpass::send(&self.socket, bytes, &[descriptor.as_fd()]),
                None => fdpass::send(&self.socket, bytes, &[]),
            };
            match sent {
                Ok(()) => drop(outbox.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether it has said that it answers.
    pub fn is_ready(&self) -> bool {
        self.is_ready.get()
    }

    /// End its task, which closes the socket.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        self.closing.notify_one();
    }
}

/// Hear a keeper and the site's standard error until one of them is to be given up or the site is down.
pub async fn run(site: Rc<Site>, keeper: Rc<Keeper>, stderr: OwnedFd) {
    let mut stderr = pin!(copy_stderr(&site, stderr));
    let why = tokio::select! {
        biased;
        () = keeper.closing.notified() => None,
        why = hear_all(&site, &keeper) => Some(why),
        () = &mut stderr => None,
    };
    if let Some(why) = why {
        site.lost(&keeper, &why.to_string());
    }
    // What the site's processes said last is still in the pipe, and may have to wait for its turn.
    drop(tokio::time::timeout(2 * STDERR_PAUSE, stderr).await);
}

async fn hear_all(site: &Rc<Site>, keeper: &Keeper) -> KeeperError {
    let mut buffer = vec![0; limits::MESSAGE_BYTES_MAX];
    loop {
        if let Err(error) = keeper.socket.readable().await {
            return error.into();
        }
        for _ in 0..TURN_MESSAGES {
            let socket = &keeper.socket;
            let receive = || fdpass::receive(socket, &mut buffer);
            let received = match socket.try_io(Interest::READABLE, receive) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return error.into(),
            };
            if received.bytes == 0 {
                return KeeperError::Closed;
            }
            let bytes = buffer.get(..received.bytes).unwrap_or_default();
            if let Err(error) = hear(site, keeper, bytes, received.descriptors) {
                return error;
            }
            if keeper.is_closed.get() {
                return KeeperError::Closed;
            }
        }
        if let Err(error) = keeper.flush() {
            return error;
        }
        site.pump();
        // Other sites have their turn before more is heard of this one.
        tokio::task::yield_now().await;
    }
}

fn hear(
    site: &Rc<Site>,
    keeper: &Keeper,
    bytes: &[u8],
    mut descriptors: Vec<OwnedFd>,
) -> Result<(), KeeperError> {
    let message = KeeperToFront::decode(bytes)?;
    if descriptors.len() != message.descriptors() {
        return Err(KeeperError::Descriptors(descriptors.len()));
    }
    let descriptor = descriptors.pop();
    match message {
        KeeperToFront::Busy { processes } => {
            if !site.busy(processes) {
                return Err(KeeperError::Unexpected("Busy without being asked"));
            }
        }
        KeeperToFront::PhpDown(death) => site.pool.php_down(site, death)?,
        KeeperToFront::Ready => {
            if keeper.is_ready.replace(true) {
                return Err(KeeperError::Unexpected("Ready twice"));
            }
            site.wake.reach(Step::Keeper, Instant::now());
        }
        KeeperToFront::Resolved { ticket, resolution } => {
            site.map.answer(site, ticket, resolution, descriptor)?;
        }
        KeeperToFront::WorkerDied(worker, death) => site.pool.died(site, worker, death)?,
        KeeperToFront::WorkerFailed(worker, errno) => site.pool.failed(site, worker, errno)?,
        KeeperToFront::WorkerStarted(worker, pid) => site.pool.started(site, worker, pid)?,
    }
    Ok(())
}

/// Copy lines of the site's standard error into its error log, at a bounded rate. Ends never, since even a pipe without a
/// writer is kept until the site is down.
async fn copy_stderr(site: &Rc<Site>, stderr: OwnedFd) {
    let Ok(mut pipe) = pipe::Receiver::from_owned_fd(stderr) else {
        site.say(format_args!("the site's standard error cannot be read"));
        return std::future::pending().await;
    };
    let mut lines = Lines::default();
    let mut buffer = vec![0; STDERR_TURN_BYTES];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => return std::future::pending().await,
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                lines.push(bytes, |line| site.services.logs.site_error(site, line));
                // However little came: who writes a byte at a time costs no more turns than who fills the pipe.
                tokio::time::sleep(STDERR_PAUSE).await;
            }
        }
    }
}

/// Cuts bytes into lines; one that is too long is cut where it is.
#[derive(Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    pub(crate) fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = limits::LOG_BYTES_MAX.saturating_sub(self.begun.len());
            self.begun
                .extend_from_slice(part.get(..room).unwrap_or(part));
            if part.ends_with(b"\n") {
                if !self.begun.trim_ascii().is_empty() {
                    take(&self.begun);
                }
                self.begun.clear();
            }
        }
    }
}

/// Messages of one keeper that are heard in one turn.
const TURN_MESSAGES: usize = 64;
/// Messages that may wait for a keeper: questions, and two for each worker.
const OUTBOX_MAX: usize = limits::LOOKUPS_MAX + 4 * limits::WORKERS_MAX as usize;
/// Bytes of standard error that are read at once, all that a pipe holds, and the pause that follows: 640 KiB a second.
const STDERR_TURN_BYTES: usize = 64 * 1024;
const STDERR_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_error_is_cut_into_lines_of_bounded_length() {
        let mut lines = Lines::default();
        let mut seen: Vec<Vec<u8>> = Vec::new();
        for bytes in [&b"one\ntw"[..], b"o\n\nrest"] {
            lines.push(bytes, |line| seen.push(line.to_vec()));
        }
        assert_eq!(seen, [b"one\n".to_vec(), b"two\n".to_vec()]);
        lines.push(&[b'x'; 100_000], |_| {});
        assert!(lines.begun.len() <= limits::LOG_BYTES_MAX);
    }
}
