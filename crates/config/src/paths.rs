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

/// Whether a site may live here; the same rule holds when its home is opened.
pub(crate) fn home(home: &Path) -> Result<(), Fault> {
    hostel_sys::home::check_place(home, &[]).map_err(|error| {
        let text = error.to_string();
        match text.split_once("; hint: ") {
            Some((message, hint)) => Fault::new(message).hint(hint),
            None => Fault::new(text),
        }
    })
}

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
        for path in ["/srv/a", "/home/a/b", "/var/www"] {
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
