//! Opening paths that somebody else may change meanwhile: look first by a descriptor, judge that, then read the same inode.
//!
//! The monitor opens homes without following a symbolic link; keeper and worker, as the site's user in the site's view, follow
//! links but never the magic ones of /proc, and ask the kernel afterwards where they arrived. It trusts no path: a decision is
//! made about a descriptor, never about a name. Who may own what, and which places are allowed, is for the caller.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2, readlinkat};

/// What symbolic links in a path may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Lead anywhere in this process's file system, but not through /proc's magic links, which lead out of it.
    Followed,
    /// Lead to places beneath the directory, as `..` may; neither leaves it.
    Beneath,
    /// Nothing: any symbolic link in the path is an error (ELOOP).
    Refused,
}

/// A handle (O_PATH) on whatever is at `path`, starting at `directory`: nothing is opened yet, so a fifo does not wait and a
/// device does nothing. The path's last component is followed too, where it is a link that may be.
///
/// # Errors
/// The kernel's: ENOENT, ENOTDIR, EACCES, ELOOP, ENAMETOOLONG, EXDEV (left the directory); EAGAIN after repeated renames.
pub fn look(directory: impl AsFd, path: &[u8], links: Links) -> io::Result<OwnedFd> {
    let resolve = match links {
        Links::Followed => ResolveFlags::NO_MAGICLINKS,
        Links::Beneath => ResolveFlags::NO_MAGICLINKS | ResolveFlags::BENEATH,
        Links::Refused => ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS,
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let path = OsStr::from_bytes(path);
    let mut attempts = 0;
    loop {
        match openat2(&directory, path, flags, Mode::empty(), resolve) {
            // Something was renamed while the kernel resolved `..`.
            Err(rustix::io::Errno::AGAIN) if attempts < ATTEMPTS_MAX => attempts += 1,
            outcome => return Ok(outcome?),
        }
    }
}

/// The same for an absolute path (or one relative to the working directory, where `links` is not [`Links::Beneath`]).
///
/// # Errors
/// As [`look`].
pub fn look_at(path: &[u8], links: Links) -> io::Result<OwnedFd> {
    look(CWD, path, links)
}

/// Open for reading what a handle of [`look`] stands for: the very same inode, with this process's permissions as they are now.
///
/// Call it for regular files only; it does not wait and takes no terminal in any case. Needs /proc.
///
/// # Errors
/// The kernel's, EACCES above all.
pub fn open_to_read(handle: impl AsFd) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(openat(CWD, descriptor_path(&handle), flags, Mode::empty())?)
}

/// The path by which the kernel knows the file behind a descriptor: absolute, without links.
///
/// Outside of this process's root it starts with `(unreachable)`; a deleted file's ends with ` (deleted)`. Needs /proc.
///
/// # Errors
/// The kernel's; ENAMETOOLONG for a path of more than 4,095 bytes.
pub fn place(handle: impl AsFd) -> io::Result<PathBuf> {
    let path = readlinkat(CWD, descriptor_path(&handle), Vec::new())?;
    Ok(std::ffi::OsString::from_vec(path.into_bytes()).into())
}

fn descriptor_path(handle: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd())
}

/// After so many renames during one resolution somebody is doing it on purpose.
const ATTEMPTS_MAX: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    /// A directory of this test's own, removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("hostel-{name}-{}", std::process::id()));
            std::fs::create_dir_all(path.join("inside/deep")).unwrap();
            std::fs::write(path.join("inside/file"), "file").unwrap();
            std::fs::write(path.join("outside"), "outside").unwrap();
            Self(path)
        }

        fn open(&self, name: &str) -> OwnedFd {
            look_at(self.path(name).as_os_str().as_bytes(), Links::Refused).unwrap()
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn errno(outcome: io::Result<OwnedFd>) -> i32 {
        outcome.unwrap_err().raw_os_error().unwrap()
    }

    #[test]
    fn a_link_is_followed_kept_beneath_or_refused() {
        let scratch = Scratch::new("beneath-links");
        symlink("../outside", scratch.path("inside/out")).unwrap();
        symlink("../file", scratch.path("inside/deep/in")).unwrap();
        let inside = scratch.open("inside");

        let followed = look(&inside, b"out", Links::Followed).unwrap();
        assert!(place(&followed).unwrap().ends_with("outside"));
        assert_eq!(errno(look(&inside, b"out", Links::Beneath)), libc::EXDEV);
        assert_eq!(errno(look(&inside, b"out", Links::Refused)), libc::ELOOP);
        assert!(look(&inside, b"deep/in", Links::Beneath).is_ok());
        assert_eq!(
            errno(look(&inside, b"deep/in", Links::Refused)),
            libc::ELOOP
        );
    }

    #[test]
    fn a_magic_link_is_never_followed() {
        for links in [Links::Followed, Links::Beneath, Links::Refused] {
            let root = look_at(b"/", Links::Refused).unwrap();
            assert_eq!(
                errno(look(&root, b"proc/self/cwd", links)),
                libc::ELOOP,
                "{links:?}"
            );
        }
    }

    #[test]
    fn what_was_looked_at_is_what_is_read() {
        let scratch = Scratch::new("beneath-read");
        let handle = look(scratch.open("inside"), b"file", Links::Followed).unwrap();
        std::fs::rename(scratch.path("outside"), scratch.path("inside/file")).unwrap();
        let mut text = String::new();
        let mut file = std::fs::File::from(open_to_read(&handle).unwrap());
        io::Read::read_to_string(&mut file, &mut text).unwrap();
        assert_eq!(text, "file");
    }

    #[test]
    fn the_place_of_a_directory_has_no_links() {
        let scratch = Scratch::new("beneath-place");
        symlink("inside", scratch.path("link")).unwrap();
        let handle = look(scratch.open("."), b"link/deep/..", Links::Followed).unwrap();
        let real = place(scratch.open("inside")).unwrap();
        assert_eq!(place(&handle).unwrap(), real);
        assert!(real.is_absolute() && real.ends_with(Path::new("inside")));
    }
}
