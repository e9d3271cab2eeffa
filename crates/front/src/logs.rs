//! The only writer of logs: the server's own, and access, error and jobs log of each site.
//!
//! Run by the front. The monitor opens the files; no site's process holds one. Text of sites and visitors is escaped and limited
//! in [`crate::log_file`]. It does not rotate: SIGUSR1 makes the monitor send new files.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::fs::File;
use std::rc::Rc;

use hostel_wire::limits;

use crate::log_file::{LogFile, Rate, Trouble, append_time};
use crate::sites::Site;

/// How much a line of the server's log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work.
    Error,
    /// Something works only just.
    Warning,
    /// Something changed.
    Information,
    /// For who looks for a fault.
    Debugging,
}

/// The logs of the server and of its sites.
pub struct Logs {
    level: Cell<Level>,
    server: RefCell<LogFile>,
    written: RefCell<Vec<Rc<SiteLog>>>,
}

/// The three log files of one site. Lines wait, within bounds, for files that are not there yet.
pub struct SiteLog {
    name: String,
    access: RefCell<LogFile>,
    error: RefCell<LogFile>,
    /// Of what runs beside the web; open while `jobs_running` is not 0.
    jobs: RefCell<LogFile>,
    jobs_running: Cell<u32>,
    is_written: Cell<bool>,
}

impl Level {
    /// The level of this number in the monitor's settings; beyond the last one is the last one.
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Error,
            1 => Self::Warning,
            2 => Self::Information,
            _ => Self::Debugging,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "info",
            Self::Debugging => "debug",
        }
    }
}

impl SiteLog {
    /// The logs of a site of this name, without files yet; each takes at most `bytes_max` bytes.
    pub fn new(name: &str, bytes_max: u64) -> Self {
        Self {
            name: name.to_owned(),
            access: RefCell::new(LogFile::new(
                Rate::new(ACCESS_LINES, ACCESS_BYTES),
                bytes_max,
            )),
            error: RefCell::new(LogFile::new(Rate::new(ERROR_LINES, ERROR_BYTES), bytes_max)),
            jobs: RefCell::new(LogFile::new(Rate::new(ERROR_LINES, ERROR_BYTES), bytes_max)),
            jobs_running: Cell::new(0),
            is_written: Cell::new(false),
        }
    }

    /// A job begins to write.
    pub fn job_begins(&self) {
        self.jobs_running.set(self.jobs_running.get() + 1);
    }
}

impl Logs {
    /// Logs without a file: what is said until there is one waits.
    pub fn new(level: Level) -> Self {
        Self {
            level: Cell::new(level),
            server: RefCell::new(LogFile::new(
                Rate::new(ERROR_LINES, ERROR_BYTES),
                SERVER_LOG_BYTES_MAX,
            )),
            written: RefCell::default(),
        }
    }

    /// Lines of the server's log up to this level are written.
    pub fn set_level(&self, level: Level) {
        self.level.set(level);
    }

    /// The server's log goes to this file from now on.
    pub fn set_server_file(&self, file: File) {
        // Trouble with the old file could only be said in the old file.
        drop(self.server.borrow_mut().replace(file));
    }

    /// A site's logs go to these files from now on.
    pub fn set_site_files(&self, log: &Rc<SiteLog>, access: File, error: File) {
        let replaced = log.access.borrow_mut().replace(access);
        self.report(log, "access", replaced);
        let replaced = log.error.borrow_mut().replace(error);
        self.report(log, "error", replaced);
        self.mark(log);
    }

    /// Close a site's files, since it sleeps.
    pub fn close_site_files(&self, log: &SiteLog) {
        let closed = log.access.borrow_mut().close();
        self.report(log, "access", closed);
        let closed = log.error.borrow_mut().close();
        self.report(log, "error", closed);
    }

    /// A site's log of its jobs goes to this file from now on, as long as there are any.
    pub fn set_jobs_file(&self, log: &Rc<SiteLog>, file: File) {
        if log.jobs_running.get() == 0 {
            return;
        }
        let replaced = log.jobs.borrow_mut().replace(file);
        self.report(log, "jobs", replaced);
        self.mark(log);
    }

    /// A job writes no more. After the last one the file is closed.
    pub fn job_ends(&self, log: &SiteLog) {
        let left = log.jobs_running.get().saturating_sub(1);
        log.jobs_running.set(left);
        if left == 0 {
            let closed = log.jobs.borrow_mut().close();
            self.report(log, "jobs", closed);
        }
    }

    /// A line of one of a site's jobs. Escaped and limited in rate here.
    pub fn job(&self, log: &Rc<SiteLog>, job: &str, text: &[u8]) {
        let mut prefix = time_prefix();
        prefix.extend_from_slice(job.as_bytes());
        prefix.extend_from_slice(b": ");
        let taken = log.jobs.borrow_mut().line(&prefix, text.trim_ascii_end());
        self.report(log, "jobs", taken);
        self.mark(log);
    }

    /// One line of a site's access log, without its end. Control characters are escaped here.
    pub fn access(&self, site: &Site, line: &[u8]) {
        let taken = site.log.access.borrow_mut().line(b"", line);
        self.report(&site.log, "access", taken);
        self.mark(&site.log);
    }

    /// A message of a site or about it, for its error log. Escaped, cut and limited in rate here.
    ///
    /// Only its first line begins with the time; the others begin with two spaces, so that none can pass for a message.
    pub fn site_error(&self, site: &Site, text: &[u8]) {
        let text = text.get(..limits::LOG_BYTES_MAX).unwrap_or(text);
        let text = text.trim_ascii_end();
        if text.is_empty() {
            return;
        }
        let mut prefix = time_prefix();
        let lines = text.split(|byte| *byte == b'\n');
        for line in lines.take(MESSAGE_LINES_MAX) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let taken = site.log.error.borrow_mut().line(&prefix, line);
            self.report(&site.log, "error", taken);
            prefix.clear();
            prefix.extend_from_slice(b"  ");
        }
        self.mark(&site.log);
    }

    /// What the front itself has to say about a site, for its error log. The site cannot drown it.
    pub fn site_notice(&self, site: &Site, text: fmt::Arguments<'_>) {
        let text = text.to_string();
        let mut error = site.log.error.borrow_mut();
        let taken = error.notice(&time_prefix(), text.as_bytes());
        drop(error);
        self.report(&site.log, "error", taken);
        self.mark(&site.log);
    }

    /// A line of the server's own log.
    pub fn server(&self, level: Level, text: fmt::Arguments<'_>) {
        if level > self.level.get() {
            return;
        }
        let mut prefix = Vec::with_capacity(48);
        append_time(&mut prefix);
        prefix.extend_from_slice(format!(" front {}: ", level.word()).as_bytes());
        let mut server = self.server.borrow_mut();
        // Trouble with the server's log has no other place to be told; `hostel status` shows that the front lives.
        drop(server.line(&prefix, text.to_string().as_bytes()));
        drop(server.flush());
    }

    /// Write what waits. To be called a few times a second, and before the end.
    pub fn flush(&self) {
        for log in self.written.take() {
            log.is_written.set(false);
            let flushed = log.access.borrow_mut().flush();
            self.report(&log, "access", flushed);
            let flushed = log.error.borrow_mut().flush();
            self.report(&log, "error", flushed);
            let flushed = log.jobs.borrow_mut().flush();
            self.report(&log, "jobs", flushed);
        }
        drop(self.server.borrow_mut().flush());
    }

    fn mark(&self, log: &Rc<SiteLog>) {
        if !log.is_written.replace(true) {
            self.written.borrow_mut().push(Rc::clone(log));
        }
    }

    fn report(&self, log: &SiteLog, which: &str, outcome: Result<(), Trouble>) {
        let name = &log.name;
        match outcome {
            Ok(()) => {}
            Err(Trouble::Full(bytes_max)) => self.server(
                Level::Warning,
                format_args!(
                    "site {name}: the {which} log has reached {bytes_max} bytes ('log_bytes_max') and is not \
                     written until it is rotated (then send SIGUSR1 to the monitor)"
                ),
            ),
            Err(Trouble::Failed(error)) => self.server(
                Level::Error,
                format_args!("site {name}: cannot write the {which} log: {error}"),
            ),
        }
    }
}

fn time_prefix() -> Vec<u8> {
    let mut prefix = Vec::with_capacity(32);
    append_time(&mut prefix);
    prefix.push(b' ');
    prefix
}

/// Lines and bytes that one access log takes in a second: more than a core can serve.
const ACCESS_LINES: u64 = 200_000;
const ACCESS_BYTES: u64 = 64 << 20;
/// Lines and bytes that one error log takes in a second.
const ERROR_LINES: u64 = 1000;
const ERROR_BYTES: u64 = 1 << 20;
/// The front's part of the server's log: beyond this it writes nothing until it is rotated.
const SERVER_LOG_BYTES_MAX: u64 = 1 << 30;
/// Lines of one message.
const MESSAGE_LINES_MAX: usize = 64;
