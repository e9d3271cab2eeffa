//! Which files make up a configuration, and reading them safely.
//!
//! Whoever can write these files becomes root, so a file or a directory of sites counts only if it belongs to root (or to
//! the user who runs this, where that is not root), if nobody else can write it, and if it is no symbolic link.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::errors::{Error, Fault};

/// By what a file is known to be as it was: whatever happens to its content, its owner or its mode, one of these changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Print {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Print {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Of what stands at this name now, `None` where nothing does.
    pub(crate) fn at(directory: &File, name: &OsStr) -> Option<Self> {
        let found = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(Self {
            device: found.st_dev,
            inode: found.st_ino,
            size: found.st_size.try_into().ok()?,
            modified: (found.st_mtime, found.st_mtime_nsec.try_into().ok()?),
            changed: (found.st_ctime, found.st_ctime_nsec.try_into().ok()?),
        })
    }

    /// Whether a change after `now` gives it another one: two changes within one tick of the file system's clock look like one.
    pub(crate) fn is_settled(self, now: SystemTime) -> bool {
        let tick = match self.changed.1 {
            0 => WHOLE_SECONDS,
            _ => KERNEL_TICK,
        };
        let (Ok(seconds), Ok(nanoseconds)) = (self.changed.0.try_into(), self.changed.1.try_into())
        else {
            return false;
        };
        let changed = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        now.duration_since(changed).is_ok_and(|age| age > tick)
    }
}

/// The text of a configuration file.
pub(crate) fn read(path: &Path) -> Result<(String, Print), Error> {
    read_sound(path).map_err(|fault| fault.of(path))
}

fn read_sound(path: &Path) -> Result<(String, Print), Fault> {
    let (file, metadata) = open_sound(path, OFlags::empty(), Metadata::is_file, "a regular file")?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| {
            if error.kind() == io::ErrorKind::InvalidData {
                Fault::new("cannot be read: it is not UTF-8 text")
            } else {
                Fault::new(format!("cannot be read: {error}"))
            }
        })?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Fault::new(format!(
            "is larger than {} KiB",
            FILE_BYTES_MAX / 1024
        )));
    }
    Ok((text, Print::of(&metadata)))
}

/// A directory and the names of the files of sites in it, in order. Hidden ones, editors' backups and whatever else does not end in `.toml` are
/// passed over.
pub(crate) fn list(directory: &Path) -> Result<(File, Vec<OsString>), Error> {
    list_sound(directory).map_err(|fault| fault.of(directory))
}

fn list_sound(directory: &Path) -> Result<(File, Vec<OsString>), Fault> {
    let (opened, _) = open_sound(
        directory,
        OFlags::DIRECTORY,
        Metadata::is_dir,
        "a directory",
    )?;
    let failed = |error| Fault::new(format!("cannot be listed: {error}"));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if is_site_file(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok((opened, names))
}

fn is_site_file(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".toml") && !name.starts_with(b".") && !name.starts_with(b"#")
}

fn open_sound(
    path: &Path,
    more: OFlags,
    is_right: fn(&Metadata) -> bool,
    what: &str,
) -> Result<(File, Metadata), Fault> {
    // NONBLOCK: a named pipe in the place of a file must not stop root.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | more;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(rustix::io::Errno::LOOP) => {
            return Err(Fault::new("is a symbolic link; it is not followed")
                .hint("put the file itself here"));
        }
        Err(rustix::io::Errno::NOENT) => {
            return Err(Fault::new("does not exist").hint(format!("create {what} of this name")));
        }
        Err(errno) => {
            return Err(Fault::new(format!(
                "cannot be opened: {}",
                io::Error::from(errno)
            )));
        }
    };
    let metadata = file
        .metadata()
        .map_err(|error| Fault::new(format!("cannot be examined: {error}")))?;
    if !is_right(&metadata) {
        return Err(Fault::new(format!("is not {what}")));
    }
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != 0 && metadata.uid() != me {
        return Err(Fault::new(format!(
            "belongs to the user with uid {}, who could change what root does",
            metadata.uid()
        ))
        .hint("chown root"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(Fault::new(format!(
            "can be written by others than its owner (mode {:04o})",
            metadata.mode() & 0o7777
        ))
        .hint("chmod go-w"));
    }
    Ok((file, metadata))
}

/// A site's file has a few lines; this is enough for 200 domains and 200 PHP settings of full length.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// How coarse the times of files are: at most the kernel's tick, of 10 ms.
const KERNEL_TICK: Duration = Duration::from_millis(20);
/// The same of a file system that keeps no parts of a second, or two seconds.
const WHOLE_SECONDS: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_once_another_change_would_show() {
        let changed_at = |nanoseconds| Print {
            device: 1,
            inode: 2,
            size: 3,
            modified: (1000, nanoseconds),
            changed: (1000, nanoseconds),
        };
        let after =
            |milliseconds: u64| UNIX_EPOCH + Duration::from_millis(1_000_000 + milliseconds);
        let (fine, coarse) = (changed_at(1), changed_at(0));
        assert!(!fine.is_settled(after(10)) && fine.is_settled(after(30)));
        assert!(!coarse.is_settled(after(1_900)) && coarse.is_settled(after(2_100)));
        // A clock that was set back tells nothing.
        assert!(!fine.is_settled(UNIX_EPOCH));
    }

    #[test]
    fn only_visible_toml_files_are_sites() {
        for name in ["blog.toml", "blog.example.com.toml"] {
            assert!(is_site_file(OsStr::new(name)), "{name}");
        }
        for name in [
            "blog.toml~",
            ".blog.toml.swp",
            ".#blog.toml",
            "#blog.toml#",
            "#blog.toml",
            ".toml",
            "blog.toml.dpkg-old",
            "README",
            "blog",
        ] {
            assert!(!is_site_file(OsStr::new(name)), "{name}");
        }
    }
}
