//! A raw HTTP/1.1 client on std alone: it sends exactly the bytes it is given and hides nothing of the answer.
//!
//! Every read and write has a deadline ([`WAIT`]), so that a server that hangs fails a test instead of stopping it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::process::patience;

/// The longest wait for one read or write.
pub const WAIT: Duration = Duration::from_secs(20);

/// A request to be made into bytes. `Host` comes first, `Content-Length` is added where there is a body.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    sized: bool,
}

impl Request {
    /// Any method; `host` as it shall stand in the Host header.
    pub fn new(method: &str, host: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: vec![("Host".to_owned(), host.to_owned())],
            body: Vec::new(),
            sized: false,
        }
    }

    /// A GET.
    pub fn get(host: &str, target: &str) -> Self {
        Self::new("GET", host, target)
    }

    /// One more header line.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A body with its Content-Length.
    pub fn body(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.sized = true;
        self.header("Content-Type", media_type)
    }

    /// A body with its Content-Length and without a Content-Type.
    pub fn plain_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.sized = true;
        self
    }

    /// A body as it stands, for chunks that are written by hand: no header is added.
    pub fn unsized_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The method, which a reader of the answer must know.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.sized {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// How the end of an answer's body was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By its method or status there is no body.
    None,
    /// Content-Length.
    Length,
    /// Transfer-Encoding: chunked.
    Chunked,
    /// The server closed the connection.
    Close,
}

/// An answer, as it came.
#[derive(Debug, Clone)]
pub struct Response {
    /// `HTTP/1.1`.
    pub version: String,
    /// Its status.
    pub status: u16,
    /// What followed the status.
    pub reason: String,
    /// Header lines in their order; bytes beyond ASCII are taken as UTF-8 where they are, else replaced.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
    /// How its end was known.
    pub framing: Framing,
    /// Status of each interim (1xx) answer that came before.
    pub interim: Vec<u16>,
}

impl Response {
    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// All headers of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text, bytes that are no UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the server will close after this answer.
    pub fn closes(&self) -> bool {
        self.framing == Framing::Close
            || self
                .header("Connection")
                .is_some_and(|v| v.eq_ignore_ascii_case("close"))
    }
}

/// One connection, kept as long as the server keeps it.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    answer_begun: bool,
}

impl Connection {
    /// Connect to a port of the loopback address.
    pub fn open(port: u16) -> io::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, patience(WAIT))?;
        stream.set_read_timeout(Some(patience(WAIT)))?;
        stream.set_write_timeout(Some(patience(WAIT)))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
            answer_begun: false,
        })
    }

    /// Another limit for each read.
    pub fn set_wait(&self, wait: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(wait))
    }

    /// Send exactly these bytes.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Close the sending side.
    pub fn finish_sending(&self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)
    }

    /// Send a request and read its answer.
    pub fn exchange(&mut self, request: &Request) -> io::Result<Response> {
        self.answer_begun = false;
        self.send(&request.bytes())?;
        self.receive(request.method())
    }

    /// Whether the server has closed the connection, as a client sees that looks before it sends.
    ///
    /// # Errors
    /// The connection was reset.
    pub fn is_closed(&self) -> io::Result<bool> {
        self.stream.set_nonblocking(true)?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        match peeked {
            Ok(count) => Ok(count == 0),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Whether the last exchange failed before a byte of its answer came: on a kept connection the server had closed it.
    pub fn was_idle_close(&self) -> bool {
        !self.answer_begun
    }

    /// Read one answer to a request of this method.
    pub fn receive(&mut self, method: &str) -> io::Result<Response> {
        let head = self.receive_head()?;
        self.receive_body(head, method)
    }

    /// The body that follows a head which was read with [`Self::receive_head`], for a GET.
    pub fn finish_body(&mut self, head: &Response) -> io::Result<Vec<u8>> {
        Ok(self.receive_body(head.clone(), "GET")?.body)
    }

    fn receive_body(&mut self, mut response: Response, method: &str) -> io::Result<Response> {
        let bodiless = method == "HEAD" || response.status == 204 || response.status == 304;
        let length = match response.header("Content-Length") {
            Some(text) => Some(
                text.parse::<usize>()
                    .map_err(|_| bad("Content-Length", text))?,
            ),
            None => None,
        };
        if bodiless {
            response.framing = Framing::None;
        } else if let Some(coding) = response.header("Transfer-Encoding") {
            if !coding.eq_ignore_ascii_case("chunked") || length.is_some() {
                return Err(bad("Transfer-Encoding", coding));
            }
            response.framing = Framing::Chunked;
            response.body = self.receive_chunks()?;
        } else if let Some(length) = length {
            response.framing = Framing::Length;
            response.body = self.take(length)?;
        } else {
            response.framing = Framing::Close;
            self.stream.read_to_end(&mut self.buffer)?;
            response.body = std::mem::take(&mut self.buffer);
        }
        Ok(response)
    }

    /// Read the head of an answer, past any interim answers. The body is left to be read with [`Self::some`].
    pub fn receive_head(&mut self) -> io::Result<Response> {
        let mut interim = Vec::new();
        loop {
            let head = self.until(b"\r\n\r\n", 256 * 1024)?;
            let mut response = parse_head(&head)?;
            if (100..200).contains(&response.status) {
                interim.push(response.status);
                continue;
            }
            response.interim = interim;
            return Ok(response);
        }
    }

    /// Some bytes as they come, at most `limit`; empty at the end of the connection.
    pub fn some(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() && self.fill()? == 0 {
            return Ok(Vec::new());
        }
        let count = limit.min(self.buffer.len());
        Ok(self.buffer.drain(..count).collect())
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        self.stream.read_to_end(&mut self.buffer)?;
        Ok(std::mem::take(&mut self.buffer))
    }

    fn receive_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n", 1024)?;
            let text = String::from_utf8_lossy(&line);
            let digits = text.trim_end().split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(digits, 16).map_err(|_| bad("chunk", digits))?;
            if size == 0 {
                while self.until(b"\r\n", 8 * 1024)? != b"\r\n" {}
                return Ok(body);
            }
            body.extend(self.take(size)?);
            if self.take(2)? != b"\r\n" {
                return Err(bad("chunk", "no line end after its bytes"));
            }
        }
    }

    /// Up to and with `mark`.
    fn until(&mut self, mark: &[u8], limit: usize) -> io::Result<Vec<u8>> {
        let mut seen = 0;
        loop {
            let from = seen.min(self.buffer.len());
            if let Some(at) = self.buffer[from..]
                .windows(mark.len())
                .position(|w| w == mark)
            {
                return Ok(self.buffer.drain(..from + at + mark.len()).collect());
            }
            if self.buffer.len() > limit {
                return Err(bad("head", "too long"));
            }
            seen = self.buffer.len().saturating_sub(mark.len());
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..count).collect())
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 64 * 1024];
        let count = self.stream.read(&mut bytes)?;
        self.answer_begun |= count > 0;
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

/// One request on a connection of its own.
pub fn exchange(port: u16, request: &Request) -> io::Result<Response> {
    Connection::open(port)?.exchange(request)
}

fn parse_head(head: &[u8]) -> io::Result<Response> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let mut parts = first.splitn(3, ' ');
    let version = parts.next().unwrap_or_default().to_owned();
    let status = parts.next().and_then(|s| s.parse().ok());
    let (Some(status), true) = (status, version.starts_with("HTTP/1.")) else {
        return Err(bad("status line", first));
    };
    let mut headers = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(|| bad("header", line))?;
        headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    Ok(Response {
        version,
        status,
        reason: parts.next().unwrap_or_default().to_owned(),
        headers,
        body: Vec::new(),
        framing: Framing::None,
        interim: Vec::new(),
    })
}

fn bad(what: &str, text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answer(bytes: &'static [u8], method: &str) -> io::Result<Response> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let port = listener.local_addr().expect("its address").port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            stream.write_all(bytes).expect("room");
        });
        let response = Connection::open(port).and_then(|mut c| c.receive(method));
        server.join().expect("no panic");
        response
    }

    #[test]
    fn reads_a_body_by_length_by_chunks_and_by_close() {
        let sized = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "GET").expect("read");
        assert_eq!(
            (sized.body.as_slice(), sized.framing),
            (&b"hi"[..], Framing::Length)
        );
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1;x=y\r\n!\r\n0\r\n\r\n";
        let chunked = answer(chunked, "GET").expect("read");
        assert_eq!(
            (chunked.body.as_slice(), chunked.framing),
            (&b"hi!"[..], Framing::Chunked)
        );
        let closed = answer(b"HTTP/1.0 200 OK\r\n\r\nhi", "GET").expect("read");
        assert_eq!(
            (closed.body.as_slice(), closed.framing),
            (&b"hi"[..], Framing::Close)
        );
        let head = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HEAD").expect("read");
        assert_eq!(head.framing, Framing::None);
        let later = answer(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
            "PUT",
        )
        .expect("read");
        assert_eq!((later.status, later.interim), (204, vec![100]));
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        assert!(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", "GET").is_err());
        let cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n";
        assert!(answer(cut, "GET").is_err());
    }
}
