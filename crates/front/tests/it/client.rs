//! A client that sends bytes as they are and reads answers strictly: what is not one whole answer fails the test.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A connection to a server under test.
pub(crate) struct Client {
    stream: TcpStream,
    input: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of the one header of this name, in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(other, _)| other == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} twice in {self:?}");
        value
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("timeout");
        stream.set_nodelay(true).expect("nodelay");
        Self {
            stream,
            input: Vec::new(),
        }
    }

    /// Send bytes; a server that has refused already may close within them.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        drop(self.try_send(bytes));
    }

    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Close the sending side.
    pub(crate) fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("shutdown");
    }

    /// The next answer to anything but HEAD.
    pub(crate) fn answer(&mut self) -> Answer {
        let (mut answer, length) = self.head();
        answer.body = match length {
            Length::None => Vec::new(),
            Length::Known(length) => self.take(length),
            Length::Chunked => self.chunks(),
            Length::Close => {
                let mut body = std::mem::take(&mut self.input);
                self.stream.read_to_end(&mut body).expect("body");
                body
            }
        };
        answer
    }

    /// The next answer to HEAD.
    pub(crate) fn answer_without_body(&mut self) -> Answer {
        self.head().0
    }

    /// Wait until these bytes have come, wherever.
    pub(crate) fn wait_for(&mut self, bytes: &[u8]) {
        while !self.input.windows(bytes.len()).any(|part| part == bytes) {
            self.read();
        }
    }

    /// Whether the server has closed and sent nothing more; waits for it.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.input.is_empty() && matches!(self.stream.read(&mut [0]), Ok(0))
    }

    /// Whether an answer, or the end, is there already.
    pub(crate) fn has_answer(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("nonblocking");
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("blocking");
        peeked.is_ok()
    }

    fn head(&mut self) -> (Answer, Length) {
        let end = loop {
            if let Some(at) = self.input.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.read();
        };
        let text = String::from_utf8(self.take(end)).expect("text");
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next().expect("status line");
        assert!(status.starts_with("HTTP/1.1 "), "{status}");
        let headers: Vec<_> = lines
            .map(|line| {
                let (name, value) = line.split_once(": ").expect("colon");
                (name.to_ascii_lowercase(), value.to_owned())
            })
            .collect();
        let answer = Answer {
            status: status[9..12].parse().expect("status"),
            headers,
            body: Vec::new(),
        };
        let length = match (
            answer.status,
            answer.header("content-length"),
            answer.header("transfer-encoding"),
        ) {
            (100 | 204 | 304, None, None) => Length::None,
            (_, Some(length), None) => Length::Known(length.parse().expect("length")),
            (_, None, Some("chunked")) => Length::Chunked,
            (_, None, None) => Length::Close,
            other => panic!("contradicting lengths {other:?}"),
        };
        (answer, length)
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = self.input.windows(2).position(|two| two == b"\r\n") {
                    break at + 2;
                }
                self.read();
            };
            let line = String::from_utf8(self.take(end)).expect("text");
            let size = usize::from_str_radix(line.trim_end(), 16).expect("size");
            body.extend(self.take(size));
            assert_eq!(self.take(2), b"\r\n");
            if size == 0 {
                return body;
            }
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.input.len() < count {
            self.read();
        }
        self.input.drain(..count).collect()
    }

    fn read(&mut self) {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer).expect("an answer in time");
        assert!(
            count > 0,
            "closed within an answer, after {:?}",
            self.input.escape_ascii().to_string()
        );
        self.input.extend_from_slice(&buffer[..count]);
    }
}

enum Length {
    None,
    Known(usize),
    Chunked,
    Close,
}

/// Longer than anything in these tests takes.
const PATIENCE: Duration = Duration::from_secs(10);
