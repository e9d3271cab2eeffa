//! The head of a request, read strictly: what could be understood in two ways is refused.
//!
//! Run by the front on bytes of a client, of which it trusts none. It is pure: bytes in, a [`Head`] or a reason out. httparse
//! does the lexing; it forgives a bare LF and knows nothing of framing, so the line ends are checked before and everything
//! that says where the request ends (RFC 9112, section 6) after it. It reads no body and does not interpret the path.

use std::mem::MaybeUninit;

use hostel_wire::limits;

use crate::reply;

/// A request's head. Kept and filled again for each request of a connection, so that reading one allocates nothing.
#[derive(Debug, Default)]
pub struct Head {
    /// The head's bytes, and behind them the target in origin form where the client sent none.
    bytes: Vec<u8>,
    headers: Vec<(Span, Span)>,
    method: Span,
    target: Span,
    host: Option<Span>,
    http10: bool,
    keep_alive: bool,
    expects_continue: bool,
    body: BodyLength,
}

/// A part of [`Head::bytes`]; [`limits::HEAD_BYTES_MAX`] is why two bytes suffice.
#[derive(Debug, Default, Clone, Copy)]
struct Span {
    start: u16,
    end: u16,
}

/// How long the request's body is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    #[default]
    Nothing,
    /// So many bytes, at least one.
    Sized(u64),
    /// As many as its chunks have.
    Chunked,
}

/// Why a head was refused. The connection cannot go on: nobody knows where the next request would begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It is not HTTP, or it is ambiguous.
    #[error("{0}")]
    Malformed(&'static str),
    /// The request line is over [`REQUEST_LINE_BYTES_MAX`].
    #[error("the request line is too long")]
    LineTooLong,
    /// The head is over [`limits::HEAD_BYTES_MAX`].
    #[error("the head is too large")]
    TooLarge,
    /// There are more than [`limits::HEADERS_MAX`] headers.
    #[error("there are too many headers")]
    TooManyHeaders,
    /// The method is over [`METHOD_BYTES_MAX`].
    #[error("the method is too long to be one")]
    Method,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("the version of HTTP is not supported")]
    Version,
    /// `Expect` asks for something else than `100-continue`.
    #[error("the expectation is not known")]
    Expectation,
}

impl HeadError {
    /// The status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::LineTooLong => 414,
            Self::TooLarge | Self::TooManyHeaders => 431,
            Self::Method => 501,
            Self::Version => 505,
            Self::Expectation => 417,
        }
    }
}

/// How far the search for the end of a head has come.
#[derive(Debug, Default)]
pub struct Search {
    line: usize,
    scanned: usize,
}

impl Search {
    /// The length of the head that `input` begins with, its empty line included; `None` when it is not whole yet, and the
    /// search goes on from here when `input` has grown.
    ///
    /// # Errors
    /// When what is there can no longer become a head. A line that does not end in CR LF is refused as soon as it is seen.
    pub fn end_of_head(&mut self, input: &[u8]) -> Result<Option<usize>, HeadError> {
        // A method begins with a capital; a TLS greeting or a bare line end does not.
        if input.first().is_some_and(|b| !b.is_ascii_uppercase()) {
            return Err(HeadError::Malformed("does not begin with a method"));
        }
        while let Some(rest) = input.get(self.scanned..)
            && let Some(found) = rest.iter().position(|b| *b == b'\n')
        {
            let end = self.scanned + found + 1;
            let line = input.get(self.line..end).unwrap_or_default();
            if self.line == 0 && line.len() > REQUEST_LINE_BYTES_MAX {
                return Err(HeadError::LineTooLong);
            }
            if end > limits::HEAD_BYTES_MAX {
                return Err(HeadError::TooLarge);
            }
            match line {
                b"\r\n" => return Ok(Some(end)),
                [b' ' | b'\t', ..] => return Err(HeadError::Malformed("a folded header")),
                [.., b'\r', b'\n'] => {}
                _ => return Err(HeadError::Malformed("a line that ends in a bare LF")),
            }
            self.line = end;
            self.scanned = end;
        }
        self.scanned = input.len();
        if self.line == 0 && input.len() >= REQUEST_LINE_BYTES_MAX {
            return Err(HeadError::LineTooLong);
        }
        if input.len() >= limits::HEAD_BYTES_MAX {
            return Err(HeadError::TooLarge);
        }
        Ok(None)
    }
}

impl Head {
    /// Read a whole head, as [`Search`] found it.
    ///
    /// # Errors
    /// When it is malformed, ambiguous or over a limit; what is in `self` then is of no use but for the log.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), HeadError> {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.headers.clear();
        self.method = Span::default();
        self.target = Span::default();
        self.host = None;
        self.expects_continue = false;
        self.body = BodyLength::Nothing;
        if bytes.len() > limits::HEAD_BYTES_MAX {
            return Err(HeadError::TooLarge);
        }
        self.read_request_line(bytes)?;
        let mut room = [const { MaybeUninit::uninit() }; limits::HEADERS_MAX];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, &mut room) {
            Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
            Ok(_) => return Err(HeadError::Malformed("the head has no end")),
            Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooManyHeaders),
            Err(
                httparse::Error::HeaderName
                | httparse::Error::HeaderValue
                | httparse::Error::NewLine
                | httparse::Error::Status
                | httparse::Error::Token
                | httparse::Error::Version,
            ) => return Err(HeadError::Malformed("a header that is not one")),
        }
        let mut framing = Framing::default();
        for header in request.headers.iter() {
            self.take_in(bytes, header, &mut framing)?;
        }
        self.conclude(&framing)
    }

    /// Method, target and version, split by exactly one space each.
    fn read_request_line(&mut self, bytes: &[u8]) -> Result<(), HeadError> {
        let line = bytes.split(|b| *b == b'\r').next().unwrap_or_default();
        let mut words = line.split(|b| *b == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(HeadError::Malformed("a request line without three words"));
        };
        // nginx takes these characters only; so nothing odd reaches a log or REQUEST_METHOD.
        if method.is_empty()
            || !method
                .iter()
                .all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_'))
        {
            return Err(HeadError::Malformed("a method that is not one"));
        }
        if method.len() > METHOD_BYTES_MAX {
            return Err(HeadError::Method);
        }
        self.http10 = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(HeadError::Version);
            }
            _ => return Err(HeadError::Malformed("a version that is not one")),
        };
        self.method = Span::of(method, bytes)?;
        if target.is_empty() || target.iter().any(|b| matches!(b, 0..=b' ' | b'#' | 0x7f)) {
            return Err(HeadError::Malformed(
                "a character that a target cannot have",
            ));
        }
        self.read_target(target, bytes)
    }

    /// The target in origin form, whichever form the client used (RFC 9112, section 3.2).
    fn read_target(&mut self, target: &[u8], bytes: &[u8]) -> Result<(), HeadError> {
        let connect = self.method() == b"CONNECT";
        let asterisk = target == b"*" && self.method() == b"OPTIONS";
        if target.starts_with(b"/") || asterisk || connect {
            self.target = Span::of(target, bytes)?;
            return Ok(());
        }
        let rest = after_scheme(target).ok_or(HeadError::Malformed("a target without a path"))?;
        let authority = rest
            .split(|b| matches!(b, b'/' | b'?'))
            .next()
            .unwrap_or_default();
        self.host = Some(Span::of(authority, bytes)?);
        let path = rest.get(authority.len()..).unwrap_or_default();
        if path.starts_with(b"/") {
            self.target = Span::of(path, bytes)?;
            return Ok(());
        }
        // "http://host?x" has an empty path, which means "/".
        let start = self.bytes.len();
        self.bytes.push(b'/');
        self.bytes.extend_from_slice(path);
        self.target = Span::new(start, self.bytes.len())?;
        Ok(())
    }

    /// One header: noted where it concerns the framing or the host, kept unless nginx would drop it.
    fn take_in(
        &mut self,
        bytes: &[u8],
        header: &httparse::Header<'_>,
        framing: &mut Framing,
    ) -> Result<(), HeadError> {
        let name = header.name.as_bytes();
        let is = |other: &str| header.name.eq_ignore_ascii_case(other);
        let span = (Span::of(name, bytes)?, Span::of(header.value, bytes)?);
        if is("host") {
            framing.hosts += 1;
            // The authority of a target in absolute form has displaced the header (RFC 9112, section 3.2.2).
            self.host = self.host.or(Some(span.1));
        } else if is("content-length") {
            if framing.length.is_some() {
                return Err(HeadError::Malformed("Content-Length more than once"));
            }
            let length = reply::decimal(header.value);
            framing.length =
                Some(length.ok_or(HeadError::Malformed("a Content-Length that is no number"))?);
        } else if is("transfer-encoding") {
            if framing.chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                return Err(HeadError::Malformed("a Transfer-Encoding but chunked"));
            }
            framing.chunked = true;
        } else if is("connection") {
            for option in header.value.split(|b| *b == b',') {
                let option = option.trim_ascii();
                framing.close |= option.eq_ignore_ascii_case(b"close");
                framing.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if is("expect") && !self.http10 {
            if !header.value.eq_ignore_ascii_case(b"100-continue") {
                return Err(HeadError::Expectation);
            }
            self.expects_continue = true;
        }
        // HTTP_X_A would have two origins if X_A were kept beside X-A; HTTP_PROXY is taken for a setting by HTTP clients.
        let plain = name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
        if plain && !is("proxy") {
            self.headers.push(span);
        }
        Ok(())
    }

    fn conclude(&mut self, framing: &Framing) -> Result<(), HeadError> {
        self.body = match (framing.length, framing.chunked) {
            (Some(_), true) => {
                return Err(HeadError::Malformed("Content-Length and Transfer-Encoding"));
            }
            (None, true) if self.http10 => {
                return Err(HeadError::Malformed("Transfer-Encoding in HTTP/1.0"));
            }
            (None, true) => BodyLength::Chunked,
            (None | Some(0), false) => BodyLength::Nothing,
            (Some(length), false) => BodyLength::Sized(length),
        };
        if framing.hosts > 1 {
            return Err(HeadError::Malformed("Host more than once"));
        }
        if framing.hosts == 0 && !self.http10 {
            return Err(HeadError::Malformed("no Host"));
        }
        self.keep_alive = if self.http10 {
            framing.keep_alive && !framing.close
        } else {
            !framing.close
        };
        self.expects_continue &= self.body != BodyLength::Nothing;
        Ok(())
    }

    /// The method: capitals, `-` and `_`.
    pub fn method(&self) -> &[u8] {
        self.part(self.method)
    }

    /// Whether the answer has no body because the client asked for the head alone.
    pub fn is_head(&self) -> bool {
        self.method() == b"HEAD"
    }

    /// The target as it was sent, in origin form (`/path?query`), or `*` with OPTIONS, or anything with CONNECT.
    pub fn target(&self) -> &[u8] {
        self.part(self.target)
    }

    /// The target up to its `?`, not decoded.
    pub fn path(&self) -> &[u8] {
        self.target()
            .split(|b| *b == b'?')
            .next()
            .unwrap_or_default()
    }

    /// The target behind its `?`; `None` where there is none.
    pub fn query(&self) -> Option<&[u8]> {
        self.target().get(self.path().len() + 1..)
    }

    /// The authority that was asked for: of the target, else of the Host header; HTTP/1.0 may have none.
    pub fn host(&self) -> Option<&[u8]> {
        self.host.map(|span| self.part(span))
    }

    /// `HTTP/1.0` or `HTTP/1.1`.
    pub fn protocol(&self) -> &'static [u8] {
        if self.http10 {
            b"HTTP/1.0"
        } else {
            b"HTTP/1.1"
        }
    }

    /// Whether the client speaks HTTP/1.0 and so knows no chunks.
    pub fn is_http10(&self) -> bool {
        self.http10
    }

    /// Whether the client wants to use the connection again.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// How long the body is.
    pub fn body(&self) -> BodyLength {
        self.body
    }

    /// The request line, for the log; the first bytes of whatever came where it could not be read.
    pub fn request_line(&self) -> &[u8] {
        let line = self.bytes.split(|b| *b == b'\r').next();
        let line = line.unwrap_or_default();
        line.get(..REQUEST_LINE_BYTES_MAX).unwrap_or(line)
    }

    /// The value of the first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers()
            .find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The headers in the client's order, without those that nginx drops. Host is what [`Head::host`] says.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|(name, value)| {
            let name = self.part(*name);
            match self.host {
                Some(host) if name.eq_ignore_ascii_case(b"host") => (name, self.part(host)),
                Some(_) | None => (name, self.part(*value)),
            }
        })
    }

    fn part(&self, span: Span) -> &[u8] {
        self.bytes
            .get(usize::from(span.start)..usize::from(span.end))
            .unwrap_or_default()
    }
}

impl Span {
    /// Where `part`, which is a slice of `whole`, stands in it.
    fn of(part: &[u8], whole: &[u8]) -> Result<Self, HeadError> {
        let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
        Self::new(start, start + part.len())
    }

    fn new(start: usize, end: usize) -> Result<Self, HeadError> {
        match (u16::try_from(start), u16::try_from(end)) {
            (Ok(start), Ok(end)) => Ok(Self { start, end }),
            (Ok(_) | Err(_), _) => Err(HeadError::TooLarge),
        }
    }
}

/// What the headers say about where the request ends and whether another may follow.
#[derive(Debug, Default)]
struct Framing {
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

fn after_scheme(target: &[u8]) -> Option<&[u8]> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start
            .eq_ignore_ascii_case(scheme.as_bytes())
            .then_some(rest)
    })
}

/// The longest request line, its end included; as nginx by default.
pub const REQUEST_LINE_BYTES_MAX: usize = 8 * 1024;
/// The longest method. The longest registered one has 17 bytes.
pub const METHOD_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Head, HeadError> {
        let mut search = Search::default();
        let end = search.end_of_head(text.as_bytes())?.expect("whole");
        let mut head = Head::default();
        head.read(&text.as_bytes()[..end])?;
        Ok(head)
    }

    #[test]
    fn a_head_is_taken_apart() {
        let head = read(
            "POST /a%20b?c=d HTTP/1.1\r\nHost: x.example:80\r\nX_Y: 1\r\nX.Y: 1\r\n\
             Proxy: evil\r\nContent-Length: 5\r\nAccept:  a, b \r\n\r\nabcde",
        )
        .unwrap();
        assert_eq!(head.method(), b"POST");
        assert_eq!(head.target(), b"/a%20b?c=d");
        assert_eq!(head.path(), b"/a%20b");
        assert_eq!(head.query(), Some(&b"c=d"[..]));
        assert_eq!(head.host(), Some(&b"x.example:80"[..]));
        assert_eq!(head.body(), BodyLength::Sized(5));
        assert!(head.keep_alive());
        assert_eq!(head.request_line(), b"POST /a%20b?c=d HTTP/1.1");
        let headers: Vec<_> = head.headers().collect();
        assert_eq!(
            headers,
            [
                (&b"Host"[..], &b"x.example:80"[..]),
                (b"Content-Length", b"5"),
                (b"Accept", b"a, b"),
            ]
        );
    }

    #[test]
    fn the_absolute_form_displaces_host() {
        let head = read("GET hTTp://A.example:81/p?q HTTP/1.1\r\nHost: b.example\r\n\r\n").unwrap();
        assert_eq!(head.host(), Some(&b"A.example:81"[..]));
        assert_eq!(head.target(), b"/p?q");
        assert_eq!(head.header("host"), Some(&b"A.example:81"[..]));
        let head = read("GET http://a.example?q HTTP/1.1\r\nHost: b.example\r\n\r\n").unwrap();
        assert_eq!(
            (head.target(), head.query()),
            (&b"/?q"[..], Some(&b"q"[..]))
        );
        assert_eq!(head.request_line(), b"GET http://a.example?q HTTP/1.1");
    }

    #[test]
    fn a_head_that_comes_a_byte_at_a_time_is_found_at_the_same_place() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET";
        let mut search = Search::default();
        let end = (0..=text.len()).find_map(|seen| search.end_of_head(&text[..seen]).unwrap());
        assert_eq!(end, Some(text.len() - 3));
    }

    #[test]
    fn http_1_0_closes_unless_it_asks() {
        assert!(!read("GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive());
        let kept = read("GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n").unwrap();
        assert!(kept.keep_alive() && kept.is_http10());
    }

    #[test]
    fn an_expectation_without_a_body_is_none() {
        let head = read("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n").unwrap();
        assert!(!head.expects_continue());
    }

    #[test]
    fn limits_have_their_own_status() {
        let mut search = Search::default();
        let long = vec![b'A'; REQUEST_LINE_BYTES_MAX];
        assert_eq!(search.end_of_head(&long), Err(HeadError::LineTooLong));
        let many = "A: b\r\n".repeat(limits::HEADERS_MAX);
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n");
        assert_eq!(read(&many).unwrap_err(), HeadError::TooManyHeaders);
        let large = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "a".repeat(33_000)
        );
        assert_eq!(read(&large).unwrap_err(), HeadError::TooLarge);
    }
}
