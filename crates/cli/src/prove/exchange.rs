//! One request to a worker and its answer, as the front does it.
//!
//! Run by `hostel prove` as root, on one thread. The worker is hostile: what it sends is bounded, searched and shown, and
//! never acted upon.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use hostel_sys::ring::FrontStream;
use hostel_wire::codec::{Malformed, Writer};
use hostel_wire::front_worker::{FrameHead, ReplyHead, RequestHead, from_worker, to_worker};
use hostel_wire::limits::{FRAME_BYTES_MAX, FRAME_HEAD_BYTES};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// A request that runs, or has run.
#[derive(Debug)]
pub(crate) struct Exchange {
    stream: FrontStream,
    unread: Vec<u8>,
    /// What came of the answer so far.
    pub(crate) answer: Answer,
    /// How it ended, `None` while it has not.
    pub(crate) ending: Option<Ending>,
}

/// What a worker has answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// 0 where no head came.
    pub(crate) status: u16,
    pub(crate) header: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) log: Vec<u8>,
}

/// How an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In order.
    Complete,
    /// The script is not there or may not be run.
    Missing,
    /// The worker went away within it.
    Gone,
    /// It sent something that is no frame.
    Malformed,
    /// It sent more than is kept.
    TooLong,
    /// It took too long.
    Late,
}

impl Answer {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether this text is anywhere in the answer.
    pub(crate) fn contains(&self, text: &str) -> bool {
        [&self.header, &self.body, &self.log]
            .into_iter()
            .any(|bytes| holds(bytes, text.as_bytes()))
    }
}

impl Ending {
    pub(crate) fn in_words(&self) -> &'static str {
        match self {
            Self::Complete => "it answered",
            Self::Missing => "the script may not be run",
            Self::Gone => "its worker ended",
            Self::Malformed => "it broke the protocol",
            Self::TooLong => "it answered without end",
            Self::Late => "it did not answer in time",
        }
    }
}

impl Exchange {
    /// Send a POST request for `script` (with a leading slash) with this body.
    ///
    /// # Errors
    /// The worker takes nothing.
    pub(crate) fn begin(socket: OwnedFd, script: &str, body: &[u8]) -> io::Result<Self> {
        let length = body.len().to_string();
        let head = RequestHead {
            https: false,
            body_bytes: body.len() as u64,
            method: b"POST",
            target: script.as_bytes(),
            query: b"",
            path: script.as_bytes(),
            script: script.as_bytes(),
            path_info: b"",
            protocol: b"HTTP/1.1",
            server_name: b"prove.invalid",
            server_address: b"127.0.0.1",
            server_port: 80,
            remote_address: b"127.0.0.1",
            remote_port: 1024,
            headers: vec![
                (b"Host", b"prove.invalid"),
                (b"Content-Type", b"application/json"),
                (b"Content-Length", length.as_bytes()),
            ],
        };
        let mut payload = Writer::new();
        head.encode(&mut payload);
        let mut bytes = frame(to_worker::REQUEST, &payload.finish());
        for chunk in body.chunks(FRAME_BYTES_MAX) {
            bytes.extend(frame(to_worker::BODY, chunk));
        }
        bytes.extend(frame(to_worker::BODY_END, &[1]));
        let mut exchange = Self {
            stream: FrontStream::new(socket)?,
            unread: Vec::new(),
            answer: Answer::default(),
            ending: None,
        };
        exchange.send(&bytes)?;
        Ok(exchange)
    }

    /// Wait for the end of the answer, at most until `until`.
    pub(crate) fn finish(&mut self, until: Instant) {
        self.read_until(until, |_| false);
        self.ending.get_or_insert(Ending::Late);
    }

    /// Read until `enough` says so, the answer has ended, or the time is over, even while more and more comes.
    pub(crate) fn read_until(&mut self, until: Instant, enough: impl Fn(&Answer) -> bool) {
        while self.ending.is_none() && !enough(&self.answer) {
            let left = until.saturating_duration_since(Instant::now());
            self.read(left);
            if left.is_zero() {
                return;
            }
        }
    }

    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let until = Instant::now() + SEND_TIME_MAX;
        loop {
            let sent = self.stream.write_some(bytes)?;
            bytes = bytes.get(sent..).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn read(&mut self, limit: Duration) {
        let mut buffer = vec![0; FRAME_BYTES_MAX];
        match self.stream.read_within(&mut buffer, limit) {
            Ok(None) => {}
            Ok(Some(count @ 1..)) => {
                self.unread
                    .extend_from_slice(buffer.get(..count).unwrap_or_default());
                if self.take_frames().is_err() {
                    self.ending = Some(Ending::Malformed);
                }
            }
            Ok(Some(0)) | Err(_) => self.ending = Some(Ending::Gone),
        }
    }

    fn take_frames(&mut self) -> Result<(), Malformed> {
        while let Some(head) = FrameHead::decode(&self.unread)? {
            let end = FRAME_HEAD_BYTES + head.length;
            if self.unread.len() < end {
                return Ok(());
            }
            let rest = self.unread.split_off(end);
            let frame = std::mem::replace(&mut self.unread, rest);
            let payload = frame.get(FRAME_HEAD_BYTES..).unwrap_or_default();
            match head.kind {
                from_worker::HEAD => {
                    let head = ReplyHead::decode(payload)?;
                    self.answer.status = head.status;
                    self.answer.header = head.lines.join(&b'\n');
                }
                from_worker::BODY => self.answer.body.extend_from_slice(payload),
                from_worker::LOG => self.answer.log.extend_from_slice(payload),
                from_worker::FINISH => {}
                from_worker::MISSING => self.ending = Some(Ending::Missing),
                from_worker::END => self.ending = self.ending.take().or(Some(Ending::Complete)),
                _ => return Err(Malformed::Value("kind of frame")),
            }
            if self.answer.body.len() + self.answer.log.len() > ANSWER_BYTES_MAX {
                self.ending = Some(Ending::TooLong);
            }
        }
        Ok(())
    }
}

/// Whether `needle` is in `bytes`.
pub(crate) fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && bytes.windows(needle.len()).any(|window| window == needle)
}

/// Wait until something can be read, at most for `limit`.
pub(crate) fn readable(descriptor: impl AsFd, limit: Duration) -> io::Result<bool> {
    let timeout = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    };
    match poll(
        &mut [PollFd::new(&descriptor, PollFlags::IN)],
        Some(&timeout),
    ) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Each worker gets one request, so all are its first.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let head = FrameHead {
        length: payload.len(),
        request: 1,
        kind,
    };
    [head.encode().as_slice(), payload].concat()
}

/// An answer is read while it comes, but no more of it is kept.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// How long a worker may leave a request of some kilobytes lying.
const SEND_TIME_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::io::Write;

    use hostel_sys::ring::WorkerEnd;

    use super::*;

    #[test]
    fn frames_without_end_take_no_longer_than_the_time_that_there_is() {
        let (near, far) = hostel_sys::fdpass::stream_pair(true).unwrap();
        let begun = Instant::now();
        let worker = std::thread::spawn(move || {
            // Nothing of it counts as an answer.
            let frames = frame(from_worker::FINISH, &[]).repeat(100);
            let mut worker = WorkerEnd::adopt(far).unwrap().unwrap();
            while begun.elapsed() < Duration::from_secs(5) && worker.write_all(&frames).is_ok() {}
        });
        let mut exchange = Exchange::begin(near, "/x.php", b"").unwrap();
        exchange.finish(begun + Duration::from_millis(200));
        assert!(begun.elapsed() < Duration::from_secs(3));
        drop(exchange);
        worker.join().unwrap();
    }
}
