//! Lines as SMTP has them, of whatever ends lines with CR, LF or both.
//!
//! Pure. A lone CR or LF that reached a server could be taken for the end of a line by one and not by the other, which is how messages
//! are smuggled into each other; so none is left. A line that is longer than SMTP allows is broken as Postfix does it.

use std::io::{self, Write};

/// The lines of a text, without their ends.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Where the next line begins.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The next line, and whether it has an end for certain: a CR at the end of the text may be half of one.
    pub(crate) fn next_line(&mut self) -> Option<(&'a [u8], bool)> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
            self.at = self.text.len();
            return Some((rest, false));
        };
        let (line, after) = rest.split_at(end);
        let (length, is_certain) = match after {
            [b'\r', b'\n', ..] => (2, true),
            [b'\r'] => (1, false),
            _ => (1, true),
        };
        self.at += end + length;
        Some((line, is_certain))
    }
}

/// Writes what it is given with CRLF as the one end of lines, none of them too long.
#[derive(Debug)]
pub(crate) struct Wire<W> {
    to: W,
    length: usize,
    is_after_cr: bool,
}

impl<W: Write> Wire<W> {
    pub(crate) fn new(to: W) -> Self {
        Self {
            to,
            length: 0,
            is_after_cr: false,
        }
    }

    /// More of the text.
    pub(crate) fn text(&mut self, bytes: &[u8]) -> io::Result<()> {
        for byte in bytes {
            match byte {
                b'\n' if self.is_after_cr => self.is_after_cr = false,
                b'\r' | b'\n' => {
                    self.to.write_all(b"\r\n")?;
                    self.length = 0;
                    self.is_after_cr = *byte == b'\r';
                }
                byte => {
                    self.is_after_cr = false;
                    // Not within a letter of UTF-8, unless it is none.
                    let is_within = (0x80..0xC0).contains(byte);
                    let is_full = self.length >= LINE_BYTES_MAX;
                    if is_full && (!is_within || self.length >= LINE_BYTES_MAX + 4) {
                        self.to.write_all(b"\r\n ")?;
                        self.length = 1;
                    }
                    self.to.write_all(&[*byte])?;
                    self.length += 1;
                }
            }
        }
        Ok(())
    }

    /// The end of the text, which ends its last line.
    pub(crate) fn end(mut self) -> io::Result<W> {
        if self.length > 0 {
            self.to.write_all(b"\r\n")?;
        }
        Ok(self.to)
    }
}

/// RFC 5321 allows 998; room for the rest of a letter.
const LINE_BYTES_MAX: usize = 990;

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(parts: &[&[u8]]) -> Vec<u8> {
        let mut wire = Wire::new(Vec::new());
        for part in parts {
            wire.text(part).unwrap();
        }
        wire.end().unwrap()
    }

    #[test]
    fn there_is_one_end_of_lines() {
        let text = wire(&[b"a\nb\r\nc\rd\n\re\r", b"\nf"]);
        assert_eq!(text, b"a\r\nb\r\nc\r\nd\r\n\r\ne\r\nf\r\n");
        assert_eq!(wire(&[b""]), b"");
        assert_eq!(wire(&[b"a\n"]), b"a\r\n");
        // The end of a message in whatever spelling is a dot on a line of its own, which the client then doubles.
        assert_eq!(wire(&[b"a\r.\rb\n.\r\nc"]), b"a\r\n.\r\nb\r\n.\r\nc\r\n");
    }

    #[test]
    fn no_line_is_too_long_and_no_letter_is_cut() {
        let text = "ä".repeat(5000);
        let sent = wire(&[text.as_bytes()]);
        let sent = String::from_utf8(sent).unwrap();
        assert!(sent.lines().all(|line| line.len() <= 998));
        assert_eq!(sent.replace("\r\n ", "").trim_end(), text);
        let sent = wire(&[&[0x80; 5000]]);
        assert!(
            sent.split(|byte| *byte == b'\n')
                .all(|line| line.len() <= 999)
        );
    }

    #[test]
    fn lines_end_three_ways() {
        let mut lines = Lines::new(b"a\nb\r\nc\r\rd");
        let mut found = Vec::new();
        while let Some(line) = lines.next_line() {
            found.push(line);
        }
        let expected: [(&[u8], bool); 5] = [
            (b"a", true),
            (b"b", true),
            (b"c", true),
            (b"", true),
            (b"d", false),
        ];
        assert_eq!(found, expected);
        assert_eq!(Lines::new(b"a\r").next_line(), Some((&b"a"[..], false)));
    }
}
