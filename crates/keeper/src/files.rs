//! What is at a path of the site: a file, a script, a directory, nothing.
//!
//! Run by the keeper as the site's user in the site's view, so that the kernel's permissions decide what can be read. Paths
//! come from visitors through the front; links, names and owners beneath home from the site. Everything is decided about a
//! descriptor: look (O_PATH), ask the kernel what it is and where, then open that very inode. The document root is resolved
//! anew for each question, so that a deploy which switches a link is seen by the next one. Nothing is kept or written.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hostel_sys::beneath::{self, Links};
use hostel_sys::cred::{Dropped, Gid, Uid};
use hostel_sys::way::{Foreign, Owner, Ways};
use hostel_wire::front_keeper::{FileIdentity, Resolution};
use hostel_wire::monitor_keeper::SiteSettings;
use rustix::io::Errno;

/// The site's files.
#[derive(Debug)]
pub(crate) struct Files {
    /// Where home really is.
    home: PathBuf,
    ways: Ways,
    root: Vec<u8>,
    index: Vec<String>,
    script_extensions: Vec<String>,
    front_controller: Vec<u8>,
    user: Uid,
    foreign_owners: bool,
}

/// Why home cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot look at the home {home}")]
pub(crate) struct HomeError {
    home: String,
    source: io::Error,
}

impl Files {
    /// The files of the site with these settings.
    ///
    /// # Errors
    /// Home is not there.
    pub(crate) fn new(settings: &SiteSettings, _: &Dropped) -> Result<Self, HomeError> {
        Self::of_user(settings, Uid::effective())
    }

    fn of_user(settings: &SiteSettings, user: Uid) -> Result<Self, HomeError> {
        let failed = |source| HomeError {
            home: settings.home.clone(),
            source,
        };
        let home = beneath::look_at(settings.home.as_bytes(), Links::Followed)
            .and_then(beneath::place)
            .map_err(failed)?;
        let owner = Owner {
            user,
            group: Gid::effective(),
            group_is_own: settings.group_is_own,
            trusts_all: settings.foreign_owners,
        };
        let ways = Ways::new(settings.home.as_bytes(), owner).map_err(failed)?;
        Ok(Self {
            home,
            ways,
            root: settings.root.clone().into_bytes(),
            index: settings.index.clone(),
            script_extensions: settings.script_extensions.clone(),
            front_controller: settings.front_controller.clone().into_bytes(),
            user,
            foreign_owners: settings.foreign_owners,
        })
    }

    /// What is at this path, with the file's descriptor where it is a file that the front does not yet know.
    pub(crate) fn resolve(
        &self,
        path: &[u8],
        known: Option<FileIdentity>,
    ) -> (Resolution, Option<OwnedFd>) {
        match self.find(path, known) {
            Ok(found) => found,
            Err(Refusal::Missing) => (Resolution::NotFound, None),
            Err(Refusal::Forbidden) => (Resolution::Forbidden, None),
            Err(Refusal::Failed(errno)) => (Resolution::Failed(errno), None),
            Err(Refusal::Root(foreign)) => {
                let reason = format!("the document root is not served: {foreign}");
                (Resolution::RootRefused { reason }, None)
            }
        }
    }

    fn find(
        &self,
        path: &[u8],
        known: Option<FileIdentity>,
    ) -> Result<(Resolution, Option<OwnedFd>), Refusal> {
        if !may_be_asked_for(path) {
            return Err(Refusal::Forbidden);
        }
        // What somebody else can write is nobody's to serve, whatever the path.
        if let Some(foreign) = self.ways.walk(&self.root)?.foreign {
            return Err(Refusal::Root(foreign));
        }
        match self.entry(path) {
            Ok(Entry::File(file)) if self.is_script(path) => {
                drop(file);
                Ok(script(path.to_vec()))
            }
            Ok(Entry::File(file)) => serve(file, last_component(path), known),
            Ok(Entry::Directory) if path.ends_with(b"/") => self.index_of(path, known),
            Ok(Entry::Directory) => Ok((Resolution::Directory, None)),
            Err(Refusal::Missing) => self.front_controller(),
            Err(refusal) => Err(refusal),
        }
    }

    /// The first of the index files that is there. As with nginx, a directory without one is closed.
    fn index_of(
        &self,
        path: &[u8],
        known: Option<FileIdentity>,
    ) -> Result<(Resolution, Option<OwnedFd>), Refusal> {
        for name in &self.index {
            let index = [path, name.as_bytes()].concat();
            match self.entry(&index) {
                Ok(Entry::File(_)) if self.is_script(&index) => return Ok(script(index)),
                Ok(Entry::File(file)) => return serve(file, name.as_bytes(), known),
                Ok(Entry::Directory) | Err(Refusal::Missing) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Err(Refusal::Forbidden)
    }

    fn front_controller(&self) -> Result<(Resolution, Option<OwnedFd>), Refusal> {
        if self.front_controller.is_empty() {
            return Err(Refusal::Missing);
        }
        match self.entry(&self.front_controller)? {
            Entry::File(_) => Ok(script(self.front_controller.clone())),
            Entry::Directory => Err(Refusal::Missing),
        }
    }

    /// Look at what is there beneath the root, and judge where the kernel says it is and whose. A link of somebody else's is closed: in
    /// a directory that others can write it could lead to any file of the site's.
    fn entry(&self, path: &[u8]) -> Result<Entry, Refusal> {
        let end = self.ways.walk(&[&self.root, path].concat())?;
        let handle = File::from(end.handle);
        let metadata = handle.metadata()?;
        if !self.is_open_place(&beneath::place(&handle)?) {
            return Err(Refusal::Forbidden);
        }
        if metadata.is_dir() {
            return Ok(Entry::Directory);
        }
        // A hard link keeps the owner of its file, so one to another user's file stops here.
        let owner = Uid(metadata.uid());
        let is_own = owner == self.user || owner == Uid::ROOT;
        if metadata.is_file() && (is_own || self.foreign_owners) {
            return Ok(Entry::File(handle));
        }
        Err(Refusal::Forbidden)
    }

    /// Beneath home, or a read-only file of the system.
    fn is_open_place(&self, place: &Path) -> bool {
        place.starts_with(&self.home) || SYSTEM.iter().any(|system| place.starts_with(system))
    }

    fn is_script(&self, path: &[u8]) -> bool {
        let name = last_component(path);
        self.script_extensions.iter().any(|extension| {
            name.strip_suffix(extension.as_bytes())
                .is_some_and(|stem| stem.ends_with(b"."))
        })
    }
}

/// A handle (O_PATH) only: nothing is opened yet.
enum Entry {
    File(File),
    Directory,
}

enum Refusal {
    Missing,
    Forbidden,
    Failed(i32),
    Root(Foreign),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP) => Self::Missing,
            Some(Errno::ACCESS | Errno::PERM) => Self::Forbidden,
            Some(errno) => Self::Failed(errno.raw_os_error()),
            None => Self::Failed(Errno::IO.raw_os_error()),
        }
    }
}

fn serve(
    handle: File,
    name: &[u8],
    known: Option<FileIdentity>,
) -> Result<(Resolution, Option<OwnedFd>), Refusal> {
    // A change of permissions changes the inode's time, so the same identity may still be read.
    if known.is_some() && known == Some(identity(&handle)?) {
        return Ok((Resolution::Unchanged, None));
    }
    let file = File::from(beneath::open_to_read(handle.as_fd())?);
    let resolution = Resolution::File {
        identity: identity(&file)?,
        name: name.to_vec(),
    };
    Ok((resolution, Some(file.into())))
}

fn identity(file: &File) -> io::Result<FileIdentity> {
    let metadata = file.metadata()?;
    // The kernel's nanoseconds are below a thousand million.
    let nanoseconds = |value: i64| u32::try_from(value).unwrap_or_default();
    Ok(FileIdentity {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), nanoseconds(metadata.mtime_nsec())),
        changed: (metadata.ctime(), nanoseconds(metadata.ctime_nsec())),
    })
}

fn script(path: Vec<u8>) -> (Resolution, Option<OwnedFd>) {
    (Resolution::Script { path }, None)
}

/// Neither hidden, nor a copy that an editor left beside a script, which would show its source. The front refuses these too.
fn may_be_asked_for(path: &[u8]) -> bool {
    let Some(below) = path.strip_prefix(b"/") else {
        return false;
    };
    let hidden = |(depth, name): (usize, &[u8])| {
        name.starts_with(b".") && (depth > 0 || name != b".well-known")
    };
    let name = last_component(path);
    let left_behind = LEFT_BEHIND.iter().any(|ending| name.ends_with(ending))
        || (name.starts_with(b"#") && name.ends_with(b"#"));
    let mut components = below.split(|byte| *byte == b'/').enumerate();
    !components.any(hidden) && !left_behind && !path.contains(&0)
}

fn last_component(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Where the system's own files are that a link may lead to, read-only in the view.
const SYSTEM: [&str; 2] = ["/usr", "/etc"];
/// How names end that editors give to copies.
const LEFT_BEHIND: [&[u8]; 7] = [b"~", b".bak", b".old", b".orig", b".save", b".swo", b".swp"];

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
