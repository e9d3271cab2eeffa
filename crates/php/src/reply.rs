//! Which status and which header lines an answer has, by FPM's rules and nginx's reading of them.
//!
//! Run by a worker. The lines are what a script set; the front checks each again.

use hostel_wire::codec::Writer;
use hostel_wire::front_worker::ReplyHead;
use hostel_wire::limits::{REPLY_HEAD_BYTES_MAX, REPLY_HEADERS_MAX};

/// What PHP says about an answer's head.
pub(crate) struct ScriptHead<'a> {
    /// The status that PHP counts with.
    pub(crate) code: u16,
    /// The line that a script gave, such as `HTTP/1.1 404 Not Found`.
    pub(crate) status_line: Option<&'a [u8]>,
    /// All header lines, the default Content-Type among them.
    pub(crate) lines: Vec<&'a [u8]>,
}

/// The head of an answer has too many lines or bytes.
#[derive(Debug, thiserror::Error)]
#[error(
    "the answer has more than {REPLY_HEADERS_MAX} header lines or {REPLY_HEAD_BYTES_MAX} bytes of them"
)]
pub(crate) struct HeadTooLarge;

impl ScriptHead<'_> {
    /// Append the payload of a `HEAD` frame.
    pub(crate) fn encode(&self, w: &mut Writer) -> Result<(), HeadTooLarge> {
        let status = self.status();
        let lines: Vec<&[u8]> = self
            .lines
            .iter()
            .copied()
            .filter(|line| !line.is_empty() && value_of(line, b"status:").is_none())
            .filter(|line| status != 304 || value_of(line, b"content-type:").is_none())
            .collect();
        let bytes: usize = lines.iter().map(|line| line.len() + LENGTH_BYTES).sum();
        if lines.len() > REPLY_HEADERS_MAX || bytes > REPLY_HEAD_BYTES_MAX - HEAD_BYTES {
            return Err(HeadTooLarge);
        }
        ReplyHead { status, lines }.encode(w);
        Ok(())
    }

    /// A status line that a script gave goes before a `Status:` header, and that before PHP's own number.
    fn status(&self) -> u16 {
        let from_line = self
            .status_line
            .filter(|_| self.code != 200)
            .and_then(|line| {
                let space = line.iter().position(|byte| *byte == b' ')?;
                value_of(line, b"http/").and(line.get(space..))
            });
        let from_header = || {
            self.lines
                .iter()
                .find_map(|line| value_of(line, b"status:"))
        };
        let stated = from_line
            .or_else(from_header)
            .map_or(Some(self.code), number);
        // What is no final status at all is the script's fault.
        stated
            .filter(|code| (200..=999).contains(code))
            .unwrap_or(500)
    }
}

/// What follows `prefix`, which is in small letters, if the line begins with it.
fn value_of<'a>(line: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The number that a text begins with.
fn number(text: &[u8]) -> Option<u16> {
    let text = text.trim_ascii_start();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()
}

/// A line's length, and status and count before the lines, as `ReplyHead` writes them.
const LENGTH_BYTES: usize = 4;
const HEAD_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(code: u16, status_line: Option<&str>, lines: &[&str]) -> (u16, Vec<String>) {
        let head = ScriptHead {
            code,
            status_line: status_line.map(str::as_bytes),
            lines: lines.iter().map(|line| line.as_bytes()).collect(),
        };
        let mut w = Writer::new();
        head.encode(&mut w).unwrap();
        let bytes = w.finish();
        let reply = ReplyHead::decode(&bytes).unwrap();
        let lines = reply
            .lines
            .iter()
            .map(|line| String::from_utf8_lossy(line).into_owned());
        (reply.status, lines.collect())
    }

    #[test]
    fn a_status_header_counts_and_is_not_sent() {
        let (status, lines) = encoded(200, None, &["Status: 404 Not Found", "X-A: b"]);
        assert_eq!((status, lines), (404, vec!["X-A: b".to_owned()]));
    }

    #[test]
    fn a_status_line_goes_before_a_status_header() {
        assert_eq!(
            encoded(418, Some("HTTP/1.1 418 Teapot"), &["Status: 404"]).0,
            418
        );
        assert_eq!(encoded(500, None, &["Status: 404"]).0, 404);
    }

    #[test]
    fn what_is_no_final_status_becomes_500() {
        assert_eq!(encoded(200, None, &["Status: gone"]).0, 500);
        assert_eq!(encoded(100, None, &[]).0, 500);
        assert_eq!(encoded(200, None, &["Status: 99999"]).0, 500);
    }

    #[test]
    fn an_answer_that_has_not_changed_has_no_content_type() {
        let (status, lines) = encoded(304, None, &["Content-type: text/html", "ETag: x"]);
        assert_eq!((status, lines), (304, vec!["ETag: x".to_owned()]));
    }

    #[test]
    fn too_many_lines_are_refused() {
        let line: &[u8] = b"X: y";
        let head = ScriptHead {
            code: 200,
            status_line: None,
            lines: vec![line; REPLY_HEADERS_MAX + 1],
        };
        assert!(head.encode(&mut Writer::new()).is_err());
    }
}
