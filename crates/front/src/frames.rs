//! What a worker sends, cut into frames and held against the rules of its channel.
//!
//! Used by [`crate::exchange`], for one worker. It trusts no byte: a frame of another request, out of order, too large, or with a
//! payload that is not one, is an error. It does no I/O and keeps nothing of a payload.

use hostel_sys::ring::BadPosition;
use hostel_wire::codec::Malformed;
use hostel_wire::front_worker::{End, FrameHead, ReplyHead, from_worker};
use hostel_wire::limits;

use crate::reply::{BadLine, ReplyHeaders};

/// Bytes of a worker that are not taken apart yet. Frames are read in place: the bytes are this process's own copy.
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    begin: usize,
    end: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            bytes: vec![0; INBOX_BYTES],
            begin: 0,
            end: 0,
        }
    }
}

impl Inbox {
    /// Space for the next bytes, never empty: what is here is less than one frame, since whole ones were taken out before.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.begin > 0 {
            self.bytes.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.begin = 0;
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes were put into the space.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Whether nothing waits to be taken apart.
    pub(crate) fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// The next frame, once it is whole.
    pub(crate) fn frame(&mut self) -> Result<Option<(FrameHead, &[u8])>, Malformed> {
        let bytes = self.bytes.get(self.begin..self.end).unwrap_or_default();
        let Some(head) = FrameHead::decode(bytes)? else {
            return Ok(None);
        };
        let whole = limits::FRAME_HEAD_BYTES + head.length;
        let Some(payload) = bytes.get(limits::FRAME_HEAD_BYTES..whole) else {
            return Ok(None);
        };
        self.begin += whole;
        Ok(Some((head, payload)))
    }
}

/// How far an answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing yet.
    Begun,
    /// A head, and perhaps some of the body.
    Headed,
    /// Complete, though the script runs on.
    Finished,
    /// There is no script.
    Missing {
        /// Or it may not be run.
        forbidden: bool,
    },
}

/// A frame that keeps to the rules.
pub(crate) enum Event<'b> {
    Head(u16, ReplyHeaders),
    Body(&'b [u8]),
    Log(&'b [u8]),
    Finish,
    Missing,
    End(End),
}

/// How a worker broke the rules.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("{0}")]
    Line(#[from] BadLine),
    #[error("it sent a frame of request {0} in request {1}")]
    Request(u32, u32),
    #[error("it sent a frame of kind {0} where none may be")]
    Order(u8),
    #[error("it sent too many empty frames")]
    Empty,
    #[error("it sent bytes outside of a request")]
    Outside,
    #[error("it rings without end")]
    Bell,
    #[error("{0}")]
    Position(#[from] BadPosition),
}

/// The rules, for one request.
pub(crate) struct Rules {
    pub(crate) request: u32,
    pub(crate) phase: Phase,
    empty: u32,
}

impl Rules {
    pub(crate) fn new(request: u32) -> Self {
        Self {
            request,
            phase: Phase::Begun,
            empty: 0,
        }
    }

    /// What a frame means, if it may come now.
    pub(crate) fn check<'b>(
        &mut self,
        head: FrameHead,
        payload: &'b [u8],
    ) -> Result<Event<'b>, Broken> {
        if head.request != self.request {
            return Err(Broken::Request(head.request, self.request));
        }
        match (head.kind, self.phase) {
            (from_worker::HEAD, Phase::Begun) => {
                let (status, headers) = reply(payload)?;
                self.phase = Phase::Headed;
                Ok(Event::Head(status, headers))
            }
            (from_worker::BODY, Phase::Headed) => {
                self.count_empty(payload)?;
                Ok(Event::Body(payload))
            }
            (from_worker::LOG, _) if payload.len() <= limits::LOG_BYTES_MAX => {
                self.count_empty(payload)?;
                Ok(Event::Log(payload))
            }
            (from_worker::FINISH, Phase::Headed) if payload.is_empty() => {
                self.phase = Phase::Finished;
                Ok(Event::Finish)
            }
            (from_worker::MISSING, Phase::Begun) => {
                let forbidden = match payload {
                    [0] => false,
                    [1] => true,
                    _ => return Err(Malformed::Value("missing").into()),
                };
                self.phase = Phase::Missing { forbidden };
                Ok(Event::Missing)
            }
            (from_worker::END, Phase::Headed | Phase::Finished | Phase::Missing { .. }) => {
                Ok(Event::End(End::decode(payload)?))
            }
            (kind, _) => Err(Broken::Order(kind)),
        }
    }

    /// A frame without bytes costs its sender nothing.
    fn count_empty(&mut self, payload: &[u8]) -> Result<(), Broken> {
        self.empty += u32::from(payload.is_empty());
        if self.empty > EMPTY_FRAMES_MAX {
            return Err(Broken::Empty);
        }
        Ok(())
    }
}

fn reply(payload: &[u8]) -> Result<(u16, ReplyHeaders), Broken> {
    let head = ReplyHead::decode(payload)?;
    let mut headers = ReplyHeaders::default();
    for line in head.lines {
        headers.push(line)?;
    }
    Ok((headers.status(head.status)?, headers))
}

/// One frame of the largest size.
const INBOX_BYTES: usize = limits::FRAME_HEAD_BYTES + limits::FRAME_BYTES_MAX;
/// Frames without a payload in one request.
const EMPTY_FRAMES_MAX: u32 = 1000;
