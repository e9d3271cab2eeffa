//! The front's way to one worker: memory that both share, a bell, and a socket that tells when the worker is gone.
//!
//! Used by [`crate::exchange`], for one worker. What the worker writes is copied into the inbox before anybody looks at it. It trusts
//! no worker: a position that cannot be, a byte on the socket, or a bell that is rung without end, are errors.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hostel_sys::ring::{FrontEnd, ROOM_BYTES, Wake};
use hostel_wire::front_worker::{FrameHead, to_worker};
use hostel_wire::limits;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::UnixStream;

use crate::frames::{Broken, Inbox};
use crate::worker::{Job, Stop, Worker};

/// The way to a worker, and what waits on either side of it.
pub(crate) struct Link {
    ring: FrontEnd,
    bell: Bell,
    socket: UnixStream,
    pub(crate) inbox: Inbox,
    outbox: Vec<u8>,
    /// How much of the outbox was sent.
    sent: usize,
    /// Bytes of the present request that were sent, as far as the worker may not have read them.
    begun: usize,
    /// Bytes of each of the next requests, which were sent ahead.
    ahead: VecDeque<usize>,
    /// How often the bell was rung for nothing since there last was something to do.
    rung: u32,
}

/// The worker's bell. While its worker is paced nobody listens, so that ringing costs the front nothing.
enum Bell {
    Heard(AsyncFd<OwnedFd>),
    Muted(OwnedFd),
    /// The front has no room to listen.
    Lost,
}

/// What an idle worker's task wakes up to.
pub(crate) enum Idle {
    Job(Box<Job>),
    /// Its process is gone, or it is not needed any more.
    Over,
    /// It is to be killed, for it took too long.
    TooLong,
    Broken(Broken),
}

/// What came of a worker.
pub(crate) enum Came {
    /// Bytes, into the inbox.
    Bytes,
    /// It has closed its socket, and everything that it wrote was read.
    Closed,
}

impl Link {
    /// Share memory with the worker at the other end of this socket.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        let (ring, bell) = FrontEnd::share(&socket)?;
        Ok(Self {
            ring,
            bell: Bell::Muted(bell),
            socket: UnixStream::from_std(socket.into())?,
            inbox: Inbox::default(),
            outbox: Vec::new(),
            sent: 0,
            begun: 0,
            ahead: VecDeque::new(),
            rung: 0,
        })
    }

    pub(crate) fn poll_idle(&mut self, worker: &Worker, cx: &mut Context<'_>) -> Poll<Idle> {
        worker.set_waker(cx.waker());
        match worker.stopped() {
            Some(Stop::Unneeded | Stop::Died) => return Poll::Ready(Idle::Over),
            Some(Stop::TimedOut) => return Poll::Ready(Idle::TooLong),
            None => {}
        }
        // A worker that has spoken or gone is not given its job: it goes to another one.
        Poll::Ready(match self.poll_read(cx) {
            Poll::Pending if self.rung > IDLE_RINGS_MAX => Idle::Broken(Broken::Bell),
            Poll::Pending => match worker.take_job() {
                Some(job) => Idle::Job(Box::new(job)),
                None => return Poll::Pending,
            },
            Poll::Ready(Ok(Came::Closed)) => Idle::Over,
            Poll::Ready(Ok(Came::Bytes)) => Idle::Broken(Broken::Outside),
            Poll::Ready(Err(broken)) => Idle::Broken(broken),
        })
    }

    /// Another request begins, the first that was sent ahead if there is one.
    pub(crate) fn begin(&mut self) {
        self.begun = self.ahead.pop_front().unwrap_or(0);
        self.rung = 0;
    }

    /// Send one more request ahead, whole, so that the worker need not sleep when it is done with the present one. `false` where
    /// there is no room, or something else to be sent.
    pub(crate) fn send_ahead(&mut self, request: u32, payload: &[u8]) -> Result<bool, Broken> {
        let whole = limits::FRAME_HEAD_BYTES + payload.len();
        if !self.outbox.is_empty() || self.ring.room()? < whole {
            return Ok(false);
        }
        self.push_frame(request, to_worker::REQUEST, payload);
        let sent = self.ring.write(&self.outbox)?;
        self.outbox.clear();
        self.ahead.push_back(sent);
        self.wake();
        Ok(true)
    }

    /// Whether nothing waits to be sent.
    pub(crate) fn is_sent(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Take the last request back that was sent ahead; `false` where the worker has read of it.
    pub(crate) fn take_back(&mut self) -> bool {
        // Nothing is left of it where it was taken back together with the one that runs.
        let count = self.ahead.back().copied().unwrap_or(0);
        let is_back = matches!(self.ring.take_back(count), Ok(true));
        if is_back {
            self.ahead.pop_back();
        }
        is_back
    }

    /// Whether the worker has read nothing of the present request. Asked once it is gone: the request is taken back then, and with it
    /// those that were sent ahead.
    pub(crate) fn is_unread(&mut self) -> bool {
        let count = self.begun + self.ahead.iter().sum::<usize>();
        let is_back = matches!(self.ring.take_back(count), Ok(true));
        if is_back {
            self.ahead.clear();
        }
        is_back
    }

    /// Read what is there.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Came, Broken>> {
        for _ in 0..LOOKS {
            if self.read_ring()? {
                return Poll::Ready(Ok(Came::Bytes));
            }
            let is_quiet = self.poll_bell(cx).is_pending();
            if is_quiet && !self.ring.expect_answer()? {
                return self.poll_socket(cx);
            }
        }
        // It rings and writes while this looks: others have their turn first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether it was rung since the last time.
    fn poll_bell(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.bell, Bell::Muted(_)) {
            self.listen();
        }
        let Bell::Heard(bell) = &self.bell else {
            return Poll::Pending;
        };
        if let Ok(mut rung) = ready!(bell.poll_read_ready(cx)) {
            // It is never read: each time that it is rung is an event of its own.
            rung.clear_ready();
            self.rung += 1;
        }
        Poll::Ready(())
    }

    #[expect(
        deprecated,
        reason = "unsound for a descriptor that can be closed behind its owner, which an OwnedFd cannot"
    )]
    fn listen(&mut self) {
        if let Bell::Muted(bell) = std::mem::replace(&mut self.bell, Bell::Lost)
            && let Ok(bell) = AsyncFd::with_interest(bell, Interest::READABLE)
        {
            self.bell = Bell::Heard(bell);
        }
    }

    /// Listen no more until it is next read from.
    pub(crate) fn mute(&mut self) {
        self.bell = match std::mem::replace(&mut self.bell, Bell::Lost) {
            Bell::Heard(bell) => Bell::Muted(bell.into_inner()),
            other @ (Bell::Muted(_) | Bell::Lost) => other,
        };
    }

    /// Nothing is ever sent this way, but its end tells that the worker is gone.
    fn poll_socket(&mut self, cx: &mut Context<'_>) -> Poll<Result<Came, Broken>> {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let read = ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer));
        if read.is_ok() && !buffer.filled().is_empty() {
            return Poll::Ready(Err(Broken::Outside));
        }
        // What it wrote before its end counts.
        let came = if self.read_ring()? {
            Came::Bytes
        } else {
            Came::Closed
        };
        Poll::Ready(Ok(came))
    }

    /// Copy what there is into the inbox; whether there was anything.
    fn read_ring(&mut self) -> Result<bool, Broken> {
        let count = self.ring.read(self.inbox.space())?;
        self.inbox.filled(count);
        Ok(count > 0)
    }

    /// Send what waits.
    pub(crate) fn poll_send(&mut self) -> Poll<Result<(), Broken>> {
        while let Some(rest) = self.outbox.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let count = self.ring.write(rest)?;
            if count == 0 {
                // The bell tells when there is room, and whoever reads the answer hears it.
                if self.ring.expect_room(rest.len())? {
                    continue;
                }
                return Poll::Pending;
            }
            self.sent += count;
            self.begun += count;
            self.wake();
        }
        self.outbox.clear();
        self.outbox.shrink_to(OUTBOX_KEPT);
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Send as much of these bytes of a body as there is room for, as one frame, from where they stand; 0 where it has to wait. Nothing
    /// else may wait to be sent.
    pub(crate) fn send_body(&mut self, request: u32, rest: &[u8]) -> Result<usize, Broken> {
        let wanted = (limits::FRAME_HEAD_BYTES + rest.len()).min(ROOM_BYTES);
        if self.ring.room()? < wanted && !self.ring.expect_room(wanted)? {
            return Ok(0);
        }
        let room = self.ring.room()?.saturating_sub(limits::FRAME_HEAD_BYTES);
        let length = rest.len().min(room).min(limits::FRAME_BYTES_MAX);
        let head = FrameHead {
            length,
            request,
            kind: to_worker::BODY,
        };
        self.begun += self.ring.write(&head.encode())?;
        self.begun += self.ring.write(rest.get(..length).unwrap_or_default())?;
        self.wake();
        Ok(length)
    }

    /// Whether something waits to be sent, or so many bytes of a body do, for which there is room by now.
    pub(crate) fn can_send(&self, body_bytes: usize) -> bool {
        let wanted = match (self.outbox.len().saturating_sub(self.sent), body_bytes) {
            (0, 0) => return false,
            (0, body_bytes) => limits::FRAME_HEAD_BYTES + body_bytes,
            (waiting, _) => waiting,
        };
        let wanted = wanted.min(ROOM_BYTES);
        self.ring.room().is_ok_and(|room| room >= wanted)
    }

    fn wake(&self) {
        if self.ring.wake() == Wake::BySocket {
            // One that is full of such bytes wakes too, and a worker that is gone is noticed where it is read from.
            let _ = self.socket.try_write(b"w");
        }
    }

    pub(crate) fn push_frame(&mut self, request: u32, kind: u8, payload: &[u8]) {
        let head = FrameHead {
            length: payload.len(),
            request,
            kind,
        };
        self.outbox.extend_from_slice(&head.encode());
        self.outbox.extend_from_slice(payload);
    }

    /// The client of this request has left.
    pub(crate) fn client_left(&self, request: u32) {
        self.ring.client_left(request);
    }
}

/// Looks into the memory in one turn, where each finds that the worker has just done something.
const LOOKS: u32 = 4;
/// How often an idle worker may ring. One answer may be read while its bell is on the way.
const IDLE_RINGS_MAX: u32 = 100;
/// What an idle worker's outbox may keep.
const OUTBOX_KEPT: usize = 16 * 1024;
