//! One request's exchange with the front: the body as PHP reads it, the answer as PHP writes it.
//!
//! Run by a worker. Its methods are what `callbacks` calls from within PHP, so they never call PHP. A small answer leaves as one
//! write; a large one in pieces of about [`OUTPUT_BYTES`]. Once the client has left, or the answer was finished, output is dropped.

use std::io::Write as _;
use std::ops::Range;

use hostel_wire::codec::{Malformed, Writer};
use hostel_wire::front_worker::{End, FrameHead, ReplyHead, from_worker, to_worker};
use hostel_wire::limits::{FRAME_BYTES_MAX, FRAME_HEAD_BYTES, LOG_BYTES_MAX};

use crate::channel::{Channel, ChannelError, Frame};
use crate::reply::ScriptHead;

/// The client has left, or the front has: nobody takes the answer.
#[derive(Debug, thiserror::Error)]
#[error("nobody takes the answer any more")]
pub(crate) struct Aborted;

/// How far the front has taken the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// No head yet.
    Begun,
    /// A head, and perhaps some of the body.
    Headed,
    /// Complete, though the script may run on.
    Finished,
}

/// The state of one request, used again for the next.
pub(crate) struct Exchange {
    channel: Channel,
    number: u32,
    /// Bytes of the body that came and that PHP has not read.
    body: Range<usize>,
    body_ended: bool,
    progress: Progress,
    aborted: bool,
    /// Some of the answer has left already.
    spans_writes: bool,
    output: Vec<u8>,
    /// Where in `output` the head of the frame stands whose body still grows.
    open_frame: Option<usize>,
    log_bytes_left: usize,
    failure: Option<ChannelError>,
    panicked: bool,
}

impl Exchange {
    pub(crate) fn new(channel: Channel) -> Self {
        Self {
            channel,
            number: 0,
            body: 0..0,
            body_ended: true,
            progress: Progress::Begun,
            aborted: false,
            spans_writes: false,
            output: Vec::with_capacity(OUTPUT_BYTES + 2 * FRAME_HEAD_BYTES),
            open_frame: None,
            log_bytes_left: LOG_REQUEST_BYTES,
            failure: None,
            panicked: false,
        }
    }

    /// Go on after this process was put back to where it had read nothing of a next request.
    pub(crate) fn go_on(&mut self) {
        self.channel.go_on();
    }

    /// Whether this process is the worker itself and not a child that a script forked.
    pub(crate) fn is_ours(&self) -> bool {
        self.channel.is_ours()
    }

    /// Wait for the next request and put its payload into `request`. `false` when the front has closed.
    pub(crate) fn next_request(&mut self, request: &mut Vec<u8>) -> Result<bool, ChannelError> {
        self.discard_body()?;
        let Some(frame) = self.channel.next_frame()? else {
            return Ok(false);
        };
        if frame.head.kind != to_worker::REQUEST {
            return Err(Malformed::Value("frame between two requests").into());
        }
        request.clear();
        request.extend_from_slice(self.channel.bytes(frame.payload));
        self.number = frame.head.request;
        Ok(true)
    }

    /// Begin to answer the request that came, whose body has this many bytes.
    pub(crate) fn begin(&mut self, body_bytes: u64) {
        self.body = 0..0;
        self.body_ended = body_bytes == 0;
        self.progress = Progress::Begun;
        self.aborted = false;
        self.spans_writes = false;
        self.output.clear();
        self.open_frame = None;
        self.log_bytes_left = LOG_REQUEST_BYTES;
    }

    /// Fill `buffer` from the body; fewer bytes mean that it has ended or was cut.
    pub(crate) fn read_body(&mut self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while let Some(space) = buffer.get_mut(filled..).filter(|space| !space.is_empty()) {
            if self.body.is_empty() && !self.next_chunk() {
                break;
            }
            let count = space.len().min(self.body.len());
            let chunk = self.channel.bytes(self.body.start..self.body.start + count);
            if let Some(space) = space.get_mut(..count) {
                space.copy_from_slice(chunk);
            }
            self.body.start += count;
            filled += count;
        }
        filled
    }

    /// Whether there is more of the body, waiting for it.
    fn next_chunk(&mut self) -> bool {
        while !self.body_ended && self.body.is_empty() {
            let taken = match self.channel.next_frame() {
                Ok(Some(frame)) => self.take(&frame),
                Ok(None) => Err(ChannelError::Cut),
                Err(error) => Err(error),
            };
            if let Err(error) = taken {
                self.fail(error);
                return false;
            }
        }
        !self.body.is_empty()
    }

    /// A frame that came while the request runs.
    fn take(&mut self, frame: &Frame) -> Result<(), ChannelError> {
        if frame.head.request != self.number {
            return Err(Malformed::Value("request number").into());
        }
        match (frame.head.kind, self.channel.bytes(frame.payload.clone())) {
            (to_worker::BODY, _) if !self.body_ended => self.body = frame.payload.clone(),
            (to_worker::BODY_END, [complete @ (0 | 1)]) if !self.body_ended => {
                self.body_ended = true;
                self.aborted |= *complete == 0;
            }
            _ => return Err(Malformed::Value("frame within a request").into()),
        }
        Ok(())
    }

    /// Read the rest of the body that the script has not read.
    pub(crate) fn discard_body(&mut self) -> Result<(), ChannelError> {
        while !self.body_ended {
            let frame = self.channel.next_frame()?.ok_or(ChannelError::Cut)?;
            self.take(&frame)?;
        }
        self.body = 0..0;
        Ok(())
    }

    /// The head of the answer.
    pub(crate) fn head(&mut self, head: &ScriptHead<'_>) -> Result<(), Aborted> {
        if self.progress != Progress::Begun {
            return Ok(());
        }
        self.progress = Progress::Headed;
        let start = self.output.len();
        let mut w = Writer::append_to(std::mem::take(&mut self.output));
        w.raw(&[0; FRAME_HEAD_BYTES]);
        let encoded = head.encode(&mut w);
        self.output = w.finish();
        self.close_frame_at(start, from_worker::HEAD);
        if let Err(error) = encoded {
            self.output.truncate(start);
            self.log(format!("PHP Fatal error:  {error}").as_bytes());
            self.plain_head(502);
            self.progress = Progress::Finished;
        }
        if self.aborted { Err(Aborted) } else { Ok(()) }
    }

    /// Bytes of the answer's body.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), Aborted> {
        if self.progress == Progress::Finished {
            return Ok(());
        }
        while !bytes.is_empty() {
            if self.aborted {
                return Err(Aborted);
            }
            let start = *self.open_frame.get_or_insert_with(|| {
                let start = self.output.len();
                self.output.extend_from_slice(&[0; FRAME_HEAD_BYTES]);
                start
            });
            let length = self.output.len() - start - FRAME_HEAD_BYTES;
            let (now, later) = bytes.split_at(bytes.len().min(FRAME_BYTES_MAX - length));
            self.output.extend_from_slice(now);
            bytes = later;
            if length + now.len() == FRAME_BYTES_MAX {
                self.close_open_frame();
            }
            if self.output.len() >= OUTPUT_BYTES {
                self.send_output();
            }
        }
        Ok(())
    }

    /// Send what is there.
    pub(crate) fn flush(&mut self) -> Result<(), Aborted> {
        if self.progress == Progress::Finished {
            return Ok(());
        }
        self.send_output();
        if self.aborted { Err(Aborted) } else { Ok(()) }
    }

    /// The answer is complete though the script runs on. `false` when it was already.
    pub(crate) fn finish(&mut self) -> bool {
        if self.progress == Progress::Finished {
            return false;
        }
        self.complete_head();
        self.close_open_frame();
        self.frame(from_worker::FINISH, &[]);
        self.send_output();
        self.progress = Progress::Finished;
        true
    }

    /// A line for the site's error log, sent at once: what a script says before it is killed must not be lost.
    pub(crate) fn log(&mut self, text: &[u8]) {
        if !self.is_ours() {
            // A child that a script forked says it where the site's other programs do.
            let _ = std::io::stderr().write_all(text);
            let _ = std::io::stderr().write_all(b"\n");
            return;
        }
        if self.log_bytes_left == 0 {
            return;
        }
        let text = text.get(..LOG_BYTES_MAX).unwrap_or(text);
        self.send_log(text);
        self.log_bytes_left = self.log_bytes_left.saturating_sub(text.len());
        if self.log_bytes_left == 0 {
            self.send_log(
                b"more was said in this request than the log takes; the rest is left out",
            );
        }
    }

    fn send_log(&mut self, text: &[u8]) {
        let head = self.frame_head(from_worker::LOG, text.len());
        let frame = [head.as_slice(), text].concat();
        if let Err(error) = self.channel.send(&frame) {
            self.fail(error);
        }
    }

    /// The script is not there (or `forbidden`); nothing was run.
    pub(crate) fn missing(&mut self, forbidden: bool) -> Result<(), ChannelError> {
        self.frame(from_worker::MISSING, &[u8::from(forbidden)]);
        self.progress = Progress::Finished;
        self.end(End {
            last: false,
            memory_kib: 0,
            watch: None,
        })
    }

    /// The end of the exchange.
    ///
    /// # Errors
    /// What went wrong between the worker and the front at any moment of it; the worker has to end.
    pub(crate) fn end(&mut self, end: End) -> Result<(), ChannelError> {
        if self.progress != Progress::Finished {
            self.complete_head();
        }
        self.close_open_frame();
        self.frame(from_worker::END, &end.encode());
        self.send_output();
        match self.failure.take() {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// Remember that a callback panicked; `engine` panics again once PHP's frames are gone.
    pub(crate) fn note_panic(&mut self) {
        self.panicked = true;
        self.aborted = true;
    }

    pub(crate) fn has_panicked(&self) -> bool {
        self.panicked
    }

    /// A script that ended before it had a head, such as by a crash of PHP's start of the request, has failed.
    fn complete_head(&mut self) {
        if self.progress == Progress::Begun {
            self.plain_head(500);
        }
        self.progress = Progress::Headed;
    }

    fn plain_head(&mut self, status: u16) {
        let mut w = Writer::new();
        let lines = Vec::new();
        ReplyHead { status, lines }.encode(&mut w);
        self.frame(from_worker::HEAD, &w.finish());
    }

    fn fail(&mut self, error: ChannelError) {
        self.body_ended = true;
        if matches!(error, ChannelError::Forked) {
            // A child that a script forked runs on, without body and without voice.
            self.progress = Progress::Finished;
        } else {
            self.aborted = true;
        }
        self.failure.get_or_insert(error);
    }

    fn send_output(&mut self) {
        self.close_open_frame();
        if self.spans_writes {
            self.look_for_abort();
        }
        self.spans_writes = true;
        if self.failure.is_none()
            && let Err(error) = self.channel.send(&self.output)
        {
            self.fail(error);
        }
        self.output.clear();
    }

    fn look_for_abort(&mut self) {
        match self.channel.is_abandoned(self.number) {
            Ok(is_abandoned) => self.aborted |= is_abandoned,
            Err(error) => self.fail(error),
        }
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) {
        let head = self.frame_head(kind, payload.len());
        self.output.extend_from_slice(&head);
        self.output.extend_from_slice(payload);
    }

    fn close_open_frame(&mut self) {
        if let Some(start) = self.open_frame.take() {
            self.close_frame_at(start, from_worker::BODY);
        }
    }

    /// Fill in the head of a frame that began at `start` with room for one, and ends with the output.
    fn close_frame_at(&mut self, start: usize, kind: u8) {
        let head = self.frame_head(kind, self.output.len() - start - FRAME_HEAD_BYTES);
        if let Some(place) = self.output.get_mut(start..start + FRAME_HEAD_BYTES) {
            place.copy_from_slice(&head);
        }
    }

    fn frame_head(&self, kind: u8, length: usize) -> [u8; FRAME_HEAD_BYTES] {
        FrameHead {
            length,
            request: self.number,
            kind,
        }
        .encode()
    }
}

/// How much of an answer is collected before it is sent. Most pages are smaller: they cost one write here, one wake-up of the
/// front and one write to the client, with their length. It fits a socket's usual buffer of 208 KiB.
const OUTPUT_BYTES: usize = 128 * 1024;
/// How much one request may say into the log.
const LOG_REQUEST_BYTES: usize = 256 * 1024;
