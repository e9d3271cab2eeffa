//! A worker's answer on its way to a client: filled by the exchange, emptied by the connection, each at its own pace.
//!
//! Used on the front's one thread by both sides, which share nothing else. Up to [`ANSWER_MEMORY_MAX`] bytes wait in memory, then
//! up to the site's bound in a spill file, then the worker waits. It deliberately knows neither frames nor HTTP.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::disk::SiteDisk;
use crate::handoff::{HandoffError, Outcome};
use crate::reply::ReplyHeaders;
use crate::spill::{Body, Claim, Share, Spill};
use crate::supply::{Portion, Taken};

/// The answer to a request, from its head on.
pub struct Answer {
    /// The status, 200 to 599.
    pub status: u16,
    /// Its header lines, each of them checked.
    pub headers: ReplyHeaders,
    /// What follows.
    pub body: AnswerBody,
}

/// The body of an answer. Dropping it before its end tells the worker that the client has left.
pub struct AnswerBody {
    channel: Rc<Channel>,
}

/// The worker ended within its answer, or what was held for the client could not be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the site's worker ended before its answer was complete")]
pub struct AnswerCut;

/// What all answers of one site may hold together.
#[derive(Debug)]
pub(crate) struct Budget {
    memory: Rc<Portion>,
    spill_share: Rc<Share>,
    answer_bytes_max: u64,
}

impl Budget {
    pub(crate) fn new(
        answer_bytes_max: u64,
        memory: &Rc<Portion>,
        spill_share: &Rc<Share>,
    ) -> Self {
        Self {
            memory: Rc::clone(memory),
            spill_share: Rc::clone(spill_share),
            answer_bytes_max,
        }
    }
}

#[cfg(test)]
impl Budget {
    /// For tests: half of so much memory, and no file.
    pub(crate) fn in_memory(bytes: usize) -> Rc<Self> {
        use crate::disk::Disk;
        use crate::supply::Supply;
        let disk = Rc::new(Disk::default()).site();
        let share = Share::new(0, Supply::new(0).portion(), disk);
        Rc::new(Self::new(0, &Supply::new(bytes).portion(), &share))
    }
}

/// The link between one exchange and one connection.
pub(crate) struct Channel {
    budget: Rc<Budget>,
    state: RefCell<State>,
}

struct State {
    verdict: Option<Result<Verdict, HandoffError>>,
    memory: VecDeque<Vec<u8>>,
    /// What `memory` takes.
    taken: Taken,
    spilled: Option<Spilled>,
    /// All bytes so far.
    length: u64,
    end: Option<Result<(), AnswerCut>>,
    has_left: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Bytes `read..written` of the file wait, behind those in memory.
struct Spilled {
    file: Arc<File>,
    read: u64,
    written: u64,
    /// The most that the file ever held, which is what it takes of the disk.
    claim: Claim,
    is_writing: bool,
    /// The disk gave an error: no more is written here.
    is_broken: bool,
}

/// What a worker says of a request first.
pub(crate) enum Verdict {
    /// It answers.
    Head(u16, ReplyHeaders),
    /// It does not.
    Missing {
        /// Whether the script is there but may not be run.
        forbidden: bool,
        /// The request's body, unread.
        body: Body,
    },
}

/// What became of bytes that were to be held.
pub(crate) enum Push {
    /// They wait in memory, or nobody wants them.
    Taken,
    /// Memory is full: these go to the spill file.
    Spill(Vec<u8>),
}

/// What became of bytes that memory had no room for.
#[derive(Default)]
pub(crate) struct Held {
    /// Somebody wants them, and they are gone.
    pub(crate) is_lost: bool,
    /// What the disk said.
    pub(crate) trouble: Option<io::Error>,
}

impl Channel {
    pub(crate) fn new(budget: &Rc<Budget>) -> Rc<Self> {
        Rc::new(Self {
            budget: Rc::clone(budget),
            state: RefCell::new(State {
                verdict: None,
                memory: VecDeque::new(),
                taken: budget.memory.nothing(),
                spilled: None,
                length: 0,
                end: None,
                has_left: false,
                reader: None,
                writer: None,
            }),
        })
    }

    /// The first word of the worker is this. Later words change nothing.
    pub(crate) fn decide(&self, verdict: Verdict) {
        let mut state = self.state.borrow_mut();
        if state.verdict.is_none() {
            state.verdict = Some(Ok(verdict));
        }
        wake(&mut state.reader);
    }

    /// The exchange is over without a proper end: `error` where no head was passed on, else the answer is cut. Changes nothing in
    /// an answer that was complete.
    pub(crate) fn fail(&self, error: HandoffError, has_head: bool) {
        let mut state = self.state.borrow_mut();
        if has_head {
            state.end.get_or_insert(Err(AnswerCut));
        } else if state.verdict.is_none() {
            state.verdict = Some(Err(error));
        }
        wake(&mut state.reader);
    }

    /// The answer is complete.
    pub(crate) fn complete(&self) {
        let mut state = self.state.borrow_mut();
        state.end.get_or_insert(Ok(()));
        wake(&mut state.reader);
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn has_left(&self) -> bool {
        self.state.borrow().has_left
    }

    /// The client has left: unless the answer is complete, the exchange hears of it.
    pub(crate) fn leave(&self) {
        let mut state = self.state.borrow_mut();
        state.has_left = true;
        let bytes = state.taken.count();
        state.taken.shrink(bytes);
        state.memory.clear();
        wake(&mut state.writer);
    }

    /// The exchange wants to be woken when the client leaves, or has taken some of what is held.
    pub(crate) fn watch(&self, waker: &Waker) {
        let writer = &mut self.state.borrow_mut().writer;
        if !writer
            .as_ref()
            .is_some_and(|writer| writer.will_wake(waker))
        {
            *writer = Some(waker.clone());
        }
    }

    /// Hold these bytes of the body.
    pub(crate) fn push(&self, bytes: &[u8]) -> Push {
        let mut state = self.state.borrow_mut();
        if state.has_left {
            return Push::Taken;
        }
        if state.hold(bytes) {
            Push::Taken
        } else {
            Push::Spill(bytes.to_vec())
        }
    }

    /// Hold bytes that memory has no room for: in the spill file, or once there is room. Returns early, with the bytes lost, when
    /// the client has left or `is_stopped` says that the worker is to be given up.
    ///
    /// A full disk or a spill bound that is reached costs nothing but time: the worker waits for the client.
    pub(crate) async fn push_slowly(
        &self,
        bytes: Vec<u8>,
        spill: &Spill,
        mut is_stopped: impl FnMut(&Waker) -> bool,
    ) -> Held {
        let (bytes, trouble) = match self.place(bytes.len() as u64, spill) {
            None => (bytes, None),
            Some((Err(error), _)) => (bytes, Some(error)),
            Some((Ok(file), offset)) => {
                let disk = &self.budget.spill_share.disk;
                let (bytes, written) = write_at(disk, file, bytes, offset).await;
                if self.written(offset, bytes.len() as u64, written.is_ok()) {
                    return Held::default();
                }
                (bytes, written.err())
            }
        };
        let is_held = poll_fn(|cx| {
            let mut state = self.state.borrow_mut();
            if state.has_left || is_stopped(cx.waker()) {
                return Poll::Ready(state.has_left);
            }
            if state.hold(&bytes) {
                return Poll::Ready(true);
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        Held {
            is_lost: !is_held,
            trouble,
        }
    }

    /// A write to the spill file has ended.
    fn written(&self, offset: u64, length: u64, is_well: bool) -> bool {
        let mut state = self.state.borrow_mut();
        if let Some(spilled) = &mut state.spilled {
            spilled.is_writing = false;
            spilled.is_broken |= !is_well;
            if is_well {
                spilled.written = offset + length;
            }
        }
        if is_well {
            state.length += length;
            wake(&mut state.reader);
        }
        is_well
    }

    /// The place in the spill file for so many bytes, if the bounds allow one.
    fn place(&self, bytes: u64, spill: &Spill) -> Option<(io::Result<Arc<File>>, u64)> {
        let mut state = self.state.borrow_mut();
        if state.spilled.is_none() {
            let claim = self.budget.spill_share.claim()?;
            match spill.create() {
                Ok(file) => {
                    state.spilled = Some(Spilled {
                        file: Arc::new(file),
                        read: 0,
                        written: 0,
                        claim,
                        is_writing: false,
                        is_broken: false,
                    });
                }
                Err(error) => return Some((Err(error), 0)),
            }
        }
        let spilled = state.spilled.as_mut()?;
        if spilled.read == spilled.written {
            (spilled.read, spilled.written) = (0, 0);
        }
        let offset = spilled.written;
        let end = offset + bytes;
        if spilled.is_broken || end > self.budget.answer_bytes_max || !spilled.claim.grow_to(end) {
            return None;
        }
        spilled.is_writing = true;
        Some((Ok(Arc::clone(&spilled.file)), offset))
    }

    /// Wait for the first word of the worker.
    pub(crate) fn poll_verdict(
        self: &Rc<Self>,
        cx: &Context<'_>,
    ) -> Poll<Result<Outcome, HandoffError>> {
        let mut state = self.state.borrow_mut();
        let Some(verdict) = state.verdict.take() else {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        Poll::Ready(verdict.map(|verdict| match verdict {
            Verdict::Head(status, headers) => Outcome::Answer(Answer {
                status,
                headers,
                body: AnswerBody {
                    channel: Rc::clone(self),
                },
            }),
            Verdict::Missing { forbidden, body } => Outcome::Missing { forbidden, body },
        }))
    }
}

impl State {
    /// Hold these bytes in memory, if there is room.
    fn hold(&mut self, bytes: &[u8]) -> bool {
        let is_in_order = self
            .spilled
            .as_ref()
            .is_none_or(|spilled| spilled.read == spilled.written && !spilled.is_writing);
        if !is_in_order || self.taken.count() + bytes.len() > ANSWER_MEMORY_MAX {
            return false;
        }
        if !self.taken.grow(bytes.len()) {
            // Whoever holds nothing may always hold one piece, or nothing would move where the memory is used up.
            if self.taken.count() > 0 {
                return false;
            }
            self.taken.grow_beyond(bytes.len());
        }
        self.length += bytes.len() as u64;
        match self.memory.back_mut() {
            Some(last) if last.len() + bytes.len() <= CHUNK_BYTES => last.extend_from_slice(bytes),
            Some(_) | None => self.memory.push_back(bytes.to_vec()),
        }
        wake(&mut self.reader);
        true
    }
}

/// What the reader does next.
enum Next {
    Give(Vec<u8>),
    ReadBack(Arc<File>, u64, u64),
    End(Option<AnswerCut>),
}

impl AnswerBody {
    /// The length of the whole body in bytes, once the worker has completed it.
    pub fn complete_length(&self) -> Option<u64> {
        let state = self.channel.state.borrow();
        match state.end {
            Some(Ok(())) => Some(state.length),
            Some(Err(AnswerCut)) | None => None,
        }
    }

    /// The next bytes (never empty), as soon as there are any; `None` when all were given.
    pub async fn chunk(&mut self) -> Option<Result<Vec<u8>, AnswerCut>> {
        match poll_fn(|cx| self.poll_next(cx)).await {
            Next::Give(bytes) => Some(Ok(bytes)),
            Next::End(cut) => cut.map(Err),
            Next::ReadBack(file, offset, length) => {
                Some(self.read_back(file, offset, length).await)
            }
        }
    }

    fn poll_next(&self, cx: &Context<'_>) -> Poll<Next> {
        let mut state = self.channel.state.borrow_mut();
        if let Some(bytes) = state.memory.pop_front() {
            state.taken.shrink(bytes.len());
            wake(&mut state.writer);
            return Poll::Ready(Next::Give(bytes));
        }
        if let Some(spilled) = &state.spilled
            && spilled.read < spilled.written
        {
            let length = (spilled.written - spilled.read).min(CHUNK_BYTES as u64);
            let file = Arc::clone(&spilled.file);
            return Poll::Ready(Next::ReadBack(file, spilled.read, length));
        }
        if let Some(end) = state.end {
            return Poll::Ready(Next::End(end.err()));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    async fn read_back(
        &self,
        file: Arc<File>,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u8>, AnswerCut> {
        let disk = &self.channel.budget.spill_share.disk;
        let read = read_at(disk, file, offset, length).await;
        let bytes = read.map_err(|_| AnswerCut)?;
        let mut state = self.channel.state.borrow_mut();
        if let Some(spilled) = &mut state.spilled {
            spilled.read = offset + length;
        }
        wake(&mut state.writer);
        Ok(bytes)
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.channel.leave();
    }
}

/// Write all of `bytes`, on a thread that may wait for the disk.
async fn write_at(
    disk: &SiteDisk,
    file: Arc<File>,
    bytes: Vec<u8>,
    offset: u64,
) -> (Vec<u8>, io::Result<()>) {
    let written = disk.run(move || {
        let written = file.write_all_at(&bytes, offset);
        Ok((bytes, written))
    });
    written
        .await
        .unwrap_or_else(|error| (Vec::new(), Err(error)))
}

/// Read `length` bytes, on a thread that may wait for the disk.
pub(crate) async fn read_at(
    disk: &SiteDisk,
    file: Arc<File>,
    offset: u64,
    length: u64,
) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let read = disk.run(move || {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset).map(|()| bytes)
    });
    read.await
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// Bytes of one answer that wait in memory.
pub const ANSWER_MEMORY_MAX: usize = 256 * 1024;
/// Bytes that are handed on as one piece.
const CHUNK_BYTES: usize = 64 * 1024;
