//! The front's side of a worker's channel.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use hostel_sys::ring::FrontStream;
use hostel_wire::codec::Writer;
use hostel_wire::front_worker::{End, FrameHead, ReplyHead, RequestHead, from_worker, to_worker};
use hostel_wire::limits::{FRAME_BYTES_MAX, FRAME_HEAD_BYTES};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Front {
    stream: FrontStream,
    number: u32,
    unread: Vec<u8>,
    /// How many reads the last answer took.
    pub(crate) reads: usize,
}

/// A request as a test writes it.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) script: &'a str,
    pub(crate) path_info: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: Vec<(&'a str, String)>,
    pub(crate) body: &'a [u8],
}

#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) lines: Vec<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) logs: Vec<String>,
    pub(crate) finished: bool,
    pub(crate) missing: Option<u8>,
    pub(crate) end: Option<End>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let matches = |line: &&String| {
            line.split_once(": ")
                .is_some_and(|(other, _)| other.eq_ignore_ascii_case(name))
        };
        let line = self.lines.iter().find(matches)?;
        line.split_once(": ").map(|(_, value)| value)
    }
}

pub(crate) fn get(script: &str) -> Ask<'_> {
    let (script, query) = script.split_once('?').unwrap_or((script, ""));
    Ask {
        method: "GET",
        script,
        path_info: "",
        query,
        headers: vec![("Host", "test.example".into())],
        body: b"",
    }
}

pub(crate) fn post<'a>(script: &'a str, media_type: &str, body: &'a [u8]) -> Ask<'a> {
    let mut ask = get(script);
    ask.method = "POST";
    ask.body = body;
    ask.headers.push(("Content-Type", media_type.into()));
    ask.headers.push(("Content-Length", body.len().to_string()));
    ask
}

impl Front {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self {
            stream: FrontStream::new(socket).unwrap(),
            number: 0,
            unread: Vec::new(),
            reads: 0,
        }
    }

    /// One whole exchange.
    pub(crate) fn ask(&mut self, ask: &Ask<'_>) -> Answer {
        self.send(ask);
        self.answer().expect("the worker ended within an answer")
    }

    pub(crate) fn send(&mut self, ask: &Ask<'_>) {
        self.number += 1;
        let mut bytes = self.request(ask);
        for chunk in ask.body.chunks(FRAME_BYTES_MAX) {
            bytes.extend(self.frame(to_worker::BODY, chunk));
        }
        if !ask.body.is_empty() {
            bytes.extend(self.frame(to_worker::BODY_END, &[1]));
        }
        self.send_bytes(&bytes);
    }

    pub(crate) fn request(&self, ask: &Ask<'_>) -> Vec<u8> {
        let path = format!("{}{}", ask.script, ask.path_info);
        let target = match ask.query {
            "" => path.clone(),
            query => format!("{path}?{query}"),
        };
        let head = RequestHead {
            https: false,
            body_bytes: ask.body.len() as u64,
            method: ask.method.as_bytes(),
            target: target.as_bytes(),
            query: ask.query.as_bytes(),
            path: path.as_bytes(),
            script: ask.script.as_bytes(),
            path_info: ask.path_info.as_bytes(),
            protocol: b"HTTP/1.1",
            server_name: b"test.example",
            server_address: b"127.0.0.1",
            server_port: 8080,
            remote_address: b"127.0.0.1",
            remote_port: 40_000,
            headers: ask
                .headers
                .iter()
                .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
                .collect(),
        };
        let mut w = Writer::new();
        head.encode(&mut w);
        self.frame(to_worker::REQUEST, &w.finish())
    }

    /// So many requests at once, which the worker serves without waiting in between.
    pub(crate) fn ask_at_once(&mut self, ask: &Ask<'_>, count: u32) {
        let mut bytes = Vec::new();
        let first = self.number + 1;
        for _ in 0..count {
            self.number += 1;
            bytes.extend(self.request(ask));
        }
        self.send_bytes(&bytes);
        for number in first..first + count {
            self.number = number;
            while self
                .next()
                .is_some_and(|(head, _)| head.kind != from_worker::END)
            {}
        }
    }

    pub(crate) fn next_number(&mut self) {
        self.number += 1;
    }

    pub(crate) fn frame(&self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let head = FrameHead {
            length: payload.len(),
            request: self.number,
            kind,
        };
        [head.encode().as_slice(), payload].concat()
    }

    /// Send all, taking in what comes meanwhile, as the front does.
    pub(crate) fn send_bytes(&mut self, mut bytes: &[u8]) {
        let deadline = Instant::now() + PATIENCE;
        while !bytes.is_empty() {
            assert!(Instant::now() < deadline, "the worker does not read");
            let sent = self.stream.write_some(bytes).unwrap();
            bytes = &bytes[sent..];
            if sent == 0 {
                self.read(Duration::from_micros(50));
            }
        }
    }

    /// `false` when the worker has closed.
    fn read(&mut self, patience: Duration) -> bool {
        let mut buffer = vec![0; 256 * 1024];
        match self.stream.read_within(&mut buffer, patience).unwrap() {
            Some(0) => false,
            Some(count) => {
                self.reads += 1;
                self.unread.extend_from_slice(&buffer[..count]);
                true
            }
            None => true,
        }
    }

    /// Tell the worker that the client of the present request has left.
    pub(crate) fn client_left(&self) {
        self.stream.client_left(self.number);
    }

    /// The next frame, `None` when the worker has closed.
    pub(crate) fn next(&mut self) -> Option<(FrameHead, Vec<u8>)> {
        let begun = Instant::now();
        loop {
            if let Some(head) = FrameHead::decode(&self.unread).unwrap()
                && self.unread.len() >= FRAME_HEAD_BYTES + head.length
            {
                let rest = self.unread.split_off(FRAME_HEAD_BYTES + head.length);
                let frame = std::mem::replace(&mut self.unread, rest);
                assert_eq!(head.request, self.number, "a frame of another request");
                return Some((head, frame[FRAME_HEAD_BYTES..].to_vec()));
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "nothing came within {PATIENCE:?}"
            );
            if !self.read(PATIENCE) {
                return None;
            }
        }
    }

    /// A whole answer, or what there was of it when the worker closed.
    pub(crate) fn answer(&mut self) -> Result<Answer, Answer> {
        self.reads = 0;
        let mut answer = Answer::default();
        while let Some((head, payload)) = self.next() {
            match head.kind {
                from_worker::HEAD => {
                    assert_eq!(answer.status, 0, "two heads");
                    let head = ReplyHead::decode(&payload).unwrap();
                    answer.status = head.status;
                    let text = |line: &&[u8]| String::from_utf8_lossy(line).into_owned();
                    answer.lines = head.lines.iter().map(text).collect();
                }
                from_worker::BODY => {
                    assert!(answer.status != 0 && !answer.finished, "body out of order");
                    answer.body.extend(payload);
                }
                from_worker::LOG => answer
                    .logs
                    .push(String::from_utf8_lossy(&payload).into_owned()),
                from_worker::FINISH => answer.finished = true,
                from_worker::MISSING => answer.missing = Some(payload[0]),
                from_worker::END => {
                    answer.end = Some(End::decode(&payload).unwrap());
                    assert!(self.unread.is_empty(), "bytes behind the end");
                    return Ok(answer);
                }
                other => panic!("a frame of kind {other}"),
            }
        }
        Err(answer)
    }

    /// Whether the worker has closed the socket, waiting for it.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.next().is_none()
    }
}

/// Wait until there is something to read.
pub(crate) fn wait(descriptor: BorrowedFd<'_>, patience: Duration) {
    let mut polled = [PollFd::new(&descriptor, PollFlags::IN)];
    let timeout = Timespec {
        tv_sec: patience.as_secs().cast_signed(),
        tv_nsec: 0,
    };
    let ready = poll(&mut polled, Some(&timeout))
        .map_err(io::Error::from)
        .unwrap();
    assert!(ready > 0, "nothing came within {patience:?}");
}
