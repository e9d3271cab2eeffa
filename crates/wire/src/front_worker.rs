//! Front and worker: one request in, one answer out, as frames in memory that both share (`hostel_sys::ring`).
//!
//! The front sends the memory and a bell over the worker's socket, first of all; from then on the socket only wakes, and tells by its
//! end that the other one is gone. A frame is its payload's length (four bytes), the number of the request it belongs to (four
//! bytes), its kind (one byte) and the payload. A worker cannot guess the numbers, so it has read a request before it says
//! anything of it; the next one may be there already while it answers.
//!
//! ```text
//! front → worker   Request  Body*  BodyEnd
//! worker → front   Head  Body*  Log*  [Finish]  End       or  Missing End
//! ```
//!
//! - A request whose `body_bytes` is 0 has neither `Body` nor `BodyEnd`. Else exactly one `BodyEnd` follows, which says whether
//!   the body was complete; a worker whose script did not read the body reads up to `BodyEnd` before it sends `End`, or after
//!   it: in any case before it takes the next request.
//! - That the client has left is a word of the memory. The worker notices it when it next writes (connection_aborted) and still
//!   sends `End`.
//! - `Finish`: the answer is complete though the script runs on (fastcgi_finish_request). Only `Log` and `End` may follow.
//! - `End`: the worker is free, or ends itself where it says so. Without `Finish` before it, it completes the answer.
//! - `Missing`: the script is not there or may not be run; nothing was executed.
//! - Any byte that does not fit ends the worker. A small answer is sent by one write: Head, Body, End together.

use crate::codec::{Malformed, Reader, Writer};
use crate::fresh::Watch;
use crate::limits;

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// Bytes of the payload, at most [`limits::FRAME_BYTES_MAX`].
    pub length: usize,
    /// The request it belongs to.
    pub request: u32,
    /// What it is.
    pub kind: u8,
}

impl FrameHead {
    /// As bytes.
    pub fn encode(self) -> [u8; limits::FRAME_HEAD_BYTES] {
        let [a, b, c, d] = u32::try_from(self.length).unwrap_or(u32::MAX).to_le_bytes();
        let [e, f, g, h] = self.request.to_le_bytes();
        [a, b, c, d, e, f, g, h, self.kind]
    }

    /// From the first [`limits::FRAME_HEAD_BYTES`] bytes of `bytes`; `None` when fewer are there yet.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut r = Reader::new(bytes);
        if bytes.len() < limits::FRAME_HEAD_BYTES {
            return Ok(None);
        }
        let length = r.count(limits::FRAME_BYTES_MAX, "frame")?;
        Ok(Some(Self {
            length,
            request: r.u32("request number")?,
            kind: r.u8("kind of frame")?,
        }))
    }
}

/// Kinds of frames from front to worker.
pub mod to_worker {
    /// [`super::RequestHead`].
    pub const REQUEST: u8 = 1;
    /// Bytes of the request's body.
    pub const BODY: u8 = 2;
    /// One byte: 1 the body is complete, 0 it was cut.
    pub const BODY_END: u8 = 3;
}

/// Kinds of frames from worker to front.
pub mod from_worker {
    /// [`super::ReplyHead`].
    pub const HEAD: u8 = 1;
    /// Bytes of the answer's body.
    pub const BODY: u8 = 2;
    /// Text for the site's error log, at most `limits::LOG_BYTES_MAX` bytes.
    pub const LOG: u8 = 3;
    /// Empty: the answer is complete.
    pub const FINISH: u8 = 4;
    /// [`super::End`].
    pub const END: u8 = 5;
    /// One byte: 0 the script is not there, 1 it may not be run.
    pub const MISSING: u8 = 6;
}

/// A request as a worker gets it: no ini value, no user, no absolute path, no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// Whether it came by TLS.
    pub https: bool,
    /// Bytes of the body that follows; 0 for none.
    pub body_bytes: u64,
    /// `GET`, `POST`, …
    pub method: &'a [u8],
    /// The target as the client sent it, in origin form (REQUEST_URI).
    pub target: &'a [u8],
    /// What follows the `?` (QUERY_STRING).
    pub query: &'a [u8],
    /// The normalised, decoded path (DOCUMENT_URI before it is split).
    pub path: &'a [u8],
    /// The script's path relative to the document root, with a leading slash.
    pub script: &'a [u8],
    /// What followed the script in the path; empty, or with a leading slash.
    pub path_info: &'a [u8],
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub protocol: &'a [u8],
    /// The host that the site was found by, without port (SERVER_NAME).
    pub server_name: &'a [u8],
    /// The address that the client connected to, in text form.
    pub server_address: &'a [u8],
    /// Its port.
    pub server_port: u16,
    /// The client's address, in text form.
    pub remote_address: &'a [u8],
    /// Its port.
    pub remote_port: u16,
    /// Headers in the client's order and spelling; none with `_` in its name, no `Proxy`.
    pub headers: Vec<(&'a [u8], &'a [u8])>,
}

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyHead<'a> {
    /// 200 to 999 as PHP has it; the front checks.
    pub status: u16,
    /// Lines `Name: value` without their end. The front checks each.
    pub lines: Vec<&'a [u8]>,
}

/// The end of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Whether the worker ends itself now.
    pub last: bool,
    /// PHP's peak memory in this request, in KiB.
    pub memory_kib: u32,
    /// How the worker is put back now, if it is.
    pub watch: Option<Watch>,
}

impl<'a> RequestHead<'a> {
    /// Append the payload of a `REQUEST` frame.
    pub fn encode(&self, w: &mut Writer) {
        w.bool(self.https).u64(self.body_bytes);
        w.bytes(self.method)
            .bytes(self.target)
            .bytes(self.query)
            .bytes(self.path)
            .bytes(self.script);
        w.bytes(self.path_info)
            .bytes(self.protocol)
            .bytes(self.server_name)
            .bytes(self.server_address);
        w.u16(self.server_port)
            .bytes(self.remote_address)
            .u16(self.remote_port);
        w.count(self.headers.len());
        for (name, value) in &self.headers {
            w.bytes(name).bytes(value);
        }
    }

    /// From the payload of a `REQUEST` frame, in place.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let max = limits::FRAME_BYTES_MAX;
        let mut r = Reader::new(bytes);
        let head = Self {
            https: r.bool("https")?,
            body_bytes: r.u64("body_bytes")?,
            method: r.bytes(max, "method")?,
            target: r.bytes(max, "target")?,
            query: r.bytes(max, "query")?,
            path: r.bytes(max, "path")?,
            script: r.bytes(max, "script")?,
            path_info: r.bytes(max, "path_info")?,
            protocol: r.bytes(max, "protocol")?,
            server_name: r.bytes(max, "server_name")?,
            server_address: r.bytes(max, "server_address")?,
            server_port: r.u16("server_port")?,
            remote_address: r.bytes(max, "remote_address")?,
            remote_port: r.u16("remote_port")?,
            headers: {
                let count = r.count(limits::HEADERS_MAX, "headers")?;
                let mut headers = Vec::with_capacity(count);
                for _ in 0..count {
                    headers.push((r.bytes(max, "header name")?, r.bytes(max, "header value")?));
                }
                headers
            },
        };
        r.end("request")?;
        Ok(head)
    }
}

impl<'a> ReplyHead<'a> {
    /// Append the payload of a `HEAD` frame.
    pub fn encode(&self, w: &mut Writer) {
        w.u16(self.status).count(self.lines.len());
        for line in &self.lines {
            w.bytes(line);
        }
    }

    /// From the payload of a `HEAD` frame, in place.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > limits::REPLY_HEAD_BYTES_MAX {
            return Err(Malformed::TooLarge("reply head"));
        }
        let mut r = Reader::new(bytes);
        let status = r.u16("status")?;
        let count = r.count(limits::REPLY_HEADERS_MAX, "header lines")?;
        let mut lines = Vec::with_capacity(count);
        for _ in 0..count {
            lines.push(r.bytes(limits::REPLY_HEAD_BYTES_MAX, "header line")?);
        }
        r.end("reply head")?;
        Ok(Self { status, lines })
    }
}

impl End {
    /// The payload of an `END` frame.
    pub fn encode(self) -> [u8; 6] {
        let [a, b, c, d] = self.memory_kib.to_le_bytes();
        [u8::from(self.last), a, b, c, d, Watch::byte(self.watch)]
    }

    /// From the payload of an `END` frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let end = Self {
            last: r.bool("last")?,
            memory_kib: r.u32("memory")?,
            watch: Watch::decode(&mut r)?,
        };
        r.end("end")?;
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_the_wire() {
        let head = RequestHead {
            https: false,
            body_bytes: 3,
            method: b"POST",
            target: b"/a.php/x?y=1",
            query: b"y=1",
            path: b"/a.php/x",
            script: b"/a.php",
            path_info: b"/x",
            protocol: b"HTTP/1.1",
            server_name: b"blog.example",
            server_address: b"127.0.0.1",
            server_port: 8080,
            remote_address: b"::1",
            remote_port: 40_000,
            headers: vec![(b"Host", b"blog.example"), (b"X-Empty", b"")],
        };
        let mut w = Writer::new();
        head.encode(&mut w);
        let bytes = w.finish();
        assert_eq!(RequestHead::decode(&bytes), Ok(head));
        for cut in 0..bytes.len() {
            assert!(RequestHead::decode(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn a_reply_survives_the_wire() {
        let head = ReplyHead {
            status: 302,
            lines: vec![b"Location: /x", b"Content-Type: text/html"],
        };
        let mut w = Writer::new();
        head.encode(&mut w);
        let bytes = w.finish();
        assert_eq!(ReplyHead::decode(&bytes), Ok(head));
        for watch in [None, Some(Watch::Written), Some(Watch::Private)] {
            let end = End {
                last: true,
                memory_kib: 2048,
                watch,
            };
            assert_eq!(End::decode(&end.encode()), Ok(end));
        }
        assert!(End::decode(&[0, 0, 0, 0, 0, 3]).is_err());
    }

    #[test]
    fn a_frame_head_is_whole_or_not_there_yet() {
        let head = FrameHead {
            length: 17,
            request: 3,
            kind: from_worker::BODY,
        };
        let bytes = head.encode();
        assert_eq!(FrameHead::decode(&bytes), Ok(Some(head)));
        assert_eq!(FrameHead::decode(&bytes[..8]), Ok(None));
    }

    #[test]
    fn a_frame_longer_than_allowed_is_refused() {
        let head = FrameHead {
            length: limits::FRAME_BYTES_MAX + 1,
            request: 3,
            kind: from_worker::BODY,
        };
        assert_eq!(
            FrameHead::decode(&head.encode()),
            Err(Malformed::TooLarge("frame"))
        );
    }
}
