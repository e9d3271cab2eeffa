//! One line of a site's access log: the combined format, then the duration and the site.
//!
//! Run by the front at the end of each request. Everything that came from a client is escaped, so that no request can end its
//! line, begin another or leave its quotes. The user of HTTP authentication is not logged: the front checks no password, so the
//! name would be the client's invention.
//!
//! ```text
//! 192.0.2.7 - - [22/Nov/2026:19:10:57 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8.5" 0.001234 blog
//! ```

use std::fmt::Write as _;
use std::time::Duration;

use crate::clock;
use crate::head::Head;
use crate::reply::append_decimal;

/// What is to be logged of a request.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// The client's address.
    pub(crate) remote: &'a str,
    /// The request.
    pub(crate) head: &'a Head,
    /// The status sent; 499 where the client left before any was, as in nginx.
    pub(crate) status: u16,
    /// Bytes of the body that were sent.
    pub(crate) bytes: u64,
    /// From the first byte of the request to the last of its answer.
    pub(crate) duration: Duration,
    /// The site's name.
    pub(crate) site: &'a str,
}

/// Append the line, without its end.
pub(crate) fn append(out: &mut Vec<u8>, entry: &Entry<'_>) {
    out.extend_from_slice(entry.remote.as_bytes());
    out.extend_from_slice(b" - - [");
    clock::append_log_time(out);
    out.extend_from_slice(b"] \"");
    append_escaped(out, entry.head.request_line());
    out.extend_from_slice(b"\" ");
    append_decimal(out, u64::from(entry.status));
    out.push(b' ');
    append_decimal(out, entry.bytes);
    for name in ["referer", "user-agent"] {
        out.extend_from_slice(b" \"");
        append_escaped(out, entry.head.header(name).unwrap_or(b"-"));
        out.push(b'"');
    }
    let micros = entry.duration.subsec_micros();
    append_display(
        out,
        format_args!(" {}.{micros:06} ", entry.duration.as_secs()),
    );
    out.extend_from_slice(entry.site.as_bytes());
}

/// Append bytes of a client: what is not printable ASCII, a quote and a backslash as `\xHH`.
fn append_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f..=0xff => {
                append_display(out, format_args!("\\x{byte:02X}"));
            }
            _ => out.push(*byte),
        }
    }
}

fn append_display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    struct Bytes<'a>(&'a mut Vec<u8>);
    impl std::fmt::Write for Bytes<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    // Writing to memory does not fail.
    let _ = write!(Bytes(out), "{value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(request: &[u8]) -> String {
        let mut head = Head::default();
        head.read(request).unwrap();
        let mut out = Vec::new();
        append(
            &mut out,
            &Entry {
                remote: "192.0.2.7",
                head: &head,
                status: 200,
                bytes: 5,
                duration: Duration::from_micros(2_001_234),
                site: "blog",
            },
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_the_combined_format_and_more() {
        let line = line(b"GET /a?b HTTP/1.1\r\nHost: x\r\nUser-Agent: curl/8.5\r\n\r\n");
        assert!(line.starts_with("192.0.2.7 - - ["), "{line}");
        assert!(
            line.ends_with("] \"GET /a?b HTTP/1.1\" 200 5 \"-\" \"curl/8.5\" 2.001234 blog"),
            "{line}"
        );
    }

    #[test]
    fn no_request_leaves_its_quotes() {
        let line = line(
            b"GET /\"\\x HTTP/1.1\r\nHost: x\r\nReferer: a\tb\"\xff\r\nUser-Agent: \\\" 200 5 \"-\r\n\r\n",
        );
        assert_eq!(line.matches('"').count(), 6, "{line}");
        assert!(line.contains("GET /\\x22\\x5Cx HTTP/1.1"), "{line}");
        assert!(line.contains("\"a\\x09b\\x22\\xFF\""), "{line}");
        assert!(line.contains("\"\\x5C\\x22 200 5 \\x22-\""), "{line}");
    }
}
