//! The broker's log: one line for what happened to a message.
//!
//! The file comes from the monitor, opened for appending. What sites say is written escaped. A site that is refused again and again does
//! not fill it: one such line a second, with how many there were.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use hostel_sys::clock::timestamp;

/// The log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    file: RefCell<Option<File>>,
    refused: RefCell<HashMap<String, Refused>>,
}

#[derive(Debug)]
struct Refused {
    at: Instant,
    untold: Cell<u64>,
}

impl Log {
    /// Write to this file from now on.
    pub(crate) fn open(&self, file: File) {
        *self.file.borrow_mut() = Some(file);
    }

    /// One line, of a site or of the broker itself.
    pub(crate) fn say(&self, site: Option<&str>, text: fmt::Arguments<'_>) {
        let site = site
            .map(|site| format!("site {site}: "))
            .unwrap_or_default();
        let text: String = text.to_string().chars().map(printable).collect();
        let line = format!("{} {site}{text}\n", timestamp());
        if let Some(file) = self.file.borrow_mut().as_mut() {
            // With a full disk there is nobody to tell.
            let _ = file.write_all(line.as_bytes());
        }
    }

    /// A submission was refused.
    pub(crate) fn refused(&self, site: &str, why: &str) {
        let now = Instant::now();
        let mut all = self.refused.borrow_mut();
        if let Some(last) = all.get(site)
            && now.saturating_duration_since(last.at) < PAUSE
        {
            last.untold.set(last.untold.get() + 1);
            return;
        }
        let told = Refused {
            at: now,
            untold: Cell::new(0),
        };
        let untold = all.insert(site.to_owned(), told);
        drop(all);
        let untold = untold.map_or(0, |last| last.untold.get());
        let more = match untold {
            0 => String::new(),
            count => format!(" ({count} more were refused before)"),
        };
        self.say(Some(site), format_args!("refused: {why}{more}"));
    }
}

fn printable(c: char) -> char {
    if c.is_control() { '?' } else { c }
}

const PAUSE: Duration = Duration::from_secs(1);
