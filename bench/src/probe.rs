//! An HTTP client of a few lines: checks answers before anything is measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::failure::{Failure, Result, Tried};

/// The name of the site on every server.
pub(crate) const HOST: &str = "bench.example";
/// The longest answer taken.
const BODY_BYTES_MAX: u64 = 4 << 20;

/// A connection that is opened again when the server closes it.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body, without chunks' heads.
    pub body: Vec<u8>,
    /// All its bytes as they came.
    pub wire_bytes: u64,
}

impl Client {
    /// A client of the server on this loopback port.
    pub(crate) fn new(port: u16) -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            stream: None,
        }
    }

    /// GET a path at a site and read the whole answer, with the same headers that wrk sends.
    pub(crate) fn ask_at(&mut self, host: &str, path: &str) -> Result<Answer> {
        self.send(host, path, &[], None)
    }

    /// GET, or POST where there is a body, with more header lines.
    pub(crate) fn send(
        &mut self,
        host: &str,
        path: &str,
        headers: &[String],
        body: Option<&str>,
    ) -> Result<Answer> {
        let what = format!("get {path} from {}", self.address);
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        let method = if body.is_some() { "POST" } else { "GET" };
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        for line in headers {
            request.push_str(&format!("{line}\r\n"));
        }
        if let Some(body) = body {
            request.push_str(&format!(
                "Content-Type: application/octet-stream\r\nContent-Length: {}\r\n",
                body.len()
            ));
        }
        request.push_str("\r\n");
        request.push_str(body.unwrap_or_default());
        stream
            .get_mut()
            .write_all(request.as_bytes())
            .tried(&what)?;
        let (answer, keep) = read_answer(&mut stream)
            .map_err(|Failure(why)| Failure(format!("cannot {what}: {why}")))?;
        self.stream = keep.then_some(stream);
        Ok(answer)
    }

    fn connect(&self) -> Result<BufReader<TcpStream>> {
        let wait = Duration::from_secs(10);
        let what = format!("connect to {}", self.address);
        let stream = TcpStream::connect_timeout(&self.address, wait).tried(&what)?;
        stream.set_read_timeout(Some(wait)).tried(&what)?;
        stream.set_write_timeout(Some(wait)).tried(&what)?;
        Ok(BufReader::new(stream))
    }
}

fn read_answer(stream: &mut BufReader<TcpStream>) -> Result<(Answer, bool)> {
    let mut wire_bytes = 0;
    let status_line = read_line(stream, &mut wire_bytes)?;
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| Failure(format!("no status in {status_line:?}")))?;
    let (mut length, mut chunked, mut keep) = (None, false, true);
    loop {
        let line = read_line(stream, &mut wire_bytes)?.to_ascii_lowercase();
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        match (name, value.trim()) {
            ("content-length", value) => length = value.parse::<u64>().ok(),
            ("transfer-encoding", value) => chunked = value == "chunked",
            ("connection", "close") => keep = false,
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let line = read_line(stream, &mut wire_bytes)?;
            let size = u64::from_str_radix(&line, 16).tried("read the size of a chunk")?;
            read_bytes(stream, size, &mut body)?;
            wire_bytes += size;
            read_line(stream, &mut wire_bytes)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = length {
        read_bytes(stream, length, &mut body)?;
        wire_bytes += length;
    } else {
        keep = false;
        let mut rest = stream.take(BODY_BYTES_MAX);
        wire_bytes += rest.read_to_end(&mut body).tried("read the body")? as u64;
    }
    let answer = Answer {
        status,
        body,
        wire_bytes,
    };
    Ok((answer, keep))
}

fn read_line(stream: &mut BufReader<TcpStream>, wire_bytes: &mut u64) -> Result<String> {
    let mut line = String::new();
    let count = stream
        .take(64 << 10)
        .read_line(&mut line)
        .tried("read a line")?;
    if count == 0 {
        return Err(Failure("the server closed the connection".into()));
    }
    *wire_bytes += count as u64;
    Ok(line.trim_end().to_owned())
}

fn read_bytes(stream: &mut BufReader<TcpStream>, count: u64, body: &mut Vec<u8>) -> Result<()> {
    if count > BODY_BYTES_MAX {
        return Err(Failure(format!("a body of {count} bytes is too long")));
    }
    let read = stream
        .take(count)
        .read_to_end(body)
        .tried("read the body")?;
    if read as u64 == count {
        Ok(())
    } else {
        Err(Failure(format!(
            "the body ended after {read} of {count} bytes"
        )))
    }
}
