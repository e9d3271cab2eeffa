//! The worker's way to the front and back: whole frames in, bytes out, through the memory that both share.
//!
//! Run by a worker, as the site's user. It believes the front's framing only as far as `hostel-wire` checks it, and it speaks
//! for one process alone: in a child that a script forked, nothing is read and nothing is written. It gives frames no
//! meaning; that is `exchange`.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;

use hostel_sys::ring::{Closed, WorkerEnd};
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
    #[error("this process is a child of the worker, which has no part in its channel")]
    Forked,
    /// Bytes that are no frame, or no frame that may come now.
    #[error("front sent what does not fit: {0}")]
    Malformed(#[from] Malformed),
    /// The kernel refused, or the memory is not what the front shares.
    #[error("cannot use what is shared with the front")]
    System(#[from] io::Error),
    /// The kernel has no memory.
    #[error("cannot have memory for what was looked at lately")]
    Memory(#[source] io::Error),
}

/// The worker's end, with the part of a frame that was read ahead.
pub(crate) struct Channel {
    end: WorkerEnd,
    input: Box<[u8]>,
    /// Bytes of the next frame that were read. Of what follows it nothing is, since the front may take that back.
    filled: usize,
    /// The frame that was given out stands in the buffer.
    is_given: bool,
}

/// A whole frame: its head, and where in [`Channel::bytes`] its payload stands until the next frame is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) head: FrameHead,
    pub(crate) payload: Range<usize>,
}

impl Channel {
    /// Take over the socket, and what the front sends first: the memory and the bell. `None` when the front has closed already.
    pub(crate) fn adopt(socket: OwnedFd) -> Result<Option<Self>, ChannelError> {
        notice_forks()?;
        let Ok(end) = WorkerEnd::adopt(socket)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            end,
            input: vec![0; FRAME_HEAD_BYTES + FRAME_BYTES_MAX].into_boxed_slice(),
            filled: 0,
            is_given: false,
        }))
    }

    /// Go on after this process was put back to where it had read nothing of a next frame.
    pub(crate) fn go_on(&mut self) {
        self.end.go_on();
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
            if let Some(frame) = self.read_frame()? {
                return Ok(Some(frame));
            }
            match self.end.wait_for_input()? {
                Ok(()) => {}
                Err(Closed) if self.filled == 0 || self.is_given => return Ok(None),
                Err(Closed) => return Err(ChannelError::Cut),
            }
        }
    }

    /// The next frame if it is there already.
    fn read_frame(&mut self) -> Result<Option<Frame>, ChannelError> {
        self.check_ours()?;
        if std::mem::take(&mut self.is_given) {
            self.filled = 0;
        }
        loop {
            let head = FrameHead::decode(self.bytes(0..self.filled))?;
            let wanted = FRAME_HEAD_BYTES + head.map_or(0, |head| head.length);
            if let Some(head) = head.filter(|_| self.filled == wanted) {
                self.is_given = true;
                let payload = FRAME_HEAD_BYTES..wanted;
                return Ok(Some(Frame { head, payload }));
            }
            let space = self.input.get_mut(self.filled..wanted).unwrap_or_default();
            match self.end.read_some(space)? {
                0 => return Ok(None),
                count => self.filled += count,
            }
        }
    }

    /// Send all of `bytes`; waits while the front takes none.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> Result<(), ChannelError> {
        self.check_ours()?;
        loop {
            let sent = self.end.write_some(bytes)?;
            bytes = bytes.get(sent..).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(());
            }
            // Timers of max_execution_time interrupt; what they want is done once PHP runs again.
            self.end
                .wait_for_room()?
                .map_err(|Closed| ChannelError::Cut)?;
        }
    }

    /// Whether nobody takes the answer to this request any more: its client has left. The front's end is an error.
    pub(crate) fn is_abandoned(&self, request: u32) -> Result<bool, ChannelError> {
        self.check_ours()?;
        self.end
            .look_at_socket()?
            .map_err(|Closed| ChannelError::Cut)?;
        Ok(self.end.has_client_left(request))
    }

    fn check_ours(&self) -> Result<(), ChannelError> {
        if self.is_ours() {
            Ok(())
        } else {
            Err(ChannelError::Forked)
        }
    }
}
