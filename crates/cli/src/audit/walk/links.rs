//! Where a symbolic link of a home leads, as the site's view resolves it.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use hostel_sys::beneath::{self, Links};
use rustix::fs::readlinkat;

use crate::audit::record::Kind;

/// What to say of a link that leaves home, with its target; `None` where it stays. `path` is relative to home, whose place is
/// `home`.
pub(super) fn judge(
    directory: &OwnedFd,
    name: &[u8],
    path: &[u8],
    home: &Path,
) -> Option<(Kind, Vec<u8>)> {
    let target = readlinkat(directory, OsStr::from_bytes(name), Vec::new()).ok()?;
    let target = target.into_bytes();
    let place = match beneath::look(directory, name, Links::Followed) {
        Ok(handle) => beneath::place(&handle).ok()?,
        // Nothing is there in the view: what is written has to do.
        Err(_) => {
            let link = home.join(OsStr::from_bytes(path));
            without_dots(&link.parent()?.join(OsStr::from_bytes(&target)))
        }
    };
    if place.starts_with(home) {
        return None;
    }
    let is_system = SYSTEM.iter().any(|system| place.starts_with(system));
    let kind = if is_system {
        Kind::LinkSystem
    } else {
        Kind::LinkOut
    };
    Some((kind, target))
}

fn without_dots(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                found.pop();
            }
            Component::CurDir => {}
            other => found.push(other),
        }
    }
    found
}

/// What the keeper serves through links, besides home.
const SYSTEM: [&str; 2] = ["/usr", "/etc"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_what_leaves_home_is_told() {
        let home = std::env::temp_dir().join(format!("hostel-links-{}", std::process::id()));
        std::fs::create_dir_all(home.join("a")).unwrap();
        let handle = beneath::look_at(home.join("a").as_os_str().as_bytes(), Links::Refused);
        let handle = handle.unwrap();
        let kind = |target: &Path| {
            symlink(target, home.join("a/l")).unwrap();
            let found = judge(&handle, b"l", b"a/l", &home).map(|(kind, _)| kind);
            std::fs::remove_file(home.join("a/l")).unwrap();
            found
        };
        assert_eq!(kind(&home.join("a")), None);
        assert_eq!(kind(Path::new("../a")), None);
        assert_eq!(kind(Path::new("../nothing")), None);
        assert_eq!(kind(Path::new("../../nothing")), Some(Kind::LinkOut));
        assert_eq!(kind(Path::new("/srv/other/secret")), Some(Kind::LinkOut));
        assert_eq!(kind(Path::new("/usr/bin/env")), Some(Kind::LinkSystem));
        std::fs::remove_dir_all(&home).unwrap();
    }
}
