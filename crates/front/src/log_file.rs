//! One log file: whole lines, escaped, buffered for a moment, bounded in rate and size.
//!
//! Used by [`crate::logs`] alone. It trusts no byte of a line: control characters are escaped, so that nobody can forge a line.
//! Writes go to the page cache and are made in place; they are few, since lines of one moment share one.

use std::fs::File;
use std::io::{self, Write};
use std::time::Instant;

/// A log file, or the wait for one.
pub(crate) struct LogFile {
    file: Option<File>,
    buffer: Vec<u8>,
    file_bytes: u64,
    bytes_max: u64,
    full: bool,
    failing: bool,
    rate: Rate,
    notices: Rate,
}

/// What a log file may take in one second.
pub(crate) struct Rate {
    lines_max: u64,
    bytes_max: u64,
    began: Option<Instant>,
    lines: u64,
    bytes: u64,
    suppressed: u64,
}

/// Something about a log file that belongs into the server's log, said once.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The file has reached its largest size, which is this.
    Full(u64),
    /// The file cannot be written.
    Failed(io::Error),
}

impl Rate {
    pub(crate) fn new(lines_max: u64, bytes_max: u64) -> Self {
        Self {
            lines_max,
            bytes_max,
            began: None,
            lines: 0,
            bytes: 0,
            suppressed: 0,
        }
    }

    /// Begin another second if it is time; returns how many lines the last one suppressed.
    fn turn(&mut self, now: Instant) -> u64 {
        if self
            .began
            .is_some_and(|began| now.duration_since(began).as_secs() == 0)
        {
            return 0;
        }
        self.began = Some(now);
        self.lines = 0;
        self.bytes = 0;
        std::mem::take(&mut self.suppressed)
    }

    fn admit(&mut self, bytes: usize) -> bool {
        self.lines += 1;
        self.bytes += bytes as u64;
        let admitted = self.lines <= self.lines_max && self.bytes <= self.bytes_max;
        self.suppressed += u64::from(!admitted);
        admitted
    }
}

impl LogFile {
    /// A log whose files take at most `bytes_max` bytes and one line that says so.
    pub(crate) fn new(rate: Rate, bytes_max: u64) -> Self {
        Self {
            file: None,
            buffer: Vec::new(),
            file_bytes: 0,
            bytes_max,
            full: false,
            failing: false,
            rate,
            notices: Rate::new(NOTICES_MAX, u64::MAX),
        }
    }

    /// Lines go to this file from now on; those that waited for the last one go there, where there was one.
    pub(crate) fn replace(&mut self, file: File) -> Result<(), Trouble> {
        let flushed = if self.file.is_some() {
            self.flush()
        } else {
            Ok(())
        };
        self.file_bytes = file.metadata().map_or(0, |metadata| metadata.len());
        self.file = Some(file);
        // It said so itself when it became full.
        self.full = self.file_bytes >= self.bytes_max;
        self.failing = false;
        if self.full {
            self.buffer.clear();
            return Err(Trouble::Full(self.bytes_max));
        }
        flushed
    }

    /// Write what waits and close the file.
    pub(crate) fn close(&mut self) -> Result<(), Trouble> {
        let flushed = self.flush();
        self.file = None;
        self.buffer = Vec::new();
        flushed
    }

    /// Append a line, if the rate allows. `prefix` and the end of the line are taken as they are, `text` is escaped.
    pub(crate) fn line(&mut self, prefix: &[u8], text: &[u8]) -> Result<(), Trouble> {
        self.tell_suppressed();
        if !self.rate.admit(prefix.len() + text.len()) {
            return Ok(());
        }
        self.append(prefix, text)
    }

    /// Append a line of the front's own, whose rate is its own, so that nobody can drown it in a flood of others.
    pub(crate) fn notice(&mut self, prefix: &[u8], text: &[u8]) -> Result<(), Trouble> {
        self.tell_suppressed();
        if !self.notices.admit(prefix.len() + text.len()) {
            return Ok(());
        }
        self.append(prefix, text)
    }

    fn append(&mut self, prefix: &[u8], text: &[u8]) -> Result<(), Trouble> {
        if self.full || self.buffer.len() > WAITING_BYTES_MAX {
            return Ok(());
        }
        self.buffer.extend_from_slice(prefix);
        escape_into(&mut self.buffer, text);
        self.buffer.push(b'\n');
        if self.buffer.len() >= BUFFER_BYTES && self.file.is_some() {
            return self.flush();
        }
        Ok(())
    }

    /// Write what waits. Without a file it goes on waiting.
    pub(crate) fn flush(&mut self) -> Result<(), Trouble> {
        if self.rate.suppressed + self.notices.suppressed > 0 {
            self.tell_suppressed();
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        if self.buffer.is_empty() {
            return Ok(());
        }
        let room = self.bytes_max.saturating_sub(self.file_bytes);
        let becomes_full = self.buffer.len() as u64 > room;
        if becomes_full {
            keep_whole_lines(&mut self.buffer, room);
            append_time(&mut self.buffer);
            let text = format!(
                " this log has reached its bound of {} bytes; nothing more is written until it is rotated\n",
                self.bytes_max
            );
            self.buffer.extend_from_slice(text.as_bytes());
            self.full = true;
        }
        let length = self.buffer.len() as u64;
        let written = file.write_all(&self.buffer);
        self.buffer.clear();
        if let Err(error) = written {
            // The lines are lost: keeping them would only move the limit from the disk to the memory.
            let said = std::mem::replace(&mut self.failing, true);
            return if said {
                Ok(())
            } else {
                Err(Trouble::Failed(error))
            };
        }
        self.failing = false;
        self.file_bytes += length;
        if becomes_full {
            return Err(Trouble::Full(self.bytes_max));
        }
        Ok(())
    }

    /// Say how many lines the last second has suppressed, once it is over.
    fn tell_suppressed(&mut self) {
        let now = Instant::now();
        let suppressed = self.rate.turn(now) + self.notices.turn(now);
        if suppressed > 0 && !self.full {
            append_time(&mut self.buffer);
            self.buffer
                .extend_from_slice(format!(" {suppressed} lines suppressed\n").as_bytes());
        }
    }
}

/// Cut what is behind the last whole line within so many bytes.
fn keep_whole_lines(buffer: &mut Vec<u8>, room: u64) {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let fits = buffer.get(..room).unwrap_or(buffer);
    let end = fits.iter().rposition(|byte| *byte == b'\n');
    buffer.truncate(end.map_or(0, |last| last + 1));
}

/// Append text with the bytes of every control character but the tab as `\xHH`, and of what else some reader takes for the end of a
/// line or a terminal for a command: the controls and separators of Unicode, and bytes that are no UTF-8.
fn escape_into(out: &mut Vec<u8>, text: &[u8]) {
    let is_plain = |byte: &u8| (0x20..0x7f).contains(byte) || *byte == b'\t';
    if text.iter().all(is_plain) {
        out.extend_from_slice(text);
        return;
    }
    let escape = |out: &mut Vec<u8>, bytes: &[u8]| {
        for byte in bytes {
            out.extend_from_slice(format!("\\x{byte:02X}").as_bytes());
        }
    };
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut bytes = [0; 4];
            let bytes = character.encode_utf8(&mut bytes).as_bytes();
            let is_separator = matches!(character, '\u{2028}' | '\u{2029}');
            if is_separator || (character.is_control() && character != '\t') {
                escape(out, bytes);
            } else {
                out.extend_from_slice(bytes);
            }
        }
        escape(out, chunk.invalid());
    }
}

/// Append the time of day as the monitor's lines have it: one server log, one form.
pub(crate) fn append_time(out: &mut Vec<u8>) {
    out.extend_from_slice(hostel_sys::clock::timestamp().as_bytes());
}

/// When so many bytes wait they are written at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// So many bytes may wait for a file; what comes beyond is lost.
const WAITING_BYTES_MAX: usize = 256 * 1024;
/// Lines of the front's own in a second; a site that crashes worker after worker has one for each.
const NOTICES_MAX: u64 = 100;

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    fn temporary() -> File {
        let directory = File::open(std::env::temp_dir()).unwrap();
        crate::spill::Spill::new(directory.into()).create().unwrap()
    }

    fn written(log: &mut LogFile) -> String {
        log.flush().unwrap();
        let mut file = log.file.as_ref().unwrap().try_clone().unwrap();
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn control_characters_cannot_make_a_line() {
        let mut log = LogFile::new(Rate::new(10, 1000), u64::MAX);
        log.replace(temporary()).unwrap();
        log.line(b"> ", b"a\r\nforged\0\x7f\tb\x1b").unwrap();
        assert_eq!(written(&mut log), "> a\\x0D\\x0Aforged\\x00\\x7F\tb\\x1B\n");
    }

    #[test]
    fn what_some_readers_take_for_the_end_of_a_line_is_escaped() {
        let mut log = LogFile::new(Rate::new(10, 1000), u64::MAX);
        log.replace(temporary()).unwrap();
        let text = "gr\u{fc}n \u{85}\u{9b}2K\u{2028}\u{2029}".as_bytes();
        log.line(b"", &[text, b"\x9b\xff"].concat()).unwrap();
        assert_eq!(
            written(&mut log),
            "gr\u{fc}n \\xC2\\x85\\xC2\\x9B2K\\xE2\\x80\\xA8\\xE2\\x80\\xA9\\x9B\\xFF\n"
        );
    }

    #[test]
    fn lines_beyond_the_rate_are_counted_and_dropped() {
        let mut log = LogFile::new(Rate::new(2, 1000), u64::MAX);
        log.replace(temporary()).unwrap();
        for line in [b"1", b"2", b"3", b"4"] {
            log.line(b"", line).unwrap();
        }
        log.rate.began = Instant::now().checked_sub(std::time::Duration::from_secs(2));
        log.line(b"", b"5").unwrap();
        let text = written(&mut log);
        assert!(
            text.starts_with("1\n2\n") && text.ends_with(" 2 lines suppressed\n5\n"),
            "{text}"
        );
    }

    #[test]
    fn neither_notices_nor_lines_drown_the_other() {
        let mut log = LogFile::new(Rate::new(2, 1000), u64::MAX);
        log.replace(temporary()).unwrap();
        for _ in 0..3 {
            log.line(b"", b"line").unwrap();
        }
        for _ in 0..=NOTICES_MAX {
            log.notice(b"", b"notice").unwrap();
        }
        let text = written(&mut log);
        assert_eq!(text.matches("line").count(), 2);
        assert_eq!(text.matches("notice").count() as u64, NOTICES_MAX);
    }

    #[test]
    fn a_full_file_stops_and_says_so_once() {
        let mut log = LogFile::new(Rate::new(10, 1000), 10);
        log.replace(temporary()).unwrap();
        log.line(b"", b"first").unwrap();
        log.line(b"", b"second").unwrap();
        assert!(matches!(log.flush(), Err(Trouble::Full(10))));
        log.line(b"", b"beyond").unwrap();
        assert!(log.buffer.is_empty() && log.flush().is_ok());
        let text = written(&mut log);
        assert!(text.starts_with("first\n") && text.ends_with(" until it is rotated\n"));
        assert_eq!(text.lines().count(), 2, "{text}");

        // The same file again, as when the site slept: not a line more.
        let same = log.file.as_ref().unwrap().try_clone().unwrap();
        assert!(matches!(log.replace(same), Err(Trouble::Full(10))));
        log.line(b"", b"beyond").unwrap();
        assert_eq!(written(&mut log), text);
        // Another one, as after a rotation.
        log.replace(temporary()).unwrap();
        log.line(b"", b"again").unwrap();
        assert_eq!(written(&mut log), "again\n");
    }

    #[test]
    fn lines_wait_for_their_first_file_within_bounds() {
        let mut log = LogFile::new(Rate::new(u64::MAX, u64::MAX), u64::MAX);
        for _ in 0..1000 {
            log.line(b"", &[b'x'; 999]).unwrap();
        }
        assert!(log.buffer.len() <= WAITING_BYTES_MAX + 1000);
        log.replace(temporary()).unwrap();
        assert!(written(&mut log).len() > 100_000);
    }
}
