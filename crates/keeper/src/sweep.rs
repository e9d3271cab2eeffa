//! The sweeper: removes temporary files of the site that nobody uses any more, and the oldest ones beyond the site's bound.
//!
//! The program `hostel-keeper` under another name, started now and then by the keeper as its child, so that a large /tmp
//! holds up nobody; the site's user in the site's view, like its parent. It trusts no name: it follows no link, removes
//! nothing that is another user's, and nothing that anybody has open. It is bounded in files and depth.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hostel_sys::cred::{self, Dropped, Uid};
use hostel_sys::{lease, process};
use hostel_wire::view;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, openat, statat, unlinkat};

use crate::stderr::say;

/// Its name, by which the keeper starts it.
pub(crate) const NAME: &str = "hostel-sweeper";

/// Why a sweep did not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SweepError {
    #[error("cannot make the process non-dumpable")]
    Dumpable(#[source] io::Error),
    #[error("privileges are left")]
    Privileged(#[source] cred::NotDropped),
    #[error(
        "the keeper starts it, with the most bytes as its argument, or 0 where the kernel bounds them"
    )]
    Usage,
}

/// What a directory of the site holds and what may be removed there.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    path: &'a Path,
    /// Files that nobody has used for so long are removed.
    age_max: Option<Duration>,
}

/// Sweep once, with the words that the keeper gave.
pub(crate) fn run(words: &[OsString]) -> Result<(), SweepError> {
    process::set_non_dumpable().map_err(SweepError::Dumpable)?;
    let dropped = cred::prove_dropped().map_err(SweepError::Privileged)?;
    lease::ignore_breaks();
    let bytes_max = words.first().and_then(|word| word.to_str()?.parse().ok());
    let bytes_max: u64 = bytes_max.ok_or(SweepError::Usage)?;
    let place = |(path, days): (&'static str, Option<u64>)| Place {
        path: Path::new(path),
        age_max: days.map(|days| Duration::from_secs(days * 24 * 60 * 60)),
    };
    let mut sweep = Sweep::new(SystemTime::now(), &dropped);
    for place in PLACES.map(place) {
        sweep.age(place);
    }
    sweep.shrink(bytes_max);
    Ok(())
}

/// A sweep under way.
#[derive(Debug)]
struct Sweep {
    now: SystemTime,
    user: Uid,
    /// What all files take on the disk, in bytes.
    bytes: u64,
    files: u64,
    /// The oldest files, the youngest of them on top.
    oldest: BinaryHeap<Old>,
}

/// A file that may have to go: when it was used last, its bytes, and where it is.
type Old = (SystemTime, u64, CString);

impl Sweep {
    fn new(now: SystemTime, _: &Dropped) -> Self {
        Self::of_user(now, Uid::effective())
    }

    fn of_user(now: SystemTime, user: Uid) -> Self {
        Self {
            now,
            user,
            bytes: 0,
            files: 0,
            oldest: BinaryHeap::new(),
        }
    }

    /// Measure a directory, and remove what is too old.
    fn age(&mut self, place: Place<'_>) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(directory) = openat(CWD, place.path, flags, Mode::empty()) {
            let mut path = place.path.as_os_str().as_encoded_bytes().to_vec();
            self.directory(directory, &mut path, place, 0);
        }
    }

    fn directory(&mut self, directory: OwnedFd, path: &mut Vec<u8>, place: Place<'_>, depth: u32) {
        let Ok(entries) = Dir::read_from(&directory) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if self.files >= FILES_MAX || name == c"." || name == c".." {
                continue;
            }
            self.files += 1;
            let length = path.len();
            path.push(b'/');
            path.extend_from_slice(name.to_bytes());
            self.entry(&directory, name, path, place, depth);
            path.truncate(length);
        }
    }

    fn entry(
        &mut self,
        parent: &OwnedFd,
        name: &CStr,
        path: &mut Vec<u8>,
        place: Place<'_>,
        depth: u32,
    ) {
        let Ok(status) = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return; // removed meanwhile
        };
        let kind = FileType::from_raw_mode(status.st_mode);
        if status.st_uid != self.user.0 {
            return;
        }
        let used = used(&status, kind);
        let age = self.now.duration_since(used).unwrap_or_default();
        let is_old = place.age_max.is_some_and(|age_max| age >= age_max);
        if kind == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let (true, Ok(below)) = (
                depth < DEPTH_MAX,
                openat(parent, name, flags, Mode::empty()),
            ) {
                self.directory(below, path, place, depth + 1);
            }
            if is_old {
                // One that is not empty stays.
                let _ = unlinkat(parent, name, AtFlags::REMOVEDIR);
            }
            return;
        }
        // Sockets and pipes hold no bytes, and whether somebody waits at them cannot be known.
        let is_link = kind == FileType::Symlink;
        if !is_link && kind != FileType::RegularFile {
            return;
        }
        if is_old
            && (is_link || is_free(parent, name))
            && unlinkat(parent, name, AtFlags::empty()).is_ok()
        {
            return;
        }
        let bytes = u64::try_from(status.st_blocks).unwrap_or(0) * BLOCK_BYTES;
        self.bytes = self.bytes.saturating_add(bytes);
        if let (false, Ok(path)) = (is_link, CString::new(path.as_slice())) {
            self.oldest.push((used, bytes, path));
            if self.oldest.len() > REMOVED_MAX {
                self.oldest.pop();
            }
        }
    }

    /// Remove the oldest files until what is left is well beneath the bound.
    fn shrink(&mut self, bytes_max: u64) {
        if bytes_max == 0 || self.bytes <= bytes_max {
            return;
        }
        let (before, mut removed) = (self.bytes, 0);
        let wanted = bytes_max / 10 * 9;
        let mut oldest: BinaryHeap<Reverse<Old>> = self.oldest.drain().map(Reverse).collect();
        while let (true, Some(Reverse((_, bytes, path)))) = (self.bytes > wanted, oldest.pop()) {
            // Every directory of the path is the site's own, who could put a link in its place: to harm itself.
            if is_free(CWD, &path) && unlinkat(CWD, &path, AtFlags::empty()).is_ok() {
                self.bytes = self.bytes.saturating_sub(bytes);
                removed += 1;
            }
        }
        say(&format!(
            "temporary files take {before} bytes, more than temporary_bytes_max ({bytes_max}): the oldest are removed, {removed} \
             of them; {} bytes are left",
            self.bytes
        ));
    }
}

/// Whether nobody has the file open.
fn is_free(parent: impl std::os::fd::AsFd, name: &CStr) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match openat(parent, name, flags, Mode::empty()) {
        Ok(file) => !lease::is_held(File::from(file)),
        // Its mode forbids its own user to read it: then nobody has opened it for reading lately.
        Err(error) => error == rustix::io::Errno::ACCESS,
    }
}

/// When it was used last. Looking into a directory uses it, so its time of reading says nothing.
fn used(status: &Stat, kind: FileType) -> SystemTime {
    let mut latest = status.st_mtime.max(status.st_ctime);
    if kind != FileType::Directory {
        latest = latest.max(status.st_atime);
    }
    UNIX_EPOCH + Duration::from_secs(u64::try_from(latest).unwrap_or(0))
}

/// What belongs to the bound, and what of it is aged: as systemd-tmpfiles does on Debian. Sessions are aged by PHP.
const PLACES: [(&str, Option<u64>); 4] = [
    (view::TEMPORARY, Some(10)),
    ("/var/tmp", Some(30)),
    (view::SESSIONS, None),
    // What is stale goes when the site wakes; this is for scripts that are still there and that nobody asks for.
    (view::OPCACHE, Some(30)),
];
/// A bound on one sweep.
const FILES_MAX: u64 = 1_000_000;
const DEPTH_MAX: u32 = 100;
/// Files that one sweep may remove for being beyond the bound; there will be another.
const REMOVED_MAX: usize = 10_000;
/// What st_blocks counts in.
const BLOCK_BYTES: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("hostel-sweep-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("deep")).unwrap();
            for name in ["file", "deep/file"] {
                fs::write(path.join(name), [1; 64 * 1024]).unwrap();
            }
            Self(path)
        }

        /// A sweep after so many days.
        fn sweep(&self, days: u32) -> Sweep {
            let mut sweep = Sweep::of_user(SystemTime::now() + DAY * days, Uid::effective());
            sweep.age(Place {
                path: &self.0,
                age_max: Some(DAY * 10),
            });
            sweep
        }

        fn has(&self, name: &str) -> bool {
            self.0.join(name).symlink_metadata().is_ok()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn what_nobody_has_used_for_ten_days_goes_and_nothing_else() {
        let scratch = Scratch::new("age");
        let outside = Scratch::new("outside");
        symlink(&outside.0, scratch.0.join("link")).unwrap();
        let sweep = scratch.sweep(9);
        assert!(scratch.has("file") && scratch.has("deep/file") && scratch.has("link"));
        assert!(sweep.bytes >= 128 * 1024, "{sweep:?}");
        let held = File::open(scratch.0.join("file")).unwrap();
        let sweep = scratch.sweep(11);
        assert!(scratch.has("file"), "somebody has it open");
        assert!(!scratch.has("deep/file") && !scratch.has("link"));
        assert!(outside.has("file"), "a link was followed");
        assert!((64 * 1024..128 * 1024).contains(&sweep.bytes), "{sweep:?}");
        drop(held);
        // Its directory was changed a moment ago, by the removal.
        assert!(!scratch.has("deep"), "an empty directory of eleven days");
        scratch.sweep(11);
        assert!(!scratch.has("file"));
        fs::create_dir_all(scratch.0.join("deep")).unwrap();
    }

    #[test]
    fn the_oldest_go_first_and_only_beyond_the_bound() {
        let scratch = Scratch::new("bound");
        let old = File::open(scratch.0.join("deep/file")).unwrap();
        let long_ago = SystemTime::now() - DAY;
        old.set_times(
            fs::FileTimes::new()
                .set_accessed(long_ago)
                .set_modified(long_ago),
        )
        .unwrap();
        drop(old);
        // The time of the change of times cannot be set: let the other file be changed later.
        std::thread::sleep(Duration::from_millis(1100));
        fs::write(scratch.0.join("file"), [2; 64 * 1024]).unwrap();
        scratch.sweep(0).shrink(256 * 1024);
        assert!(scratch.has("file") && scratch.has("deep/file"));
        scratch.sweep(0).shrink(0);
        assert!(scratch.has("deep/file"), "0 is no bound");
        scratch.sweep(0).shrink(100 * 1024);
        assert!(scratch.has("file") && !scratch.has("deep/file"));
        let held = File::open(scratch.0.join("file")).unwrap();
        let mut sweep = scratch.sweep(0);
        sweep.shrink(1024);
        assert!(
            scratch.has("file"),
            "removing what somebody has open frees nothing"
        );
        drop(held);
    }
}
