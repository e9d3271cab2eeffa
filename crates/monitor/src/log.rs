//! The monitor's lines in the server's own log.
//!
//! Part of the monitor. The front writes its own lines into the same file through a descriptor of its own; both append whole
//! lines. Texts hold paths and names from the configuration, so control characters are escaped. Only the console sees what
//! happens before there is a log.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use hostel_config::LogLevel;

/// The server's log.
#[derive(Debug)]
pub(crate) struct Log {
    file: Rc<OwnedFd>,
    level: LogLevel,
}

impl Log {
    /// Write to `file`, opened for appending, what matters at least as much as `level`.
    pub(crate) fn new(file: OwnedFd, level: LogLevel) -> Self {
        Self {
            file: Rc::new(file),
            level,
        }
    }

    /// Go on in another file.
    pub(crate) fn reopen(&mut self, file: OwnedFd) {
        self.file = Rc::new(file);
    }

    /// The file, to be given to the front.
    pub(crate) fn file(&self) -> Rc<OwnedFd> {
        Rc::clone(&self.file)
    }

    /// Something does not work.
    pub(crate) fn error(&self, text: &str) {
        self.line(LogLevel::Error, "error", text);
    }

    /// Something may not work soon.
    pub(crate) fn warning(&self, text: &str) {
        self.line(LogLevel::Warning, "warning", text);
    }

    /// Something happened.
    pub(crate) fn information(&self, text: &str) {
        self.line(LogLevel::Information, "info", text);
    }

    /// Something happened that is of interest to who looks for a fault.
    pub(crate) fn debugging(&self, text: &str) {
        self.line(LogLevel::Debugging, "debug", text);
    }

    fn line(&self, level: LogLevel, name: &str, text: &str) {
        if level > self.level {
            return;
        }
        let line = line(SystemTime::now(), name, text);
        // A full disk must not end the server, and there is no other place to say it.
        if let Ok(copy) = self.file.as_fd().try_clone_to_owned() {
            let _ = File::from(copy).write_all(line.as_bytes());
        }
    }
}

/// Say something to who started the program.
pub(crate) fn say(text: &str) {
    // If nobody listens there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// An error and what caused it, in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

fn line(time: SystemTime, level: &str, text: &str) -> String {
    let mut line = format!("{} monitor {level}: ", timestamp(time));
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    line
}

/// `2026-02-28T23:59:59.123Z`, as the front writes it.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Count from 1 March of the year 0, so that the leap day is the last of its year; 400 years have 146,097 days.
    let from_march = days + 719_468;
    let (era, day_of_era) = (from_march / 146_097, from_march % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months of 31, 30, 31, 30, 31 days, from March on, repeat every 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) = match month_from_march {
        0..=9 => (month_from_march + 3, 0),
        _ => (month_from_march - 9, 1),
    };
    let year = era * 400 + year_of_era + next_year;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> String {
        timestamp(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59.000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_709_251_199), "2024-02-29T23:59:59.000Z");
        assert_eq!(at(1_709_251_200), "2024-03-01T00:00:00.000Z");
        assert_eq!(at(1_798_761_599), "2026-12-31T23:59:59.000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn no_text_makes_a_second_line() {
        let line = line(UNIX_EPOCH, "error", "site\nforged\u{1b}[31m");
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.ends_with("monitor error: site\\nforged\\u{1b}[31m\n"));
    }
}
