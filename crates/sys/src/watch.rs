//! What of the host a view was made of, and whether something else stands there by now.
//!
//! A view holds files and directories of the host by mount: what is written into them is seen, what is put in their place is not.
//! resolv.conf is replaced by renaming, and a database's package removes and makes the directory of its sockets anew. Used
//! by the monitor as root, which then makes the view anew. It trusts the host's /etc and /run, opens nothing and
//! waits for nothing; what is mounted over a path is not noticed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;

/// Paths of the host that went into a view, and what each was then.
#[derive(Debug, Clone, Default)]
pub struct Bound {
    paths: Vec<(PathBuf, Kind, Option<Identity>)>,
}

/// Device and inode. Neither can come again while a view holds the old one.
type Identity = (u64, u64);

/// How a path went into the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As the same symbolic link.
    Link,
    /// As a mount of what it leads to, or not at all because there was nothing.
    Mount,
}

impl Bound {
    pub(crate) fn add(&mut self, path: &Path, kind: Kind, identity: Option<Identity>) {
        self.paths.push((path.to_owned(), kind, identity));
    }

    /// The first path at which something stands that the view does not have. One at which nothing stands any more is none: the
    /// view keeps what it has, which is as good.
    pub fn outdated(&self) -> Option<&Path> {
        let is_outdated = |(path, kind, before): &&(PathBuf, Kind, Option<Identity>)| {
            let now = identity(path, *kind);
            now.is_some() && now != *before
        };
        let found = self.paths.iter().find(is_outdated);
        found.map(|(path, _, _)| path.as_path())
    }
}

/// What is at a path now.
pub(crate) fn identity(path: &Path, kind: Kind) -> Option<Identity> {
    let metadata = match kind {
        Kind::Link => path.symlink_metadata(),
        Kind::Mount => path.metadata(),
    };
    let metadata = metadata.ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Tells when something may have been put in the place of what is bound.
#[derive(Debug)]
pub struct Watch {
    inotify: OwnedFd,
    paths: BTreeSet<PathBuf>,
    /// The names that matter in each watched directory.
    names: HashMap<i32, HashSet<OsString>>,
    /// When the first and the last thing happened that was not compared yet.
    seen: Option<(Instant, Instant)>,
}

impl Watch {
    /// A watch over nothing.
    ///
    /// # Errors
    /// The kernel has no inotify, or root's instances of it are used up.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            inotify: init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            paths: BTreeSet::new(),
            names: HashMap::new(),
            seen: None,
        })
    }

    /// Watch these paths too, from the next comparison on, which is soon.
    pub fn cover(&mut self, bound: &Bound, now: Instant) {
        for (path, _, _) in &bound.paths {
            if !self.paths.contains(path) {
                self.paths.insert(path.clone());
                self.seen = self.seen.or(Some((now, now)));
            }
        }
    }

    /// When what is bound should be compared: soon after the last of several changes, but not put off for ever.
    pub fn due(&self) -> Option<Instant> {
        self.seen
            .map(|(first, last)| (last + QUIET).min(first + QUIET_MAX))
    }

    /// Take what has happened, without waiting. Returns whether it is time to compare what is bound.
    ///
    /// # Errors
    /// The kernel's, or its bound on watches.
    pub fn take(&mut self, now: Instant) -> io::Result<bool> {
        if self.drain()? {
            let first = self.seen.map_or(now, |(first, _)| first);
            self.seen = Some((first, now));
        }
        if self.due().is_none_or(|due| due > now) {
            return Ok(false);
        }
        self.seen = None;
        // Links may lead elsewhere now, and directories be others. Before the comparison, which finds what happens until then.
        for path in self.paths.clone() {
            self.arm(path)?;
        }
        Ok(true)
    }

    /// Watch the directory in which a path stands, and those of the links on the way to what it leads to. A directory that is not
    /// there is waited for above.
    fn arm(&mut self, mut path: PathBuf) -> io::Result<()> {
        for _ in 0..LINKS_MAX {
            let (Some(mut directory), Some(mut name)) = (path.parent(), path.file_name()) else {
                return Ok(());
            };
            let flags = WatchFlags::CREATE
                | WatchFlags::MOVED_TO
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF
                | WatchFlags::ONLYDIR;
            let number = loop {
                match add_watch(&self.inotify, directory, flags) {
                    Ok(number) => break number,
                    Err(Errno::NOENT | Errno::NOTDIR) => {}
                    Err(error) => return Err(error.into()),
                }
                let (Some(above), Some(own)) = (directory.parent(), directory.file_name()) else {
                    return Ok(());
                };
                (directory, name) = (above, own);
            };
            let names = self.names.entry(number).or_default();
            names.insert(name.to_owned());
            let Ok(target) = std::fs::read_link(&path) else {
                return Ok(());
            };
            // An absolute target takes the place of the whole path.
            path = directory.join(target);
        }
        Ok(())
    }

    /// Read all events; whether one of them matters.
    fn drain(&self) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); EVENTS_BYTES];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut matters = false;
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(matters),
                Err(error) => return Err(error.into()),
            };
            let whole = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::QUEUE_OVERFLOW;
            let name = event.file_name();
            let name = name.map(|name| OsStr::from_bytes(name.to_bytes()));
            let names = self.names.get(&event.wd());
            matters |= event.events().intersects(whole)
                || name.is_some_and(|name| names.is_some_and(|names| names.contains(name)));
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// As many as the kernel follows in one path.
const LINKS_MAX: u32 = 40;
/// A package's upgrade replaces many files.
const QUIET: Duration = Duration::from_secs(1);
const QUIET_MAX: Duration = Duration::from_secs(10);
/// Room for some hundred events at once; there may be more, which are read next.
const EVENTS_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("hostel-watch-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str) {
            std::fs::write(self.0.join("new"), "x").unwrap();
            std::fs::rename(self.0.join("new"), self.0.join(name)).unwrap();
        }

        fn bound(&self, name: &str) -> Bound {
            let (path, mut bound) = (self.0.join(name), Bound::default());
            bound.add(&path, Kind::Mount, identity(&path, Kind::Mount));
            bound
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn watch_of(bound: &Bound) -> Watch {
        let mut watch = Watch::new().unwrap();
        watch.cover(bound, Instant::now());
        settle(&mut watch);
        watch
    }

    /// Compare as if time had passed.
    fn settle(watch: &mut Watch) {
        assert!(watch.take(Instant::now() + QUIET_MAX).unwrap());
        assert_eq!(watch.due(), None);
    }

    fn notices(watch: &mut Watch, change: impl FnOnce()) -> bool {
        change();
        assert!(!watch.take(Instant::now()).unwrap(), "too soon");
        let noticed = watch.due().is_some();
        if noticed {
            settle(watch);
        }
        noticed
    }

    #[test]
    fn a_replaced_file_is_noticed_and_a_rewritten_one_is_not() {
        let scratch = Scratch::new("file");
        scratch.write("a");
        let bound = scratch.bound("a");
        let mut watch = watch_of(&bound);
        assert!(!notices(&mut watch, || std::fs::write(
            scratch.0.join("a"),
            "y"
        )
        .unwrap()));
        assert!(
            !notices(&mut watch, || scratch.write("b")),
            "of no interest"
        );
        assert_eq!(bound.outdated(), None);
        // Held, as a view holds it, so that its inode does not come again.
        let held = std::fs::File::open(scratch.0.join("a")).unwrap();
        assert!(notices(&mut watch, || scratch.write("a")));
        assert_eq!(bound.outdated(), Some(scratch.0.join("a").as_path()));
        std::fs::remove_file(scratch.0.join("a")).unwrap();
        assert_eq!(bound.outdated(), None, "what vanishes is kept by the view");
        drop(held);
    }

    #[test]
    fn a_directory_that_is_made_later_is_noticed() {
        let scratch = Scratch::new("later");
        let bound = scratch.bound("deep/er/sockets");
        let mut watch = watch_of(&bound);
        assert!(notices(&mut watch, || std::fs::create_dir(
            scratch.0.join("deep")
        )
        .unwrap()));
        assert!(notices(&mut watch, || std::fs::create_dir(
            scratch.0.join("deep/er")
        )
        .unwrap()));
        assert_eq!(bound.outdated(), None);
        let path = scratch.0.join("deep/er/sockets");
        assert!(notices(&mut watch, || std::fs::create_dir(&path).unwrap()));
        assert_eq!(bound.outdated(), Some(path.as_path()));
    }

    #[test]
    fn a_replaced_target_of_a_link_is_noticed() {
        let scratch = Scratch::new("link");
        std::fs::create_dir(scratch.0.join("real")).unwrap();
        scratch.write("real/file");
        symlink("real/file", scratch.0.join("link")).unwrap();
        let bound = scratch.bound("link");
        let mut watch = watch_of(&bound);
        let held = std::fs::File::open(scratch.0.join("real/file")).unwrap();
        assert!(notices(&mut watch, || scratch.write("real/file")));
        assert!(bound.outdated().is_some());
        drop(held);
    }

    #[test]
    fn many_changes_are_compared_once_but_not_put_off_for_ever() {
        let mut watch = Watch::new().unwrap();
        let start = Instant::now();
        watch.seen = Some((start, start + Duration::from_secs(2)));
        assert_eq!(watch.due(), Some(start + Duration::from_secs(3)));
        watch.seen = Some((start, start + Duration::from_secs(30)));
        assert_eq!(watch.due(), Some(start + QUIET_MAX));
    }
}
