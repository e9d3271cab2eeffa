//! The worker's socket to the front: whole frames in, bytes out.
//!
//! Run by a worker, as the site's user. It believes the front's framing only as far as `hostel-wire` checks it, and it speaks
//! for one process alone: in a child that a script forked, nothing is read and nothing is written. It gives frames no
//! meaning; that is `exchange`.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use hostel_wire::codec::Malformed;
use hostel_wire::front_worker::FrameHead;
use hostel_wire::limits::{FRAME_BYTES_MAX, FRAME_HEAD_BYTES};

use crate::process::{is_forked_child, notice_forks};

/// Why the front can no longer be understood or reached. A worker ends on each of them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    /// The front closed the socket in the middle of a frame or of a request.
    #[error("front closed the socket within a request")]
    Cut,
    /// A forked child of a script came back to the worker's loop.
    #[error("this process is a child of the worker, which has no part in its socket")]
    Forked,
    /// Bytes that are no frame, or no frame that may come now.
    #[error("front sent what does not fit: {0}")]
    Malformed(#[from] Malformed),
    /// The kernel refused.
    #[error("cannot use the socket to the front")]
    Socket(#[from] io::Error),
}

/// The worker's end of the socket, with the bytes that were read ahead.
pub(crate) struct Channel {
    socket: OwnedFd,
    input: Box<[u8]>,
    unread: Range<usize>,
}

/// A whole frame: its head, and where in [`Channel::bytes`] its payload stands until the next frame is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) head: FrameHead,
    pub(crate) payload: Range<usize>,
}

/// What a look without waiting found.
pub(crate) enum Glance {
    /// The front has closed.
    Closed,
    Frame(Frame),
    /// No whole frame yet.
    Nothing,
}

impl Channel {
    /// Take over the socket; from here on it waits, whatever it did before.
    pub(crate) fn adopt(socket: OwnedFd) -> io::Result<Self> {
        notice_forks()?;
        let flags = fcntl_getfl(&socket)?;
        fcntl_setfl(&socket, flags - OFlags::NONBLOCK)?;
        Ok(Self {
            socket,
            input: vec![0; FRAME_HEAD_BYTES + FRAME_BYTES_MAX].into_boxed_slice(),
            unread: 0..0,
        })
    }

    /// Whether this process is the worker itself and not a child of it.
    pub(crate) fn is_ours(&self) -> bool {
        !is_forked_child()
    }

    /// Bytes that were read, for the ranges of frames.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.input.get(range).unwrap_or_default()
    }

    /// The next frame; waits for it. `None` when the front has closed between two frames.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame>, ChannelError> {
        loop {
            if let Some(frame) = self.buffered_frame()? {
                return Ok(Some(frame));
            }
            match self.receive(RecvFlags::empty())? {
                Some(0) if self.unread.is_empty() => return Ok(None),
                Some(0) => return Err(ChannelError::Cut),
                Some(_) | None => {}
            }
        }
    }

    /// The next frame if it is there already.
    pub(crate) fn glance(&mut self) -> Result<Glance, ChannelError> {
        if let Some(frame) = self.buffered_frame()? {
            return Ok(Glance::Frame(frame));
        }
        match self.receive(RecvFlags::DONTWAIT)? {
            Some(0) => Ok(Glance::Closed),
            Some(_) => Ok(self
                .buffered_frame()?
                .map_or(Glance::Nothing, Glance::Frame)),
            None => Ok(Glance::Nothing),
        }
    }

    /// Send all of `bytes`; waits while the front takes none.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> Result<(), ChannelError> {
        if !self.is_ours() {
            return Err(ChannelError::Forked);
        }
        while !bytes.is_empty() {
            match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                // Timers of max_execution_time interrupt; what they want is done once PHP runs again.
                Err(Errno::INTR) => {}
                Err(error) => return Err(ChannelError::Socket(error.into())),
            }
        }
        Ok(())
    }

    fn buffered_frame(&mut self) -> Result<Option<Frame>, ChannelError> {
        let Some(head) = FrameHead::decode(self.bytes(self.unread.clone()))? else {
            return Ok(None);
        };
        let start = self.unread.start + FRAME_HEAD_BYTES;
        let end = start + head.length;
        if end > self.unread.end {
            return Ok(None);
        }
        self.unread.start = end;
        Ok(Some(Frame {
            head,
            payload: start..end,
        }))
    }

    /// More bytes behind the unread ones; `None` where there are none without waiting.
    fn receive(&mut self, flags: RecvFlags) -> Result<Option<usize>, ChannelError> {
        if !self.is_ours() {
            return Err(ChannelError::Forked);
        }
        // One whole frame always fits behind the start of the buffer.
        self.input.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        let space = self.input.get_mut(self.unread.end..).unwrap_or_default();
        match recv(&self.socket, space, flags) {
            Ok((received, _)) => {
                self.unread.end += received;
                Ok(Some(received))
            }
            Err(Errno::INTR | Errno::WOULDBLOCK) => Ok(None),
            Err(Errno::CONNRESET) => Ok(Some(0)),
            Err(error) => Err(ChannelError::Socket(error.into())),
        }
    }
}
