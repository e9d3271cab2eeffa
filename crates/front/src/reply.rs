//! A worker's answer as HTTP: every header line checked, what belongs to the connection replaced by our own.
//!
//! Run by the front. It trusts nothing that a worker says: a line that could be read as two, or as the end of the head,
//! refuses the whole answer; how long the body is and whether the connection stays is decided here alone. It does not judge
//! what a site says of itself (cookies, caching, content types): that is the site's own affair.

use std::ops::Range;

use crate::clock;

/// The checked header lines of an answer, ready to be sent.
#[derive(Debug, Default)]
pub struct ReplyHeaders {
    lines: Vec<u8>,
    declared: Declared,
    status: Option<u16>,
    content_type: Option<Range<usize>>,
    has_date: bool,
    has_server: bool,
}

/// What the script said about the length of its body.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Declared {
    #[default]
    Nothing,
    Length(u64),
    /// Several lengths, or one that is not a number: as good as none.
    Nonsense,
}

/// Why a header line of a worker was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// No colon.
    #[error("a header line of the answer has no colon")]
    Colon,
    /// The name is empty or has a character that names cannot have.
    #[error("a header line of the answer has a name that is not a token")]
    Name,
    /// The value has a CR, LF or NUL.
    #[error("a header line of the answer has a CR, LF or NUL in its value")]
    Value,
    /// The status is not one that a server can send.
    #[error("the status of the answer is not between 200 and 599")]
    Status,
}

impl ReplyHeaders {
    /// Take in one line `Name: value`, without its end.
    ///
    /// Lines that speak about the connection are dropped, since the connection is the front's. So are the commands to nginx
    /// that applications send along (`X-Accel-…`) and a `Status` line, which sets the status as it does in CGI. Of several
    /// content types the last one holds, since an answer has one; an empty one is none.
    ///
    /// # Errors
    /// When the line could not be sent as it is; the whole answer is to be refused then.
    pub fn push(&mut self, line: &[u8]) -> Result<(), BadLine> {
        let colon = line.iter().position(|b| *b == b':').ok_or(BadLine::Colon)?;
        let (name, rest) = line.split_at_checked(colon).ok_or(BadLine::Colon)?;
        let value = rest.strip_prefix(b":").unwrap_or(rest);
        if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
            return Err(BadLine::Name);
        }
        if value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return Err(BadLine::Value);
        }
        let value = value.trim_ascii();
        if DROPPED.iter().any(|other| name.eq_ignore_ascii_case(other)) {
            return Ok(());
        }
        if name.eq_ignore_ascii_case(b"status") {
            self.status = Some(checked_status(value.get(..3).and_then(decimal))?);
            return Ok(());
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            self.declared = match (self.declared, decimal(value)) {
                (Declared::Nothing, Some(length)) => Declared::Length(length),
                (Declared::Length(before), Some(length)) if before == length => self.declared,
                (Declared::Nothing | Declared::Length(_) | Declared::Nonsense, _) => {
                    Declared::Nonsense
                }
            };
            return Ok(());
        }
        self.has_date |= name.eq_ignore_ascii_case(b"date");
        self.has_server |= name.eq_ignore_ascii_case(b"server");
        let is_type = name.eq_ignore_ascii_case(b"content-type");
        if is_type && value.is_empty() {
            return Ok(());
        }
        if is_type && let Some(before) = self.content_type.take() {
            self.lines.drain(before);
        }
        let from = self.lines.len();
        for part in [name, b": ", value, b"\r\n"] {
            self.lines.extend_from_slice(part);
        }
        if is_type {
            self.content_type = Some(from..self.lines.len());
        }
        Ok(())
    }

    /// The status to send, given the one that came beside the lines.
    ///
    /// # Errors
    /// When it is not a final status of three digits from 200 to 599: an interim one would desynchronise the client.
    pub fn status(&self, status: u16) -> Result<u16, BadLine> {
        match self.status {
            Some(named) => Ok(named),
            None => checked_status(Some(u64::from(status))),
        }
    }

    /// The length of the body that the script declared, where it did so without contradiction.
    pub fn declared_length(&self) -> Option<u64> {
        match self.declared {
            Declared::Length(length) => Some(length),
            Declared::Nothing | Declared::Nonsense => None,
        }
    }
}

/// How the end of a body is known to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body and no length to tell.
    NoBody,
    /// By its length. With HEAD, the length that GET would have.
    Length(u64),
    /// By chunks.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// Append the head of an answer of a worker.
pub(crate) fn append_reply_head(
    out: &mut Vec<u8>,
    status: u16,
    headers: &ReplyHeaders,
    framing: Framing,
    keep_alive: bool,
) {
    append_status_line(out, status);
    if !headers.has_server {
        out.extend_from_slice(SERVER);
    }
    if !headers.has_date {
        append_date(out);
    }
    out.extend_from_slice(&headers.lines);
    append_end(out, framing, keep_alive);
}

/// Append the head of an answer of the front's own; `lines` are whole header lines with their ends.
pub(crate) fn append_head(
    out: &mut Vec<u8>,
    status: u16,
    lines: &[&[u8]],
    framing: Framing,
    keep_alive: bool,
) {
    append_status_line(out, status);
    out.extend_from_slice(SERVER);
    append_date(out);
    for line in lines {
        out.extend_from_slice(line);
    }
    append_end(out, framing, keep_alive);
}

/// Append a number in decimal.
pub(crate) fn append_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or(&digits));
}

/// A number in decimal digits and nothing else, at most 19 of them.
pub(crate) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Whether a byte may stand in a method or a header's name (RFC 9110, section 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn checked_status(status: Option<u64>) -> Result<u16, BadLine> {
    status
        .filter(|status| (200..=599).contains(status))
        .and_then(|status| u16::try_from(status).ok())
        .ok_or(BadLine::Status)
}

fn append_status_line(out: &mut Vec<u8>, status: u16) {
    out.extend_from_slice(b"HTTP/1.1 ");
    append_decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn append_date(out: &mut Vec<u8>) {
    out.extend_from_slice(b"Date: ");
    clock::append_http_date(out);
    out.extend_from_slice(b"\r\n");
}

fn append_end(out: &mut Vec<u8>, framing: Framing, keep_alive: bool) {
    match framing {
        Framing::NoBody | Framing::Close => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            append_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    out.extend_from_slice(if keep_alive {
        b"Connection: keep-alive\r\n\r\n"
    } else {
        b"Connection: close\r\n\r\n"
    });
}

/// The usual words for a status; empty where there are none.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

const SERVER: &[u8] = b"Server: hostel\r\n";

/// Lines of a worker that are not passed on.
const DROPPED: [&[u8]; 12] = [
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"x-accel-buffering",
    b"x-accel-charset",
    b"x-accel-expires",
    b"x-accel-limit-rate",
    b"x-accel-redirect",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(line: &[u8]) -> Result<Vec<u8>, BadLine> {
        let mut headers = ReplyHeaders::default();
        headers.push(line)?;
        Ok(headers.lines)
    }

    #[test]
    fn a_line_that_could_be_read_as_two_is_refused() {
        assert_eq!(pushed(b"X: a\r\nY: b"), Err(BadLine::Value));
        assert_eq!(pushed(b"X: a\nY: b"), Err(BadLine::Value));
        assert_eq!(pushed(b"X: a\0"), Err(BadLine::Value));
        assert_eq!(pushed(b"X: a\n"), Err(BadLine::Value));
        assert_eq!(pushed(b"X\r\n: a"), Err(BadLine::Name));
        assert_eq!(pushed(b"X Y: a"), Err(BadLine::Name));
        assert_eq!(pushed(b"X : a"), Err(BadLine::Name));
        assert_eq!(pushed(b": a"), Err(BadLine::Name));
        assert_eq!(pushed(b"no colon"), Err(BadLine::Colon));
        assert_eq!(pushed(b""), Err(BadLine::Colon));
    }

    #[test]
    fn lines_keep_their_spelling_and_lose_what_surrounds_the_value() {
        assert_eq!(
            pushed(b"X-PowereD-by:\t PHP ").unwrap(),
            b"X-PowereD-by: PHP\r\n"
        );
        assert_eq!(pushed(b"X-Empty:").unwrap(), b"X-Empty: \r\n");
    }

    #[test]
    fn lines_about_the_connection_are_dropped() {
        for line in [
            &b"Connection: close"[..],
            b"TRANSFER-encoding: chunked",
            b"Upgrade: h2c",
            b"X-Accel-Redirect: /secret",
        ] {
            assert_eq!(pushed(line).unwrap(), b"", "{}", line.escape_ascii());
        }
    }

    #[test]
    fn the_last_content_type_holds() {
        let mut headers = ReplyHeaders::default();
        for line in [
            &b"Content-Type:"[..],
            b"X: a",
            b"content-type: text/plain",
            b"Y: b",
            b"Content-Type: text/html",
            b"Content-Type: ",
        ] {
            headers.push(line).unwrap();
        }
        assert_eq!(
            headers.lines,
            b"X: a\r\nY: b\r\nContent-Type: text/html\r\n"
        );
    }

    #[test]
    fn a_status_must_be_final_and_may_come_as_a_line() {
        let mut headers = ReplyHeaders::default();
        assert_eq!(headers.status(200), Ok(200));
        for status in [0, 99, 100, 103, 199, 600, 999, u16::MAX] {
            assert_eq!(headers.status(status), Err(BadLine::Status), "{status}");
        }
        headers.push(b"Status: 404 Not Found").unwrap();
        assert_eq!(headers.status(200), Ok(404));
        assert_eq!(headers.push(b"Status: 100"), Err(BadLine::Status));
        assert_eq!(headers.push(b"Status: x"), Err(BadLine::Status));
    }

    #[test]
    fn contradicting_lengths_are_as_good_as_none() {
        let mut headers = ReplyHeaders::default();
        headers.push(b"Content-Length: 5").unwrap();
        headers.push(b"Content-Length: 5").unwrap();
        assert_eq!(headers.declared_length(), Some(5));
        headers.push(b"Content-Length: 6").unwrap();
        assert_eq!(headers.declared_length(), None);
        assert_eq!(headers.lines, b"");
        let mut headers = ReplyHeaders::default();
        headers.push(b"Content-Length: -5").unwrap();
        assert_eq!(headers.declared_length(), None);
    }

    #[test]
    fn a_date_of_the_script_replaces_ours() {
        let mut headers = ReplyHeaders::default();
        headers.push(b"Date: then").unwrap();
        let mut out = Vec::new();
        append_reply_head(&mut out, 200, &headers, Framing::Length(5), true);
        assert_eq!(
            out.escape_ascii().to_string(),
            "HTTP/1.1 200 OK\\r\\nServer: hostel\\r\\nDate: then\\r\\nContent-Length: 5\\r\\n\
             Connection: keep-alive\\r\\n\\r\\n"
        );
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0, 7, 10, 4096, u64::MAX / 2] {
            let mut out = Vec::new();
            append_decimal(&mut out, number);
            assert_eq!(decimal(&out), Some(number));
        }
        for text in [&b""[..], b"+1", b"1 ", b"0x1", b"99999999999999999999"] {
            assert_eq!(decimal(text), None);
        }
    }
}
