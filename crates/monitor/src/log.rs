//! The monitor's lines in the server's own log.
//!
//! Part of the monitor. The front writes its own lines into the same file through a descriptor of its own; both append whole
//! lines. Texts hold paths and names from the configuration, so control characters are escaped. Only the console sees what
//! happens before there is a log.

use std::fmt;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use hostel_config::LogLevel;
use hostel_sys::causes::with_causes;
use hostel_sys::clock::timestamp;

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
    pub(crate) fn error(&self, text: fmt::Arguments<'_>) {
        self.line(LogLevel::Error, "error", text);
    }

    /// Something does not work, for this reason.
    pub(crate) fn failure(&self, text: fmt::Arguments<'_>, error: &dyn std::error::Error) {
        self.error(format_args!("{text}: {}", with_causes(error)));
    }

    /// Something may not work soon.
    pub(crate) fn warning(&self, text: fmt::Arguments<'_>) {
        self.line(LogLevel::Warning, "warning", text);
    }

    /// Something happened.
    pub(crate) fn information(&self, text: fmt::Arguments<'_>) {
        self.line(LogLevel::Information, "info", text);
    }

    /// Something happened that is of interest to who looks for a fault.
    pub(crate) fn debugging(&self, text: fmt::Arguments<'_>) {
        self.line(LogLevel::Debugging, "debug", text);
    }

    fn line(&self, level: LogLevel, name: &str, text: fmt::Arguments<'_>) {
        if level > self.level {
            return;
        }
        let line = line(name, &text.to_string());
        // A full disk must not end the server, and there is no other place to say it.
        let _ = rustix::io::write(&self.file, line.as_bytes());
    }
}

/// Say something to who started the program.
pub(crate) fn say(text: &str) {
    // If nobody listens there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn line(level: &str, text: &str) -> String {
    let mut line = format!("{} monitor {level}: ", timestamp());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_makes_a_second_line() {
        let line = line("error", "site\nforged\u{1b}[31m");
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.ends_with("Z monitor error: site\\nforged\\u{1b}[31m\n"));
    }
}
