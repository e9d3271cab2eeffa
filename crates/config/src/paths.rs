//! Paths that are written into a configuration, as text: nothing here looks at the disk.

use std::path::{Component, Path, PathBuf};

use hostel_wire::limits;

use crate::errors::Fault;

/// A path relative to `base`, or absolute; without `.`, `..` and repeated slashes.
pub(crate) fn below_or_absolute(key: &str, text: &str, base: &Path) -> Result<PathBuf, Fault> {
    let wrong = |why: &str| Fault::new(format!("'{key}' = '{}' {why}", text.escape_debug()));
    if text.is_empty() {
        return Err(wrong("is empty"));
    }
    if text.chars().any(char::is_control) {
        return Err(wrong("holds control characters"));
    }
    let path = Path::new(text);
    if path
        .components()
        .any(|part| matches!(part, Component::ParentDir))
    {
        return Err(wrong("holds '..'").hint("write the path out"));
    }
    let joined: PathBuf = base.join(path).components().collect();
    if joined.as_os_str().len() >= limits::PATH_BYTES_MAX {
        return Err(wrong("is too long"));
    }
    Ok(joined)
}

/// The same for a path that other processes are told, as text.
pub(crate) fn text(path: &Path) -> Result<String, Fault> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Fault::new(format!("the path {} is not UTF-8", path.display())))
}

/// Whether a site may live here.
pub(crate) fn home(home: &Path) -> Result<(), Fault> {
    let wrong = |why: &str| Fault::new(format!("the home {} {why}", home.display()));
    if home.components().count() < 3 {
        return Err(wrong("is a directory of the system")
            .hint("a home has a directory of its own, such as /srv/blog"));
    }
    for system in SYSTEM {
        if home.starts_with(system) {
            return Err(
                wrong(&format!("lies in {system}, which belongs to the system"))
                    .hint("put it elsewhere, such as /srv/blog"),
            );
        }
    }
    for shared in SHARED {
        if home == Path::new(shared) {
            return Err(wrong("is a directory of the system")
                .hint("a home has a directory of its own, such as /srv/blog"));
        }
    }
    Ok(())
}

/// Directories that a site sees as the system's or as its own, so that no home can stand in them.
const SYSTEM: [&str; 14] = [
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/root", "/run", "/sbin",
    "/sys", "/usr", "/var/tmp",
];
/// Directories that others have things in.
const SHARED: [&str; 8] = [
    "/var/backups",
    "/var/cache",
    "/var/lib",
    "/var/local",
    "/var/log",
    "/var/mail",
    "/var/opt",
    "/var/spool",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_whole() {
        let base = Path::new("/etc/hostel");
        let whole = |text| below_or_absolute("x", text, base).unwrap();
        assert_eq!(whole("sites.d/"), Path::new("/etc/hostel/sites.d"));
        assert_eq!(whole("./a//b/./c"), Path::new("/etc/hostel/a/b/c"));
        assert_eq!(whole("/srv//x/"), Path::new("/srv/x"));
        for text in ["", "..", "a/../b", "/a/..", "a\nb", "a\0"] {
            assert!(below_or_absolute("x", text, base).is_err(), "{text:?}");
        }
    }

    #[test]
    fn homes_are_directories_of_their_own() {
        for path in ["/srv/a", "/home/a/b", "/var/www", "/tmp/x"] {
            assert!(home(Path::new(path)).is_ok(), "{path}");
        }
        for path in [
            "/",
            "/srv",
            "/etc/x",
            "/usr/share/a",
            "/var/lib",
            "/proc/1",
            "/run/x",
        ] {
            assert!(home(Path::new(path)).is_err(), "{path}");
        }
    }
}
